"""Runs that go on: changed by others meanwhile, short of memory, restarted by torchrun."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from mnistctl import distributed
from mnistctl.cli.app import app
from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import DATASETS
from mnistctl.distributed import Ranks, joined
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.engine.inference.scores import score
from mnistctl.engine.training import loop, single
from mnistctl.engine.training.config import TrainRequest, resume_command
from mnistctl.engine.training.run import train as train_run
from mnistctl.errors import Interrupted, MnistctlError
from mnistctl.events import Reporter
from mnistctl.store import checkpoint, runs

pytestmark = pytest.mark.usefixtures("small_datasets")
NEW = ("--recipe", "mlp", "--epochs", "1", "--device", "cpu", "--name", "x")


def train(*words: str) -> Any:
    return CliRunner().invoke(app, ["train", "--quiet", *words])


@pytest.mark.parametrize("ensemble", [1, 2])
def test_a_configuration_that_changed_before_the_lock(
    ensemble: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(*NEW, "--ensemble", str(ensemble)).exit_code == 0
    config = Path("runs/x/config.json")
    before = (Path("runs/x") / "last.pt").read_bytes()

    @contextlib.contextmanager
    def writing_late(directory: Path) -> Iterator[None]:
        if directory.name == "x":  # another process has extended it meanwhile
            document = json.loads(config.read_text())
            document["recipe"]["epochs"] = 7
            config.write_text(json.dumps(document))
        with runs.writing(directory):
            yield

    for module in ("single", "ensemble"):
        monkeypatch.setattr(f"mnistctl.engine.training.{module}.writing", writing_late)
    result = train("--resume", "x", "--epochs", "2")
    assert result.exit_code == 1, result.stderr
    assert "run 'x' was changed by another process just now" in result.stderr
    assert "run the command again" in result.stderr
    assert json.loads(config.read_text())["recipe"]["epochs"] == 7
    assert (Path("runs/x") / "last.pt").read_bytes() == before


def test_a_resumed_run_keeps_what_it_reported_and_saved() -> None:
    kept = ("--checkpoint-every", "9", "--log-every", "5", "--test-every-epoch")
    assert train(*NEW, *kept).exit_code == 0
    assert train("--resume", "x", "--epochs", "2").exit_code == 0
    config = json.loads(Path("runs/x/config.json").read_text())
    assert (config["checkpoint_every"], config["log_every"]) == (9, 5)
    assert config["test_every_epoch"] is True
    assert train("--resume", "x", "--epochs", "3", "--checkpoint-every", "0").exit_code == 0
    assert json.loads(Path("runs/x/config.json").read_text())["checkpoint_every"] == 0


def test_a_run_is_not_resumed_on_other_images_than_it_began_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert train(*NEW).exit_code == 0
    changed = replace(DATASETS["mnist"], fingerprint=lambda: "1" * 64)
    monkeypatch.setitem(DATASETS, "mnist", changed)
    result = train("--resume", "x", "--epochs", "2")
    assert result.exit_code == 1
    assert "run 'x' was trained on another version of the data set 'mnist'" in result.stderr
    assert json.loads(Path("runs/x/config.json").read_text())["recipe"]["epochs"] == 1


def test_after_a_damaged_checkpoint_the_one_before_the_last_is_kept_again() -> None:
    assert train(*NEW).exit_code == 0
    last, previous = Path("runs/x/last.pt"), Path("runs/x/previous.pt")
    assert train("--resume", "x", "--epochs", "2").exit_code == 0
    last.write_bytes(last.read_bytes()[:-1])
    assert train("--resume", "x", "--epochs", "4").exit_code == 0
    for path, epochs in ((last, 4), (previous, 3)):
        training = checkpoint.load(path).training
        assert training is not None
        assert training["epochs_done"] == epochs


def test_more_epochs_than_there_may_be_leave_the_run_as_it_was() -> None:
    assert train(*NEW).exit_code == 0
    before = Path("runs/x/config.json").read_bytes()
    result = train("--resume", "x", "--epochs", "10001")
    assert result.exit_code == 2
    assert "--epochs 10001: must be between 1 and 10000" in result.stderr
    assert Path("runs/x/config.json").read_bytes() == before


def test_a_finished_run_whose_last_checkpoint_is_damaged_is_finished_again() -> None:
    assert train(*NEW, "--epochs", "2").exit_code == 0
    last = Path("runs/x/last.pt")
    weights = checkpoint.load(last).weights
    last.write_bytes(last.read_bytes()[:-1])
    result = train("--resume", "x")
    assert result.exit_code == 0, result.stderr
    again = checkpoint.load(last).weights
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_a_finished_run_that_is_represented_by_best_needs_no_other_checkpoint() -> None:
    assert train(*NEW, "--validation", "500").exit_code == 0
    best = Path("runs/x/best.pt").read_bytes()
    for name in ("last.pt", "previous.pt"):
        Path("runs/x", name).unlink(missing_ok=True)
    result = CliRunner().invoke(app, ["train", "--resume", "x"])
    assert result.exit_code == 0, result.stderr
    assert "Run 'x' is finished" in result.stderr
    assert Path("runs/x/best.pt").read_bytes() == best


def test_a_repair_that_is_stopped_leaves_no_result_of_what_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert train(*NEW, "--epochs", "2").exit_code == 0
    last = Path("runs/x/last.pt")
    last.write_bytes(last.read_bytes()[:-1])

    def stopped(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "batch_loss", stopped)
    assert train("--resume", "x").exit_code == 130
    assert runs.describe(Path("runs/x")).state == "interrupted"


@pytest.mark.parametrize("rate", ["1e30", "1e39"])
def test_a_diverging_run_keeps_its_last_good_checkpoint(rate: str) -> None:
    kept = ("--checkpoint-every", "1", "--log-every", "1000", "--epochs", "3")
    result = train(*NEW, *kept, "--lr", rate)
    assert result.exit_code == 1
    assert "training diverged: weights, or the optimiser's state, are not finite" in result.stderr
    left = [checkpoint.load(path) for path in Path("runs/x").glob("*.pt")]
    assert bool(left) == (rate == "1e30")  # the other diverges before the first one
    assert all(value.isfinite().all() for own in left for value in own.weights.values())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 3.53 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 900 bytes"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried 900 bytes"),
    ],
)
def test_out_of_memory_names_a_batch_size_and_the_run_goes_on(
    error: RuntimeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the step that failed half done, batch statistics included."""
    words = ("--recipe", "fast", "--batch-size", "301", "--device", "cpu", "--epochs", "2")
    assert train(*words, "--name", "whole").exit_code == 0
    backward, calls = loop.batch_loss, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 11:  # the fourth step of the second epoch
            raise error
        return backward(*arguments)

    monkeypatch.setattr(loop, "batch_loss", failing)
    result = train(*words, "--name", "x", "--checkpoint-every", "2")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-2:] == [
        "error: cpu is out of memory with 301 images per step; for a new run, try --batch-size 150",
        "  resume when there is more memory: mnistctl train --resume x",
    ]
    saved = checkpoint.load(Path("runs/x/last.pt")).training
    assert saved
    assert (saved["epochs_done"], saved["step"]) == (1, 3)
    assert train("--resume", "x").exit_code == 0
    weights = [checkpoint.load(Path("runs", name, "last.pt")).weights for name in ("whole", "x")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_out_of_memory_at_once_and_in_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is saved yet that could be resumed; in the test, no other batch size would help."""

    def failing(*arguments: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as patched:
        patched.setattr(loop, "batch_loss", failing)
        stderr = train(*NEW).stderr
        assert stderr.endswith("for a new run, try --batch-size 32\n"), stderr
        shutil.rmtree("runs/x")
    with monkeypatch.context() as patched:
        patched.setattr(Predictor, "answers", failing)
        assert train(*NEW).stderr.splitlines()[-2:] == [
            "error: cpu is out of memory while testing",
            "  resume when there is more memory: mnistctl train --resume x",
        ]
    resumed = CliRunner().invoke(app, ["train", "--resume", "x"])
    assert resumed.exit_code == 0
    assert "Run x has trained all its epochs: testing it" in resumed.stderr


def test_other_failures_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any) -> Any:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(loop, "batch_loss", failing)
    result = train(*NEW)
    assert "unexpected RuntimeError: shapes differ" in result.stderr


def test_the_environment_does_not_change_a_runs_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNISTCTL_PRECISION", "bf16")
    assert train(*NEW).exit_code == 0
    monkeypatch.setenv("MNISTCTL_PRECISION", "fp32")
    for words, precision in (((), "bf16"), (("--precision", "fp32"), "fp32")):
        again = train("--resume", "x", "--epochs", "2" if precision == "bf16" else "3", *words)
        assert again.exit_code == 0, again.stderr
        assert json.loads(Path("runs/x/config.json").read_text())["precision"] == precision


def test_processes_compute_in_what_the_first_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reached(Exception):
        pass

    def load_data(job: Any) -> None:
        raise Reached(job.config.precision)

    monkeypatch.setattr(single, "joined", lambda *own: contextlib.nullcontext())
    monkeypatch.setattr(single, "from_first", lambda own: {"fp32": "bf16"}[own])
    monkeypatch.setattr(single, "_load_data", load_data)
    with pytest.raises(Reached, match="bf16"):
        single.train_one(TrainRequest(device="cpu"), None, Ranks(1, 2, 1, 2), Reporter())


def test_a_restarted_job_goes_on_with_its_own_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with another's, and not before it is restarted."""
    request = TrainRequest(recipe="mlp", epochs=1, device="cpu", precision="fp32")

    def name_of_run() -> str:
        done = train_run(request, Reporter())
        assert done
        return done.directory.name

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for name, value in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("GROUP_WORLD_SIZE", "1")
    assert [name_of_run(), name_of_run()] == ["mlp-1", "mlp-2"]
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert name_of_run() == "mlp-2"
    monkeypatch.setattr(distributed, "_started", lambda number: "1")  # in another container
    assert name_of_run() == "mlp-3"
    monkeypatch.setattr(os, "getppid", lambda: 1)  # another torchrun on this machine
    assert name_of_run() == "mlp-4"
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")  # several machines without an id
    assert [name_of_run(), name_of_run()] == ["mlp-5", "mlp-6"]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "night")
    assert [name_of_run(), name_of_run()] == ["mlp-7", "mlp-7"]


def test_a_restarted_script_goes_on_with_the_run_that_it_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = TrainRequest(recipe="mlp", epochs=1, device="cpu", precision="fp32", seed=0)
    others = [replace(first, seed=1), replace(first, epochs=2), replace(first, name="own")]
    monkeypatch.setattr("mnistctl.engine.training.run.job", lambda: "script")
    monkeypatch.setattr("mnistctl.engine.training.config.job", lambda: "script")

    def names() -> list[str]:
        results = [train_run(request, Reporter()) for request in (first, *others)]
        return [done.directory.name for done in results if done]

    assert names() == ["mlp-1", "mlp-2", "mlp-3", "own"]
    monkeypatch.setattr("mnistctl.engine.training.run.is_restarted", lambda: True)
    assert names()[1:] == ["mlp-2", "mlp-3", "own"]
    assert len(list(Path("runs").iterdir())) == 4


@pytest.mark.parametrize("ranks", [Ranks(), Ranks(0, 2)])
def test_a_group_that_somebody_else_joined_is_left_alone(
    ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a script of the user's under torchrun, where other processes measure the same."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    labels = torch.arange(10)
    scores = score(torch.eye(10), labels, 1.0)
    assert (scores.correct, scores.total, scores.accuracy) == (10, 10, 1.0)
    with (
        pytest.raises(MnistctlError, match="a member of a process group already"),
        joined(ranks, torch.device("cpu")),
    ):
        pass


@pytest.mark.parametrize(
    ("device", "error", "leaves"),
    [
        ("cuda", None, True),
        ("cuda", Interrupted("Interrupted at epoch 1, step 2."), True),
        ("cuda", MnistctlError("can't save runs/x/last.pt: no space left"), False),
        ("cuda", KeyboardInterrupt(), False),
        ("cpu", MnistctlError("can't save runs/x/last.pt: no space left"), True),
    ],
)
def test_one_that_fails_alone_does_not_wait_for_the_others(
    device: str, error: BaseException | None, leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NCCL, when it is left, waits for those that are at work."""
    left: list[bool] = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *own, **options: None)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: left.append(True))
    with (
        contextlib.nullcontext() if error is None else pytest.raises(type(error)),
        joined(Ranks(0, 2), torch.device(device)),
    ):
        if error:
            raise error
    assert bool(left) == leaves


def test_processes_that_are_started_again_meet_where_nobody_was_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """torchrun's store still has the addresses of those that are gone."""
    server = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True)
    server.set("0", "an address of before")
    for name, value in (
        *(("TORCHELASTIC_USE_AGENT_STORE", "True"), ("TORCHELASTIC_RESTART_COUNT", "2")),
        *(("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", str(server.port))),
        ("GROUP_WORLD_SIZE", "1"),
    ):
        monkeypatch.setenv(name, value)
    store = distributed._own_store(Ranks(1, 2, 1, 2))
    assert not store.check(["0"])
    server.set("attempt 2/0", "another")
    assert store.get("0") == b"another"
    for name, value in (("GROUP_WORLD_SIZE", "2"), ("TORCHELASTIC_RESTART_COUNT", "0")):
        monkeypatch.setenv(name, value)
        assert distributed._own_store(Ranks(1, 2, 1, 2)) is None


def test_images_that_were_left_out_are_not_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a directory of 300 pictures two thirds can't be read, which shows when they are."""
    few = LabelledImages(torch.zeros(100, 28, 28, dtype=torch.uint8), torch.arange(100) % 10)
    counted = {"train": 300, "test": 10}
    row = replace(DATASETS["mnist"], sizes=counted, load=lambda *own: few)
    monkeypatch.setitem(DATASETS, "mnist", row)
    result = train(*NEW, "--validation", "150")
    assert result.exit_code == 2
    assert "--validation 150: must be between 0 and 99" in result.stderr
    assert "64 is larger than the 10 images" in train(*NEW, "--validation", "90").stderr
    assert not Path("runs").exists()


def test_the_printed_command_is_one_for_the_shell() -> None:
    import shlex

    store, data = Path("my runs; $(rm x)"), Path("my 'data'")
    command = resume_command(store / "x", TrainRequest(store=store, data_dir=data), Ranks())
    words = shlex.split(command)
    assert words[words.index("--store") + 1] == str(store)
    assert words[words.index("--data-dir") + 1] == str(data)
