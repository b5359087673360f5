"""When an answer counts as a digit."""

import pytest
from mnistctl.engine.inference.verdict import NO_DIGIT, SURE, Verdict, judge


@pytest.mark.parametrize(
    ("confidence", "doubt", "touching", "verdict"),
    [
        (SURE, None, False, "digit"),
        (SURE - 0.001, None, False, "uncertain"),
        (NO_DIGIT, None, False, "uncertain"),
        (NO_DIGIT - 0.001, None, False, "not-a-digit"),
        (1.0, "a blob, not strokes", False, "not-a-digit"),
        (1.0, None, True, "uncertain"),
        (NO_DIGIT - 0.001, None, True, "not-a-digit"),
        (1.0, "a blob, not strokes", True, "not-a-digit"),
    ],
)
def test_confidence_doubt_and_touching(
    confidence: float, doubt: str | None, touching: bool, verdict: Verdict
) -> None:
    others = [(1 - confidence) / 9] * 9
    assert judge([*others, confidence], doubt, touching) == verdict
