"""Two processes under torchrun compute what one does; a dead one ends the job."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mnistctl.store import checkpoint
from mnistctl.store.metrics import read_metrics

PROGRAM = str(Path(__file__).parents[2] / "program.py")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", PROGRAM]


def run(words: list[str], code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def train(launcher: list[str], recipe: str, name: str, batch_size: int) -> dict[str, Any]:
    options = ["--recipe", recipe, "--name", name, "--batch-size", str(batch_size)]
    options += ["--epochs", "2", "--lr", "0.1" if recipe == "mlp" else "0.001"]
    numbers = ["--device", "cpu", "--precision", "fp32", "--log-every", "1", "--json"]
    document: dict[str, Any] = json.loads(run([*launcher, "train", *options, *numbers]).stdout)
    return document


# Batches that two can't share evenly; with 1,999 the last one is a single image, and one rank
# has none.
# `mlp` learns by SGD, whose steps grow with the gradient; Adam's hardly do.
@pytest.mark.parametrize(
    ("recipe", "batch_size"), [("cnn-small", 1999), ("standard", 667), ("mlp", 667)]
)
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
    weights = [checkpoint.load(Path(d["checkpoint"])).weights for d in (one, two)]
    for name in weights[0]:
        # Adam moves even a vanishing gradient's weight by a full step: the mean is compared.
        difference = (weights[0][name].float() - weights[1][name].float()).abs().mean()
        assert difference < 5e-4 * max(1.0, float(weights[0][name].float().abs().max())), name


def test_every_image_is_counted_once_whoever_evaluates() -> None:
    for name, seed in (("one", "0"), ("two", "1")):
        run([PROGRAM, "train", "--recipe", "mlp", "--epochs", "1", "--name", name, "--seed", seed])
    words = ["evaluate", "one", "two", "--json", "--device", "cpu", "--precision", "fp32"]
    alone = json.loads(run([PROGRAM, *words]).stdout)
    shared = json.loads(run([*TORCHRUN, *words]).stdout)
    assert shared["summary"]["n"] == 2
    for one, two in zip(alone["evaluations"], shared["evaluations"], strict=True):
        assert two["confusion"] == one["confusion"]
        assert two["total"] == 500
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-6)


def test_members_of_an_ensemble_are_spread_over_ranks() -> None:
    words = ["train", "--recipe", "mlp", "--epochs", "1", "--ensemble", "3", "--json"]
    words += ["--device", "cpu", "--precision", "fp32", "--name"]
    two = json.loads(run([*TORCHRUN, *words, "two"]).stdout)
    one = json.loads(run([PROGRAM, *words, "one"]).stdout)
    assert [member["seed"] for member in two["members"]] == [0, 1, 2]
    assert two["test"]["correct"] == pytest.approx(one["test"]["correct"], abs=1)
    weights = [checkpoint.load(Path(d["checkpoint"])).weights for d in (one, two)]
    assert len(weights[0]) == 18
    for name, value in weights[0].items():
        assert (value - weights[1][name]).abs().max() < 1e-4, name


def test_rank_0_alone_prints() -> None:
    done = run([*TORCHRUN, "train", "--recipe", "mlp", "--epochs", "1", "--device", "cpu"])
    assert done.stdout.count("Test: ") == 1
    assert done.stderr.count("Epoch 1/1") == 1


def start_long_job(name: str) -> "subprocess.Popen[str]":
    """Two processes on more epochs than the test has time for, past their first checkpoint."""
    words = ["train", "--recipe", "mlp", "--name", name, "--epochs", "5000", "--device", "cpu"]
    job = subprocess.Popen(
        [sys.executable, *TORCHRUN, *words, "--checkpoint-every", "7", "--log-every", "1000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    last = Path("runs", name, "last.pt")
    end = time.monotonic() + 60
    while not last.exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert last.exists()
    return job


def rank_process(job: "subprocess.Popen[str]", rank: int) -> int:
    """Process id of one rank of a job (Linux: its environment says which it is)."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if parent == job.pid and f"RANK={rank}".encode() in variables:
            return int(entry.name)
    raise AssertionError(f"no rank {rank}")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize(("rank", "number"), [(1, signal.SIGKILL), (0, signal.SIGINT)])
def test_one_rank_ends_the_job_and_the_run_resumes(rank: int, number: int) -> None:
    """A killed rank ends the others; one Ctrl-C stops all at the same step, saved."""
    job = start_long_job("stopped")
    os.kill(rank_process(job, rank), number)
    _, errors = job.communicate(timeout=90)
    assert job.returncode != 0
    if number == signal.SIGINT:
        assert "Checkpoint saved." in errors
        command = "torchrun --standalone --nproc-per-node=2 -m mnistctl train --resume stopped"
        assert f"Resume with: {command}\n" in errors
    loaded = checkpoint.load(Path("runs/stopped/last.pt")).training
    assert loaded
    assert loaded["epochs_done"] + loaded["step"] > 0
    resumed = ["train", "--resume", "stopped", "--epochs", str(loaded["epochs_done"] + 1)]
    done = run([PROGRAM, *resumed], code=2)  # fewer epochs than planned: refused by name
    assert "--epochs is the total" in done.stderr
