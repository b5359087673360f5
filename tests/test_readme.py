"""The README tells the truth: its help is the real one, its commands run, its keys exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mnistctl.models.registry import num_parameters
from mnistctl.recipes import RECIPES, Recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```\w*\n(.*?)```", README, re.DOTALL)
COMMANDS = ("download", "train", "evaluate", "predict", "visualize")


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", "mnistctl", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def documented_help() -> dict[str, str]:
    """Command line -> the text printed under it, for blocks that begin with `$ mnistctl ... -h`."""
    found = {}
    for block in BLOCKS:
        first, _, rest = block.partition("\n")
        if first.startswith("$ mnistctl") and first.endswith("--help"):
            found[first.removeprefix("$ mnistctl ")] = rest
    return found


def test_every_command_is_documented() -> None:
    assert documented_help().keys() == {"--help", *(f"{name} --help" for name in COMMANDS)}


@pytest.mark.parametrize("words", documented_help())
def test_documented_help_is_the_real_one(words: str) -> None:
    assert documented_help()[words] == run(*words.split()).stdout


def test_quick_start_trains_without_a_network(offline_processes: None) -> None:
    """What follows the installation in the README's first command, as it stands there."""
    (line,) = [block for block in BLOCKS if "pip install . &&" in block]
    words = line.strip().split("&& ")[-1].split()
    assert words[0] == "mnistctl"
    done = run(*words[1:])
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"Test: accuracy ([\d.]+) % \([\d,]+/10,000\)", done.stdout)
    assert accuracy
    assert float(accuracy[1]) > 97
    assert Path(re.search(r"Checkpoint: (.*)", done.stdout)[1]).is_file()  # type: ignore[index]


def test_ci_runs_the_documented_test_command() -> None:
    (line,) = [block for block in BLOCKS if "pip install '.[test]'" in block]
    ci = (ROOT / ".ci" / "run").read_text()
    assert line.strip().split("&& ")[-1] == "python -m pytest"
    assert "'.[test]'" in ci
    assert ci.rstrip().endswith("python -m pytest")


def test_no_figure_is_missing() -> None:
    assert re.findall(r"@\w+@|<!-- \w+ -->", README) == []


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda r: r.name)
def test_every_recipe_is_in_the_table(recipe: Recipe) -> None:
    """With the size of its network, batch, peak rate and epochs."""
    section = README[README.index("## Recipes") :]
    (row,) = re.findall(rf"^\| `{recipe.name}`[^|]*\|.*$", section[: section.index("###")], re.M)
    assert f"{num_parameters(recipe.network, 10):,}" in row
    *_, batch, optimizer, epochs, _ = (cell.strip() for cell in row.split("|"))
    assert (batch, epochs) == (str(recipe.batch_size), str(recipe.epochs))
    standard = optimizer == "as `standard`" and RECIPES["standard"].learning_rate
    assert standard == recipe.learning_rate or f"{recipe.learning_rate:g}" in optimizer
