"""`mnistctl help`: pages for people, plain Markdown for pipes, JSON for programs."""

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.cli.help import PAGES, page, topics

TOPICS = {
    "checkpoints",
    "datasets",
    "devices",
    "distributed",
    "exit-codes",
    "export-formats",
    "http",
    "json",
    "photographs",
    "python",
    "recipes",
    "reproducibility",
}


def run(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["help", *words])
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def on_a_terminal(*words: str, **environment: str) -> str:
    """What `mnistctl help WORDS` writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mnistctl", "help", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environment},
    )
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 4096):
            written += part
    except OSError:  # Linux's end of a terminal
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return written.decode()


def test_every_topic_is_there() -> None:
    assert set(topics()) == TOPICS


def test_list_of_topics() -> None:
    lines = run().stdout.splitlines()
    assert "  exit-codes       What the exit code of a command means." in lines
    assert len([line for line in lines if line.startswith("  ")]) == len(TOPICS)
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Show one with: mnistctl help TOPIC"


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_a_page_begins_with_a_title_and_its_summary(topic: str) -> None:
    title, blank, summary, other, *rest = page(topic).splitlines()
    assert title.startswith("# ")
    assert (blank, other) == ("", "")
    assert summary.endswith(".")
    assert rest


def test_in_a_pipe_a_page_is_its_markdown() -> None:
    assert run("exit-codes").stdout == (PAGES / "exit-codes.md").read_text(encoding="utf-8")


def test_on_a_terminal_a_page_is_formatted() -> None:
    shown = on_a_terminal("exit-codes")
    assert "\x1b[1m" in shown
    assert "GATE_FAILED" in shown
    assert "`" not in shown
    assert "|---|" not in shown


def test_a_command_of_a_group_has_its_help() -> None:
    for words in (["runs", "show"], ["visualize", "errors"]):
        shown = CliRunner().invoke(app, ["help", *words])
        assert shown.exit_code == 0
        assert shown.stdout.rstrip() == CliRunner().invoke(app, [*words, "--help"]).stdout.rstrip()


def test_no_color_is_obeyed() -> None:
    page = "exit-codes"  # with a block of code, which is coloured
    coloured, plain = on_a_terminal(page), on_a_terminal(page, NO_COLOR="1")
    colours = [f"\x1b[{code}m" for code in (*range(30, 38), *range(90, 98))]
    assert any(colour in coloured for colour in colours)
    assert not any(colour in plain for colour in colours)
    assert "GATE_FAILED" in plain


def test_json() -> None:
    document = json.loads(run("--json").stdout)
    assert document["topics"][0] == {
        "topic": "checkpoints",
        "summary": "Naming a checkpoint, the store, resuming, ensembles.",
    }
    assert {entry["topic"] for entry in document["topics"]} == TOPICS
    assert json.loads(run("json", "--json").stdout) == {"topic": "json", "text": page("json")}


def test_a_near_miss_is_answered() -> None:
    result = run("exit-code", code=2)
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first == "error: unknown topic 'exit-code'; did you mean 'exit-codes'?"
    assert "reproducibility" in second


def test_a_command_is_a_topic_too() -> None:
    own = CliRunner().invoke(app, ["download", "--help"]).stdout
    assert run("download").stdout.strip() == own.strip()
    assert json.loads(run("download", "--json").stdout)["topic"] == "download"
