"""The README tells the truth: its commands run, no figure is missing."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mnistctl.cli.app import app
from mnistctl.cli.help import page, topics
from mnistctl.models.registry import num_parameters
from mnistctl.recipes import RECIPES, with_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORTER = ("--epochs", "1", "--set", "network=compact-3")
BLOCKS = re.findall(r"```\w*\n(.*?)```", README, re.DOTALL)


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", "mnistctl", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def _commands() -> list[str]:
    """Those in the README's and the help pages' shell blocks, and under the gallery's pictures."""
    texts = [README, *map(page, topics())]
    blocks = [block for text in texts for block in re.findall(r"```sh\n(.*?)```", text, re.S)]
    lines = re.split(r"&&|\|\||\n", "\n".join(blocks).replace("\\\n", " "))
    typed = (line.strip().partition(" | ")[0] for line in lines)
    own = {line for line in typed if line.startswith("mnistctl ")}
    kinds = re.findall(r"<code>(visualize .*?)</code>", README)
    return sorted(own | {f"mnistctl {words}" for words in kinds})


@pytest.mark.parametrize("line", _commands())
def test_every_command_on_the_pages_is_understood(line: str) -> None:
    command: Any = get_command(app)
    context = command.make_context("mnistctl", shlex.split(line)[1:])
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        if not rest:
            break
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    if settings := context.params.get("settings"):
        with_settings(RECIPES[context.params["recipe"] or "standard"], settings)


def test_quick_start_trains_without_a_network(offline_processes: None) -> None:
    """What follows the installation in the README's first command, with less to compute."""
    (line,) = [block for block in BLOCKS if "pip install . &&" in block]
    words = line.strip().split("&& ")[-1].split()
    assert words[0] == "mnistctl"
    done = run(*words[1:], *SHORTER)
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"^Test: accuracy ([\d.]+) % \([\d,]+/10,000\)", done.stdout, re.M)
    assert accuracy
    assert float(accuracy[1]) > 94
    assert Path(re.search(r"Checkpoint: (.*)", done.stdout)[1]).is_file()  # type: ignore[index]


def test_parameters_in_the_table_are_those_of_the_networks() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [\d.]+ ± .*? \| \d+ \| ([\d,]+) \|", README, re.M)
    assert [name for name, _ in rows] == ["fast", "standard", "robust", "accurate"]
    for name, count in rows:
        assert count == f"{num_parameters(RECIPES[name].network, 10):,}"
