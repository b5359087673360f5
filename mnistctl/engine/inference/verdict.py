"""Whether an answer is worth believing: digit, uncertain or not-a-digit."""

from collections.abc import Sequence
from typing import Literal

Verdict = Literal["digit", "uncertain", "not-a-digit"]

SURE = 0.9
NO_DIGIT = 0.7


def judge(probabilities: Sequence[float], doubt: str | None, touching: bool = False) -> Verdict:
    """The verdict from ten probabilities (0..1) and what the image alone speaks against.

    `doubt` says why it can't be a digit. A piece `touching` its neighbour is at best uncertain: of
    half a digit a network is often sure. The maximum softmax probability as a rejection rule is
    Hendrycks and Gimpel's baseline (arXiv:1610.02136).
    """
    confidence = max(probabilities)
    if doubt is not None or confidence < NO_DIGIT:
        return "not-a-digit"
    return "digit" if confidence >= SURE and not touching else "uncertain"
