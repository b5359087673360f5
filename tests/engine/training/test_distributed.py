"""Processes under torchrun compute what one does; a dead one ends the job, which goes on later."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from program import DEADLINE
from torch import nn

from mnistctl.distributed import sum_gradients
from mnistctl.store import checkpoint
from mnistctl.store.metrics import read_metrics

LONG = ["train", "--recipe", "mlp", "--epochs", "10000", "--device", "cpu", "--log-every", "1000"]
LONG += ["--checkpoint-every", "7"]
NEEDS_PROC = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="looks processes up in /proc"
)
PROGRAM = str(Path(__file__).parents[2] / "program.py")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", PROGRAM]


def run(words: list[str], code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def train(
    launcher: list[str], recipe: str, name: str, batch_size: int, outliers: int
) -> dict[str, Any]:
    options = ["--recipe", recipe, "--name", name, "--batch-size", str(batch_size)]
    options += ["--set", f"outliers_per_batch={outliers}"] if outliers else []
    options += ["--epochs", "2", "--lr", "0.1" if recipe == "mlp" else "0.001"]
    numbers = ["--device", "cpu", "--precision", "fp32", "--log-every", "1", "--json"]
    document: dict[str, Any] = json.loads(run([*launcher, "train", *options, *numbers]).stdout)
    return document


# Batches that two can't share evenly; with 1,999 the last one is a single image, and one rank
# has none.
# `mlp` learns by SGD, whose steps grow with the gradient; Adam's hardly do.
@pytest.mark.parametrize(
    ("recipe", "batch_size", "outliers"),
    [("cnn-small", 1999, 0), ("cnn-small", 667, 51), ("standard", 667, 0), ("mlp", 667, 0)],
)
def test_two_ranks_equal_one(recipe: str, batch_size: int, outliers: int) -> None:
    """Dropout, batch normalisation, augmentation and outliers included."""
    two = train(TORCHRUN, recipe, "two", batch_size, outliers)
    one = train([PROGRAM], recipe, "one", batch_size, outliers)
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


def test_gradients_are_summed_in_one_message_whatever_their_layout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Linear(4, 1), nn.Conv2d(1, 1, 1))
    network[0].to(memory_format=torch.channels_last)
    used = [*network[0].parameters(), *network[2].parameters()]
    for number, parameter in enumerate(used):
        gradient = torch.arange(parameter.numel()).view(parameter.shape) + 100.0 * number
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    before = [parameter.grad.clone() for parameter in used if parameter.grad is not None]
    sent: list[torch.Tensor] = []

    def all_reduce(message: torch.Tensor) -> None:
        sent.append(message.clone())
        message *= 3

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    sum_gradients(network.parameters())
    (message,) = sent
    assert len(message) == sum(parameter.numel() for parameter in network.parameters())
    for parameter, own in zip(used, before, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, 3 * own)
        assert parameter.grad.stride() == own.stride()
    assert all(parameter.grad is None for parameter in network[1].parameters())


@pytest.mark.slow
def test_three_ranks_resume_to_the_same_bits() -> None:
    """The order of a sum over three and more decides its last bits."""
    launcher = ["3" if word == "2" else word for word in TORCHRUN]
    words = ["--epochs", "2", "--device", "cpu", "--precision", "fp32"]
    for name, epochs in (("whole", "2"), ("parted", "1")):
        options = ["--recipe", "cnn-small", "--epochs", epochs, "--name", name]
        run([*launcher, "train", *options, *words[2:]])
    run([*launcher, "train", "--resume", "parted", *words[:2]])
    whole, parted = (
        checkpoint.load(Path("runs", name, "last.pt")).weights for name in ("whole", "parted")
    )
    assert all(torch.equal(whole[name], parted[name]) for name in whole)


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
    words = ["train", "--recipe", "mlp", "--epochs", "1", "--ensemble", "3"]
    words += ["--device", "cpu", "--precision", "fp32", "--name"]
    shared = run([*TORCHRUN, *words, "two"])
    assert "Member 1 of 3" in shared.stderr
    assert "Member 2 of 3" not in shared.stderr  # the other rank's, which says nothing
    run([PROGRAM, *words, "one"])
    two, one = (
        json.loads(Path("runs", name, "result.json").read_text()) for name in ("two", "one")
    )
    assert [member["seed"] for member in two["members"]] == [0, 1, 2]
    assert two["test"]["correct"] == pytest.approx(one["test"]["correct"], abs=1)
    weights = [checkpoint.load(Path("runs", name, "last.pt")).weights for name in ("one", "two")]
    assert len(weights[0]) == 18
    for name, value in weights[0].items():
        assert (value - weights[1][name]).abs().max() < 1e-4, name


def test_rank_0_alone_prints() -> None:
    done = run([*TORCHRUN, "train", "--recipe", "mlp", "--epochs", "1", "--device", "cpu"])
    assert done.stdout.count("Test: ") == 1
    assert done.stderr.count("Epoch 1/1") == 1


def start(*words: str) -> "subprocess.Popen[str]":
    """torchrun with `words` behind it."""
    return subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for(happened: Callable[[], bool]) -> None:
    """Return when `happened`, at most `DEADLINE` seconds later."""
    end = time.monotonic() + DEADLINE
    while not happened() and time.monotonic() < end:
        time.sleep(0.1)
    assert happened()


def start_long_job(name: str) -> "subprocess.Popen[str]":
    """Two processes on more epochs than the test has time for, past their first checkpoint."""
    job = start(*TORCHRUN, *LONG, "--name", name)
    wait_for(Path("runs", name, "last.pt").exists)
    return job


def rank_process(rank: int, *jobs: "subprocess.Popen[str]") -> int:
    """Process id of one rank of a job, whose torchruns are given (Linux: its environment says)."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if parent in [job.pid for job in jobs] and f"RANK={rank}".encode() in variables:
            return int(entry.name)
    raise AssertionError(f"no rank {rank}")


@NEEDS_PROC
@pytest.mark.parametrize(("rank", "number"), [(1, signal.SIGKILL), (0, signal.SIGINT)])
def test_one_rank_ends_the_job_and_the_run_resumes(rank: int, number: int) -> None:
    """A killed rank ends the others; one Ctrl-C stops all at the same step, saved."""
    job = start_long_job("stopped")
    os.kill(rank_process(rank, job), number)
    _, errors = job.communicate(timeout=DEADLINE)
    assert job.returncode != 0
    if number == signal.SIGINT:
        assert "Checkpoint saved." in errors
        launcher = shlex.join(["torchrun", *TORCHRUN[2:]])
        assert f"Resume with: {launcher} train --resume stopped\n" in errors
    loaded = checkpoint.load(Path("runs/stopped/last.pt")).training
    assert loaded
    assert loaded["epochs_done"] + loaded["step"] > 0
    before = steps_saved("stopped")
    again = start(*TORCHRUN, "train", "--resume", "stopped")
    wait_for(lambda: steps_saved("stopped") > before)
    os.kill(rank_process(0, again), signal.SIGINT)
    assert "Checkpoint saved." in again.communicate(timeout=DEADLINE)[1]


def steps_saved(name: str) -> int:
    """In all, in the newest checkpoint of a run of 32 steps an epoch; 0 without one."""
    last = Path("runs", name, "last.pt")
    training = checkpoint.load(last).training if last.exists() else None
    return 32 * training["epochs_done"] + training["step"] if training else 0


@pytest.mark.slow
@NEEDS_PROC
def test_a_job_that_torchrun_restarts_goes_on() -> None:
    """To the bits of one that was never stopped."""
    words = ["train", "--recipe", "mlp", "--epochs", "80", "--device", "cpu"]
    words += ["--precision", "fp32", "--checkpoint-every", "7", "--log-every", "1000"]
    job = start(*TORCHRUN[:-1], "--max-restarts", "1", PROGRAM, *words)
    wait_for(lambda: steps_saved("mlp-1") > 0)
    os.kill(rank_process(1, job), signal.SIGKILL)
    _, errors = job.communicate(timeout=DEADLINE)
    assert job.returncode == 0, errors
    assert "Resuming run mlp-1 from epoch" in errors
    assert [path.name for path in Path("runs").iterdir()] == ["mlp-1"]
    run([*TORCHRUN, *words, "--name", "whole"])
    weights, whole = (
        checkpoint.load(Path("runs", name, "last.pt")).weights for name in ("mlp-1", "whole")
    )
    assert all(torch.equal(weights[name], whole[name]) for name in whole)


@pytest.mark.slow
@NEEDS_PROC
def test_two_machines_where_one_dies() -> None:
    """Two agents of torchrun on this one: both end with an error, and both resume."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    launcher = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-id", "a", "--rdzv-backend"]
    launcher += ["c10d", "--rdzv-endpoint", place, PROGRAM]
    agents = [start(*TORCHRUN[:2], *launcher, *LONG, "--name", "two") for _ in range(2)]
    wait_for(lambda: steps_saved("two") > 0)
    agents[1].kill()
    said = [agent.communicate(timeout=DEADLINE)[1] for agent in agents]
    assert agents[0].returncode == 1
    assert "torchrun has died: stopped\n" in said[1]
    assert "another process of this job has died: stopped\n" in said[0]
    before = steps_saved("two")
    again = [start(*TORCHRUN[:2], *launcher, "train", "--resume", "two") for _ in range(2)]
    wait_for(lambda: steps_saved("two") > before)
    os.kill(rank_process(0, *again), signal.SIGINT)
    told = "".join(agent.communicate(timeout=DEADLINE)[1] for agent in again)
    assert "Checkpoint saved." in told
    words = shlex.join(["torchrun", *launcher, "train", "--resume", "two"])
    assert f"Resume with: {words}\n" in told
