"""Two processes under torchrun compute what one does; a dead one ends the job."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mnistctl.store import checkpoint
from mnistctl.store.metrics import read_metrics

PROGRAM = str(Path(__file__).parents[1] / "program.py")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", PROGRAM]


def run(words: list[str], code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def train(launcher: list[str], recipe: str, name: str, batch_size: int) -> dict[str, Any]:
    options = ["--recipe", recipe, "--name", name, "--batch-size", str(batch_size)]
    options += ["--epochs", "2", "--lr", "0.001"]
    numbers = ["--device", "cpu", "--precision", "fp32", "--log-every", "1", "--json"]
    document: dict[str, Any] = json.loads(run([*launcher, "train", *options, *numbers]).stdout)
    return document


# Batches that two can't share evenly; with 1,999 the last one is a single image, and one rank
# has none.
@pytest.mark.parametrize(("recipe", "batch_size"), [("cnn-small", 1999), ("standard", 667)])
def test_two_ranks_equal_one(recipe: str, batch_size: int) -> None:
    """Dropout, batch normalisation and augmentation included."""
    two = train(TORCHRUN, recipe, "two", batch_size)
    one = train([PROGRAM], recipe, "one", batch_size)
    assert two["world_size"] == 2
    losses = {
        name: [r["loss"] for r in read_metrics(Path("runs", name)) if "loss" in r]
        for name in ("one", "two")
    }
    assert len(losses["two"]) == 2 * -(-2_000 // batch_size)
    assert losses["two"] == pytest.approx(losses["one"], rel=1e-3)
    weights = [checkpoint.load(Path(d["checkpoint"]))["weights"] for d in (one, two)]
    for name in weights[0]:
        # Adam moves even a vanishing gradient's weight by a full step: the mean is compared.
        difference = (weights[0][name].float() - weights[1][name].float()).abs().mean()
        assert difference < 5e-4 * max(1.0, float(weights[0][name].float().abs().max())), name
    # Every image is counted once, whoever evaluates.
    alone = json.loads(run([PROGRAM, "evaluate", "two", "--json"]).stdout)
    shared = json.loads(run([*TORCHRUN, "evaluate", "two", "--json"]).stdout)
    assert shared["confusion"] == alone["confusion"]
    assert shared["total"] == 500
    assert shared["loss"] == pytest.approx(alone["loss"], rel=1e-6)


def test_rank_0_alone_prints() -> None:
    done = run([*TORCHRUN, "train", "--recipe", "mlp", "--epochs", "1", "--device", "cpu"])
    assert done.stdout.count("Test: ") == 1
    assert done.stderr.count("Epoch 1/1") == 1
