"""Text from elsewhere is shown escaped; JSON is what every program reads."""

import json

import pytest

from mnistctl.text import escaped, parse_json, to_json

SHOWN = {
    "plain, ümlaut 数字 \N{GRINNING FACE}": "plain, ümlaut 数字 \N{GRINNING FACE}",
    "\x1b[2J\x1b]0;title\x07": r"\x1b[2J\x1b]0;title\x07",
    "a\nerror: b\r\tc\x00\x7f": r"a\nerror: b\r\tc\x00\x7f",
    "\x9b31m\x85": r"\x9b31m\x85",
    "gnp.\u202eexe\u2066\u200b": r"gnp.\u202eexe\u2066\u200b",
    "a\u2028b\u2029c": r"a\u2028b\u2029c",
    "\udcff\ufffe": r"\udcff\ufffe",
    "no\N{NO-BREAK SPACE}break \N{NARROW NO-BREAK SPACE}PM": (
        "no\N{NO-BREAK SPACE}break \N{NARROW NO-BREAK SPACE}PM"
    ),
    "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}": (
        "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}"
    ),
}


@pytest.mark.parametrize("text", SHOWN, ids=ascii)
def test_what_is_shown(text: str) -> None:
    assert escaped(text) == SHOWN[text]
    assert "\x1b" not in escaped(text, keep="\n")


def test_every_control_character_is_escaped() -> None:
    controls = [chr(code) for code in (*range(32), *range(127, 160))]
    assert all(escaped(f"a{c}b").isprintable() for c in controls)
    assert escaped("a\nb", keep="\n") == "a\nb"


def test_json_says_nothing_that_json_lacks() -> None:
    nan, inf = float("nan"), float("inf")
    document = {"a": nan, "b": [inf, -inf, 1.5], "c": ({"d": nan},), "e": "\x1b\x9b\u2028ü"}
    text = to_json(document)
    assert json.loads(text) == {
        "a": None,
        "b": [None, None, 1.5],
        "c": [{"d": None}],
        "e": "\x1b\x9b\u2028ü",
    }
    assert text.isprintable()
    assert text.isascii()


@pytest.mark.parametrize(
    "text",
    ["", "NaN", "[Infinity]", "-Infinity", "1e999", "-1e400", "1" + "0" * 20, "9" * 5000]
    + ["[" * 99_999, '{"a":' * 99_999, "\x00", '"\ud800'],
    ids=lambda text: ascii(text)[:12],
)
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_json(text.encode(errors="surrogatepass"))


def test_json_that_is() -> None:
    assert parse_json(b'{"a": [1, -2.5e300, 9223372036854775807, null, true, "x"]}') == {
        "a": [1, -2.5e300, 9223372036854775807, None, True, "x"]
    }
