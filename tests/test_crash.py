"""Killed, interrupted, out of disk: the real program resumes to the bits of an untroubled run."""

import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import program
import pytest
import torch
from idx_made import TEST_LABELS
from program import Server
from runs_made import CONFIG, save_run, saved
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.data import mnist
from mnistctl.files import is_temporary
from mnistctl.store import checkpoint, runs
from mnistctl.store.metrics import read_metrics
from mnistctl.store.removal import remove_run
from mnistctl.store.rotation import load_newest, save_last

STORE = Path("runs")
SMALL = ("train", "--recipe", "cnn-small", "--device", "cpu", "--precision", "fp32")
TINY = ("train", "--recipe", "mlp", "--device", "cpu", "--precision", "fp32")


def plain(name: str) -> list[str]:
    """The real program as a new process."""
    return [sys.executable, program.__file__, *shlex.split(name)]


def assert_same_run(name: str, other: str) -> None:
    """Weights, optimiser and losses of two runs are the same bits; last.pt and best.pt.

    Those of ensembles, and of their members.
    """
    for member in (STORE / other).glob("members/*"):
        assert_same_run(f"{name}/members/{member.name}", f"{other}/members/{member.name}")
    a, b = (checkpoint.load(STORE / n / "last.pt") for n in (name, other))
    assert_same(a.weights, b.weights)
    if a.training is None or b.training is None:
        assert a.training is b.training  # those of ensembles
        return
    for key in ("model", "optimizer", "loss_sums", "epochs_done", "step", "images"):
        assert_same(a.training[key], b.training[key])
    assert_same(*(without_times(read_metrics(STORE / n)) for n in (name, other)))
    best = [STORE / n / "best.pt" for n in (name, other)]
    assert best[0].exists() == best[1].exists()
    if best[0].exists():
        assert_same(*(checkpoint.load(path).weights for path in best))


def step_of(found: checkpoint.Checkpoint) -> int:
    assert found.training
    return int(found.training["step"])


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def assert_same(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def kill_often(server: Server, kills: int, draw: random.Random) -> tuple[int, int]:
    """Train run `killed` with `kills` kills at random moments; its epochs, how often mid-epoch.

    A run that gets to its end in between is extended, as anyone may.
    """
    epochs, done, in_epoch = 4, 0, 0
    server.run(*SMALL, "--epochs", "4", "--name", "killed", "--checkpoint-every", "3", kill_at=30)
    while done < kills:
        command = ("train", "--resume", "killed", "--epochs", str(epochs))
        pid = server.start(*command)
        time.sleep(draw.uniform(0.05, 0.7))
        os.kill(pid, signal.SIGKILL)
        result = server.wait()
        if result.code == 0:
            epochs += 4
            continue
        assert result.code == -signal.SIGKILL, result
        done += 1
        newest = load_newest(STORE / "killed")
        assert newest.problems == []
        in_epoch += bool(newest.checkpoint and step_of(newest.checkpoint))
    assert server.run("train", "--resume", "killed", "--epochs", str(epochs)).code == 0
    return epochs, in_epoch


def test_thirty_kills_in_a_row(server: Server) -> None:
    epochs, in_epoch = kill_often(server, 30, random.Random(30))
    assert in_epoch > 0
    assert server.run(*SMALL, "--epochs", str(epochs), "--name", "straight").code == 0
    assert_same_run("killed", "straight")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_kills_in_a_row(server: Server, seed: int) -> None:
    epochs, _ = kill_often(server, 100, random.Random(seed))
    assert server.run(*SMALL, "--epochs", str(epochs), "--name", "straight").code == 0
    assert_same_run("killed", "straight")


def test_kills_of_whole_processes(server: Server) -> None:
    environment = program.environment()
    options = "--epochs 10 --validation 100"
    words = f"{shlex.join(SMALL)} {options} --name killed --checkpoint-every 2"
    for delay in (0.2, 0.5):
        with subprocess.Popen(plain(words), env=environment, stderr=subprocess.PIPE) as process:
            assert process.stderr
            # Begin to count when training begins, whatever the machine's load.
            seen = b""
            while not re.search(rb"epoch \d+/\d+ step", seen):
                seen += os.read(process.stderr.fileno(), 4096) or pytest.fail(seen.decode())
            time.sleep(delay)
            process.kill()
            assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
        words = "train --resume killed"
    subprocess.run(plain(words), env=environment, check=True, capture_output=True)
    assert server.run(*SMALL, *options.split(), "--name", "straight").code == 0
    assert_same_run("killed", "straight")


SAVING = (*TINY, "--epochs", "2", "--validation", "200", "--checkpoint-every", "20")
ENSEMBLE = (*TINY, "--epochs", "1", "--ensemble", "2")


def disturb_each_write(
    server: Server, words: tuple[str, ...], fault: str, first: int = 1, stride: int = 1
) -> tuple[int, int]:
    """A run with a fault at write `first`, `first + stride`, ... of its life, resumed each time.

    Returns how many runs were stopped by theirs, and how many writes there are in all.
    """
    assert server.run(*words, "--name", "straight").code == 0
    stopped = 0
    for number in range(first, 2000, stride):
        name = f"disturbed-{number}"
        result = server.run(*words, "--name", name, **{fault: number})
        if result.writes < number:
            return stopped, result.writes
        directory = STORE / name
        for file in directory.rglob("*.pt"):
            checkpoint.load(file)  # whole, whatever was going on
        if result.code == 0:  # what failed was to remove leftovers
            assert_same_run(name, "straight")
            continue
        stopped += 1
        assert result.code == (-signal.SIGKILL if fault == "kill_at" else 1), result
        if fault != "kill_at":
            assert re.search("^error: .*No space left on device", result.err, re.MULTILINE), result
        again = ("train", "--resume", name) if directory.exists() else (*words, "--name", name)
        result = server.run(*again)
        assert result.code == 0, (number, result)
        assert_same_run(name, "straight")
        # A member's staging directory stays for an hour: it may be a living process's.
        left = [path for path in directory.rglob(".*.tmp") if path.parent.name != "members"]
        assert all(is_temporary(path.parent.name) for path in left)
        shutil.rmtree(directory)
    raise AssertionError("it never ended")


def test_a_kill_at_each_seventh_write(server: Server) -> None:
    stopped, writes = disturb_each_write(server, SAVING, "kill_at", 4, 7)
    assert writes > 60
    assert stopped == len(range(4, writes + 1, 7))


@pytest.mark.slow
@pytest.mark.parametrize("words", [SAVING, ENSEMBLE], ids=["one", "ensemble"])
@pytest.mark.parametrize("fault", ["kill_at", "fail_at", "full_from"])
def test_a_fault_at_each_write(fault: str, words: tuple[str, ...], server: Server) -> None:
    stopped, writes = disturb_each_write(server, words, fault)
    print(f"{fault}: {stopped} of {writes} points stopped a run, and all were made good")
    assert writes > 60
    assert stopped > 50


def test_a_full_disk_at_each_eleventh_write(server: Server) -> None:
    stopped, _ = disturb_each_write(server, SAVING, "full_from", 3, 11)
    assert stopped > 4


def test_a_kill_at_each_write_of_creating_a_run(server: Server, tmp_path: Path) -> None:
    old = time.time() - 2 * runs.STALE_SECONDS
    for number in range(1, 100):
        store = tmp_path / str(number)
        killed = server.run("create", str(store), "x", kill_at=number)
        names = [run.name for run in runs.list_runs(store)]
        assert names in ([], ["x"])
        for path in store.iterdir() if store.exists() else ():
            os.utime(path, (old, old))
        runs.create_run(store, CONFIG, "y")
        assert sorted(os.listdir(store)) == sorted([*names, "y"])
        if names:
            assert runs.describe(store / "x").config == CONFIG
            with runs.writing(store / "x"):
                assert sorted(os.listdir(store / "x")) == [".lock", "config.json"]
        if killed.code == 0:
            break
        assert killed.code == -signal.SIGKILL
    assert names == ["x"]
    assert number > 9


def test_a_full_disk_at_each_write_of_creating_a_run(server: Server, tmp_path: Path) -> None:
    for number in range(1, 100):
        store = tmp_path / str(number)
        failed = server.run("create", str(store), "x", full_from=number)
        left = os.listdir(store) if store.exists() else []
        if failed.code == 0:
            break
        assert "can't create a run in the store" in failed.err
        assert set(left) <= {"x"} or all(map(is_temporary, left))
    assert left == ["x"]
    assert number > 9


def test_a_kill_at_each_write_of_removing_a_run(server: Server, tmp_path: Path) -> None:
    for number in range(1, 100):
        store = tmp_path / str(number)
        store.mkdir()
        for name in ("x", "y"):
            save_run(store / name)
            save_last(store / name, saved(step=2))
        before = sorted(path.name for path in (store / "x").iterdir())
        killed = server.run("remove", str(store), "x", kill_at=number)
        if (store / "x").exists():
            assert set(os.listdir(store / "x")) - {".lock"} == set(before)
            assert load_newest(store / "x").problems == []
        remove_run(store / "y")
        assert os.listdir(store) == (["x"] if (store / "x").exists() else [])
        if killed.code == 0:
            break
    assert os.listdir(store) == []
    assert number > 6


@pytest.mark.mnist
@pytest.mark.parametrize("fault", ["kill_at", "full_from"])
def test_a_fault_at_each_write_of_a_download(
    fault: str, server: Server, mnist_dir: Path, tmp_path: Path
) -> None:
    words = ("fetch", str(mnist_dir))
    gz, raw = TEST_LABELS.gz, TEST_LABELS.raw
    for number in range(1, 100):
        folder = tmp_path / str(number) / "MNIST" / "raw"
        disturbed = server.run(*words, str(tmp_path / str(number)), **{fault: number})
        for blob in (gz, raw):
            mnist.read_blob(folder / blob.name, blob)  # whole, or not there
        assert server.run(*words, str(tmp_path / str(number))).code == 0
        assert all(mnist.read_blob(folder / blob.name, blob) for blob in (gz, raw))
        left = [name for name in os.listdir(folder) if name[0] == "."]
        assert all(map(is_temporary, left))
        if disturbed.code == 0:
            break
    assert number > 10


def test_a_store_that_can_only_be_read(server: Server) -> None:
    assert server.run(*TINY, "--epochs", "1", "--name", "x").code == 0
    before = {path: path.stat().st_mtime_ns for path in STORE.rglob("*")}
    for words in (("runs",), ("evaluate", "--json"), ("train", "--resume", "x")):
        assert server.run(*words, read_only=1).code == 0, words
    for words in ((*TINY, "--epochs", "1"), ("train", "--resume", "x", "--epochs", "2")):
        refused = server.run(*words, read_only=1)
        assert refused.code == 1
        assert re.search(r"^error: can't .*: Read-only file system\n", refused.err, re.MULTILINE)
    assert {path: path.stat().st_mtime_ns for path in STORE.rglob("*")} == before


def test_a_lock_ends_with_its_process(server: Server) -> None:
    server.start(*SMALL, "--epochs", "500", "--name", "x")
    server.wait_for("epoch 1")
    assert runs.describe(STORE / "x").state == "running"
    os.kill(server.running, signal.SIGKILL)
    server.wait()
    assert (STORE / "x" / ".lock").exists()
    assert runs.describe(STORE / "x").state == "interrupted"
    with runs.writing(STORE / "x"):
        pass


def test_a_kill_at_each_write_of_a_save(server: Server, tmp_path: Path) -> None:
    run = tmp_path / "x"
    for number in range(1, 100):
        shutil.rmtree(run, ignore_errors=True)
        save_run(run, step=1)
        save_last(run, saved(step=2))
        result = server.run("save", str(run), "3", kill_at=number)
        newest = load_newest(run)
        assert newest.path.name == "last.pt"
        assert newest.problems == []
        step, previous = (
            step_of(checkpoint.load(run / name)) for name in ("last.pt", "previous.pt")
        )
        # The old last.pt stays until the new one is whole, and is previous.pt by then.
        assert (step, previous) in ((2, 1), (2, 2), (3, 2))
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL
        save_last(run, saved(step=4))
        assert step_of(checkpoint.load(run / "previous.pt")) == step
    assert (step, previous) == (3, 2)
    assert number > 8


def test_disk_full(server: Server) -> None:
    run = ("--name", "x", "--log-every", "1")
    assert server.run(*SMALL, "--epochs", "2", *run).code == 0
    before = {path.name: path.read_bytes() for path in (STORE / "x").glob("*.pt")}
    extend = ("train", "--resume", "x", "--epochs", "3")
    size = {path.name: path.stat().st_size for path in (STORE / "x").iterdir()}
    limits = {
        "last.pt": size["last.pt"] - 1,
        "metrics.jsonl": size["metrics.jsonl"] + 100,
        "config.json": size["config.json"] - 1,
    }
    for file, limit in limits.items():
        result = server.run(*extend, "--quiet", max_file=limit)
        assert result.code == 1, result
        assert re.match(
            rf"error: can't (save|write) \S*{file}: File too large\n  .*--resume", result.err
        )
        assert len(result.err.splitlines()) == 2
        after = {path.name: path.read_bytes() for path in (STORE / "x").glob("*.pt")}
        assert after == before
        assert not list((STORE / "x").glob(".*.tmp"))
    assert server.run(*extend).code == 0
    assert server.run(*SMALL, "--epochs", "3", "--name", "straight", "--log-every", "1").code == 0
    assert_same_run("x", "straight")


def test_disk_full_before_the_first_checkpoint(server: Server) -> None:
    assert server.run(*SMALL, "--epochs", "1", "--name", "x", max_file=50_000).code == 1
    result = server.run("evaluate", "x", "--quiet")
    assert result.code == 1
    assert "holds no checkpoint" in result.err
    result = server.run("train", "--resume", "x")
    assert result.code == 0
    assert "starts from the beginning" in result.err
    assert server.run(*SMALL, "--epochs", "1", "--name", "straight").code == 0
    assert_same_run("x", "straight")
    assert server.run(*SMALL, "--epochs", "1", "--name", "y", max_file=500).code == 1
    assert not (STORE / "y").exists()


def interrupt(server: Server, *words: str, number: int = signal.SIGINT) -> program.Done:
    """Signal a training when its second epoch is over or so; how it ended."""
    pid = server.start(*words)
    server.wait_for("epoch 2")
    os.kill(pid, number)
    return server.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_saves_and_the_printed_command_resumes(
    number: int, code: int, server: Server
) -> None:
    options = ("--log-every", "1", "--validation", "300")
    long = (*SMALL, "--epochs", "12", "--name", "stopped", *options)
    result = interrupt(server, *long, number=number)
    assert result.code == code
    assert result.out == ""
    saved = load_newest(STORE / "stopped").checkpoint
    assert saved
    assert saved.training
    epochs, step = saved.training["epochs_done"], saved.training["step"]
    where = f"at epoch {epochs + 1}, step {step}" if step else f"after epoch {epochs}"
    error, hint = result.err.splitlines()[-2:]
    assert error == f"error: Interrupted {where}. Checkpoint saved."
    assert hint == "  Resume with: mnistctl train --resume stopped"
    resumed = server.run(*shlex.split(hint.partition("mnistctl ")[2]))
    assert resumed.code == 0, resumed
    assert f"Resuming run stopped from epoch {epochs + 1}, step {step}" in resumed.err
    straight = [word if word != "stopped" else "straight" for word in long]
    assert server.run(*straight).code == 0
    assert_same_run("stopped", "straight")


def test_the_second_signal_stops_at_once(server: Server) -> None:
    pid = server.start(*SMALL, "--epochs", "500", "--name", "x")
    server.wait_for("epoch 1")
    os.kill(pid, signal.SIGSTOP)  # so that it can't end between the two
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGCONT)
    assert server.wait().code in (-signal.SIGINT, -signal.SIGTERM)
    assert server.run("train", "--resume", "x", "--quiet", kill_at=9).code == -signal.SIGKILL


def test_four_trainings_into_one_store(server: Server) -> None:
    words = plain(f"{shlex.join(TINY)} --epochs 1 --quiet")
    options = {"env": program.environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(words, **options) for _ in range(4)]  # type: ignore[call-overload]
    for process in processes:
        out, err = process.communicate(timeout=program.DEADLINE)
        assert (process.returncode, err) == (0, b""), (out, err)
    listed = server.run("runs").out
    assert sorted(os.listdir(STORE)) == [f"mlp-{n}" for n in range(1, 5)]
    assert listed.count("finished") == 4
    for number in range(2, 5):
        assert_same_run("mlp-1", f"mlp-{number}")


@pytest.mark.usefixtures("small_datasets")
def test_two_resumes_of_one_run(server: Server) -> None:
    pid = server.start(*SMALL, "--epochs", "500", "--name", "x")
    server.wait_for("epoch 1")
    second = CliRunner().invoke(app, ["train", "--resume", "x"])
    assert second.exit_code == 1
    assert "trained by another process" in second.stderr
    os.kill(pid, signal.SIGKILL)
    server.wait()


@pytest.fixture
def finished(server: Server) -> Callable[..., program.Done]:
    """A run `x` of two epochs; calls of it resume."""
    assert server.run(*TINY, "--epochs", "2", "--name", "x", "--seed", "3").code == 0
    return lambda *words, **faults: server.run("train", "--resume", "x", *words, **faults)


CONFLICTS = {
    ("--recipe", "cnn-small"): "--recipe cnn-small (the run has mlp)",
    ("--batch-size", "10"): "--batch-size 10 (the run has 64)",
    ("--seed", "4"): "--seed 4 (the run has 3)",
    ("--dataset", "synthetic"): "--dataset synthetic (the run has mnist)",
    ("--lr", "1"): "--lr 1.0 (the run has 0.003)",
    ("--validation", "9"): "--validation 9 (the run has 0)",
    ("--ensemble", "2"): "--ensemble 2 (the run has 1)",
    ("--set", "momentum=0.5"): "--set momentum=0.5 (the run has mlp (epochs=2))",
    ("--set", "momentm=0.5"): "did you mean 'momentum'",
    ("--name", "y"): "--name y (the run has x)",
    ("--epochs", "1"): "--epochs 1 is less than the 2",
    ("--epochs", "0"): "--epochs 0 is less than the 2",
    ("--epochs", "3", "--checkpoint-every", "-1"): "--checkpoint-every -1",
}


def test_conflicts(finished: Callable[..., program.Done]) -> None:
    before = (STORE / "x" / "last.pt").read_bytes()
    for words, message in CONFLICTS.items():
        result = finished(*words)
        assert (result.code, result.out) == (2, ""), result
        assert message in result.err
    assert (STORE / "x" / "last.pt").read_bytes() == before
    same = finished("--recipe", "mlp", "--seed", "3", "--batch-size", "64", "--precision", "auto")
    assert same.code == 0
    assert "is finished after epoch 2" in same.err


def test_extension_is_the_longer_run(server: Server, finished: Callable[..., program.Done]) -> None:
    for words in ([], ["--epochs", "2"]):
        result = finished(*words)
        assert result.code == 0
        assert "A larger --epochs extends it" in result.err
        assert result.out.startswith("Test: accuracy ")
    assert finished("--epochs", "4", "--log-every", "20").code == 0
    assert server.run(*TINY, "--epochs", "4", "--name", "straight", "--seed", "3").code == 0
    assert_same_run("x", "straight")


def test_damaged_files_of_a_run(server: Server, finished: Callable[..., program.Done]) -> None:
    last, config = STORE / "x" / "last.pt", STORE / "x" / "config.json"
    raw = last.read_bytes()
    last.write_bytes(raw[:1000] + b"\xff" + raw[1001:])
    (STORE / "x" / "result.json").write_text("{")
    config.unlink()
    listed = server.run("runs")
    assert "x    damaged" in listed.out
    result = server.run("evaluate", "x", "--quiet")
    assert result.code == 0
    assert "last.pt is damaged" in result.err
    result = finished("--epochs", "3")
    assert result.code == 0, result
    assert "last.pt is damaged: its bytes don't match their SHA-256" in result.err
    assert "resuming from previous.pt" in result.err
    assert server.run(*TINY, "--epochs", "3", "--name", "straight", "--seed", "3").code == 0
    assert_same_run("x", "straight")
    for name in ("last.pt", "previous.pt"):
        (STORE / "x" / name).write_bytes(b"PK")
    result = finished("--epochs", "4")
    assert result.code == 1
    assert "last.pt" in result.err
    assert "previous.pt" in result.err


def test_a_moved_run_resumes_where_it_is(
    server: Server, finished: Callable[..., program.Done]
) -> None:
    Path("elsewhere").mkdir()
    (STORE / "x").rename("elsewhere/y")
    result = server.run("train", "--resume", "y", "--store", "elsewhere", "--json")
    assert '"run_dir": "elsewhere/y"' in result.out
    assert server.run("train", "--resume", "elsewhere/y", "--epochs", "3").code == 0
    assert not list(STORE.iterdir())
    Path("link").symlink_to("elsewhere/y")
    assert server.run("train", "--resume", "elsewhere/../elsewhere/y", "--epochs", "4").code == 0
    for path in ("./link", "../x"):
        result = server.run("train", "--resume", path, "--epochs", "9")
        assert result.code == 1, (path, result)


def test_best_is_written_when_a_kill_came_before_it(server: Server) -> None:
    words = (*TINY, "--validation", "200", "--name")
    assert server.run(*words, "x", "--epochs", "2").code == 0
    assert server.run(*words, "straight", "--epochs", "2").code == 0
    for content in (None, b"PK", (STORE / "x" / "previous.pt").read_bytes()):
        (STORE / "x" / "result.json").unlink()
        (STORE / "x" / "best.pt").unlink()
        if content is not None:
            (STORE / "x" / "best.pt").write_bytes(content)
        assert server.run("train", "--resume", "x").code == 0
        assert_same_run("x", "straight")


def test_listing_states(server: Server) -> None:
    assert server.run(*TINY, "--epochs", "1", "--name", "done").code == 0
    server.run(*TINY, "--epochs", "9", "--name", "stopped", kill_at=40)
    pid = server.start(*SMALL, "--epochs", "500", "--name", "going")
    server.wait_for("epoch 1")
    listed = CliRunner().invoke(app, ["runs"])
    os.kill(pid, signal.SIGKILL)
    server.wait()
    states = {line.split()[0]: line.split()[1] for line in listed.stdout.splitlines()[1:]}
    assert states == {"done": "finished", "stopped": "interrupted", "going": "running"}
