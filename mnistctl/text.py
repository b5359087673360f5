"""Numbers in words, text from elsewhere shown without harm, JSON that every program reads."""

import json
import math
import unicodedata
from typing import Any

_UNSHOWN = {"Cc", "Cf", "Cn", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, reordering and hiding marks, no characters, and line ends."""
_JOINERS = "\u200c\u200d"
"""Of category Cf; Persian and composed emoji need them."""
_MAX_DIGITS = 20


def escaped(text: str, keep: str = "") -> str:
    r"""`text` as one line with its control characters written out, ESC as `\x1b`.

    So no name, number or message from a file or a server moves the cursor, changes colours or
    begins a line of its own. Characters in `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or _is_shown(c) else _written_out(c) for c in text)


def brief(text: object, length: int = 120) -> str:
    """The beginning of what a file or a library says, which may be megabytes."""
    whole = str(text)
    return whole if len(whole) <= length else f"{whole[: length - 3]}..."


def _is_shown(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in _UNSHOWN


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()


def to_json(document: Any, indent: int | None = None) -> str:
    """`document` as JSON in ASCII; what JSON can't say (infinity, not a number) is null."""
    return json.dumps(_finite(document), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse_json(text: bytes | str) -> Any:
    """The value in `text`, its numbers finite and of 20 digits at most.

    Raises ValueError for everything else, too deep nesting included.
    """
    try:
        return json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=_real)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _whole(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("a number too large")
    return int(digits)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number of JSON")
    return value


def percent(share: float) -> str:
    """0.9912 -> `99.12 %`."""
    return f"{100 * share:.2f} %"


def counted(number: int, noun: str, several: str = "") -> str:
    """`1 epoch`, `2 epochs`; `several` where the plural is not with an s."""
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"


def first_line(error: BaseException) -> str:
    """The first line of what an error says, 160 characters at most, or its kind."""
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:160]


def accuracy_text(correct: int, total: int) -> str:
    """`accuracy 99.71 % (9,971/10,000)`."""
    return f"accuracy {percent(correct / total)} ({correct:,}/{total:,})"
