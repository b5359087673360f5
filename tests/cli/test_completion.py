"""What the shell proposes, and that it does so without torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from runs_made import save_run

from mnistctl.recipes import RECIPES

HEAVY = {"torch", "torchvision", "matplotlib", "numpy", "scipy", "skimage", "rich"}


def proposed(line: str, shell: str = "bash") -> list[str]:
    """What Tab at the end of `line` proposes."""
    words = line.split(" ")
    environment = os.environ | {
        "_MNISTCTL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    code = (
        "import sys\nfrom mnistctl.cli.app import main\ntry:\n    main()\n"
        f"finally:\n    assert not {HEAVY} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.fixture
def _runs() -> None:
    Path("runs").mkdir()
    for name in ("b", "a"):
        save_run(Path("runs") / name)
    Path("runs/notes").mkdir()
    Path("cnn.pt").touch()
    Path("cnn.txt").touch()


def test_names_of_the_program() -> None:
    assert proposed("mnistctl train --recipe ") == list(RECIPES)
    assert proposed("mnistctl train -r cnn") == ["cnn-small", "cnn-wide", "cnn-dropout"]
    assert proposed("mnistctl train --dataset s") == ["synthetic"]
    assert proposed("mnistctl train --device ") == ["auto", "cpu", "cuda", "mps"]
    assert proposed("mnistctl evaluate --split ") == ["train", "test"]
    assert proposed("mnistctl runs ") == ["show", "diff", "rm"]
    assert proposed("mnistctl train --res") == ["--resume"]


@pytest.mark.usefixtures("_runs")
def test_runs_and_checkpoints() -> None:
    assert proposed("mnistctl runs rm ") == ["a", "b"]
    assert proposed("mnistctl train --resume ") == ["a", "b", "latest"]
    assert proposed("mnistctl predict -c ") == ["a", "b", "latest", "best", "shipped", "cnn.pt"]
    assert proposed("mnistctl evaluate runs/a/") == ["runs/a/last.pt"]
    assert proposed("mnistctl runs show --store nowhere ") == ["latest"]
    assert "exit-codes" in proposed("mnistctl help e")


def test_other_shells() -> None:
    assert '"robust"' in proposed("mnistctl train -r ", "zsh")[-1]
    assert '"runs"' in "".join(proposed("mnistctl ", "zsh"))
    assert proposed("mnistctl train -r ", "fish") == list(RECIPES)


def test_scripts_are_offered() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mnistctl", "--show-completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "complete -o default -F _mnistctl_completion mnistctl" in done.stdout
