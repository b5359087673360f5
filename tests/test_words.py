"""The field's words: phrases that are to be avoided stand nowhere that a user reads."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mnistctl.cli.app import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mnistctl"
AVOIDED = {
    r"\bAsking\b": "Model:",
    r"\bread (wrongly|right)\b": "misclassified, correct",
    r"\d read as\b|\bread as (\d|\{)|\bare read as\b": "predicted as",
    r"(\d|\}) of [\d,]+ (right|correct)\b|\}? of \{[^}]*\} (right|correct)\b": "accuracy",
    r"\bas often right as sure\b": "perfect calibration",
    r"\bsp(eak|oke)s? (for|against)\b": "evidence for, evidence against",
    r"\b(layers?|convolutions?) answers? to\b|\banswers? to an image\b": "activations for",
    r"\b(go|goes|going|went) on\b(?! the| a\b)": "resumes",
    r"\bput together\b": "assembled",
    r"\bWritten:": "Saved to",
    r"\b(has|have) no use for\b": "does not accept",
    r"\bby chance that would be rare\b|\bwould be rare\b": "significant (McNemar, p = ...)",
    r"\bplain_epochs\b": "no_augment_epochs",
    r"\baverage_decay\b": "ema_decay",
    r"\btest_shifts\b": "tta_shifts",
    r"\bnon-?digits?\b": "outliers",
    r"\bdegrad(e|es|ed|ing)\b": "corruptions",
    r"\bspecks?\b(?=[^.]*\b(noise|blur|contrast)\b)": "impulse noise",
    r"\bhidden (part|patch|square)|\bcovered part\b": "cutout",
    r"\bshares? of (?!the (mass|outline))|\bshare_of\b": "fraction of, shard",
    r"\bsurvey(s|ed)?\b": "validate",
    r"\bunborn\b": "staging",
    r"\bbears? (noise|blur)|\bbears\b": "tolerates",
    r"\bstrangers?\b": "photographs of handwriting",
    r"\bwhat predict believes\b": "verdicts and thresholds",
    r"\bas good as it gets\b": "highest accuracy",
    r"\ba file a command\b|\ba line a (run|checkpoint)\b": "one per command",
}
"""Patterns, each with what to write instead. One that begins with a capital is found as it is."""


def avoided(text: str) -> list[str]:
    """Each phrase found in `text` (line breaks count as spaces) with what to write instead."""
    flat = re.sub(r"\s+", " ", text)
    return [
        f"'{flat[max(found.start() - 20, 0) : found.end() + 20]}': {instead}"
        for pattern, instead in AVOIDED.items()
        for found in re.finditer(pattern, flat, 0 if pattern[2:3].isupper() else re.I)
    ]


def literals(source: str) -> Iterator[str]:
    """The string literals of a module that its program may show: all but docstrings.

    Of an f-string the literal parts, with `{}` for each value.
    """
    tree = ast.parse(source)
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def command_lines(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, those in groups too, of the whole program first."""
    yield words
    for name, own in getattr(command, "commands", {}).items():
        yield from command_lines(own, (*words, name))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4 read as 9 (7)", 1),
        ("Asking run standard-1", 1),
        ("9,960 of 10,000 right (99.60 %)", 1),
        ("Curves: go on while the run is being trained.", 1),
        ("the command that\ngoes on", 1),
        ("a picture of no use for 'x' has no use for --y", 1),
        ("what speaks for 7, and against it", 1),
        ("the strangers' digits", 1),
        ("the file is read as text; go on the first page", 0),
        ("asking again, the answer to a question", 0),
        ("9,971 of 10,000 images; accuracy 99.71 % (9,971/10,000)", 0),
        ("a hidden layer of 128 units; it has 3 shares", 0),
        ("misclassified, predicted as 9; resumes; Saved to x.png", 0),
    ],
)
def test_what_is_found(text: str, number: int) -> None:
    assert len(avoided(text)) == number


def test_which_literals_are_found() -> None:
    source = (
        '"""Doc."""\nX = "one"\ndef f(n):\n    """Doc."""\n    return f"{n} two {n!r}" + "three"\n'
    )
    assert sorted(literals(source)) == ["one", "three", "{} two {}"]


@pytest.mark.parametrize(
    "path",
    [
        *sorted((PACKAGE / "help").glob("*.md")),
        ROOT / "tests" / "bench" / "README.md",
        ROOT / ".github" / "CONTRIBUTING.md",
    ],
    ids=lambda path: path.name,
)
def test_pages(path: Path) -> None:
    assert avoided(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_readme_and_changelog(name: str) -> None:
    assert avoided((ROOT / name).read_text(encoding="utf-8")) == []


def test_card_of_the_shipped_weights() -> None:
    assert avoided((PACKAGE / "weights" / "README.md").read_text(encoding="utf-8")) == []


def test_help_of_the_commands() -> None:
    texts = [
        CliRunner().invoke(app, [*words, "--help"]).stdout
        for words in command_lines(typer.main.get_command(app))
    ]
    assert len(texts) > 5
    found = {phrase for text in texts for phrase in avoided(text)}
    assert not found, "\n".join(sorted(found))


def test_literals_of_the_package() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {phrase}"
        for path in PACKAGE.rglob("*.py")
        for text in literals(path.read_text(encoding="utf-8"))
        for phrase in avoided(text)
    }
    assert not found, "\n".join(sorted(found))
