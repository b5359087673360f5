"""The real program on the small stand-in data set: `python tests/program.py train ...`.

With `serve` it stays ready, torch imported, and runs each command that it reads in a fork of
itself: a process of its own to kill, without the seconds that importing torch takes.
"""

import builtins
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

DEADLINE = 300
LOGS = ("out", "err", "writes")


@dataclass(frozen=True)
class Done:
    """How a command ended; a negative code is the signal that killed it."""

    code: int
    out: str
    err: str
    writes: int = 0
    """Steps of writing that were counted, where there was a fault to come at one of them."""


class Server:
    """Starts the program many times, cheaply."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running = 0
        self.process = subprocess.Popen(
            [sys.executable, __file__, "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def start(self, *words: str, **faults: int) -> int:
        """Run `mnistctl WORDS` in the present directory, or one of TOOLS; its process id.

        Faults: `kill_at` = n kills it at its n-th write to the disk, `fail_at` = n lets that fail
        as on a full disk, `full_from` = n that and all after it; `read_only` = 1 lets all fail;
        `max_file` is RLIMIT_FSIZE.
        """
        task = {"words": words, "cwd": os.getcwd(), "logs": str(self.directory), **faults}
        for name in LOGS:  # who reads them reads this command's
            (self.directory / name).write_text("")
        if self.running:  # a test has failed in between
            os.kill(self.running, signal.SIGKILL)
            self.wait()
        self.running = self._ask(json.dumps(task))
        return self.running

    def wait(self) -> Done:
        """Wait for the command that was started last."""
        code, self.running = self._ask(""), 0
        out, err, writes = ((self.directory / name).read_text() for name in LOGS)
        return Done(code, out, err, int(writes or 0))

    def wait_for(self, text: str) -> None:
        """Wait until the command that was started last has said `text` on stderr."""
        give_up = time.monotonic() + DEADLINE
        while text not in (said := (self.directory / "err").read_text()):
            assert time.monotonic() < give_up, said
            time.sleep(0.01)

    def run(self, *words: str, **faults: int) -> Done:
        """Start and wait."""
        self.start(*words, **faults)
        return self.wait()

    def close(self) -> None:
        """End the server."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(DEADLINE)
        self.process.stdout.close()

    def _ask(self, line: str) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def environment() -> dict[str, str]:
    """One thread, so that forking is safe and every machine computes alike; no user settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MNISTCTL_")}
    return own | {"OMP_NUM_THREADS": "1"}


def serve() -> None:
    """Run the commands on stdin, one JSON object a line, an empty line waits for its end.

    Answers with the process id, then with the exit code.
    """
    import torch

    import mnistctl.engine.inference.evaluate
    import mnistctl.engine.training.run  # noqa: F401

    # What torch imports when it is first used.
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.AdamW([parameter], fused=True).step()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run_task(json.loads(line))
        print(pid, flush=True)
        sys.stdin.readline()  # not before it is asked for: until then the process id is its own
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run_task(task: dict[str, Any]) -> None:
    """The life of one command in its own process."""
    os.chdir(task["cwd"])
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(
            os.open(Path(task["logs"]) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor
        )
    signal.alarm(DEADLINE)
    if "max_file" in task:
        resource.setrlimit(resource.RLIMIT_FSIZE, (task["max_file"], task["max_file"]))
    if fault := faulted(task):
        disturb_writes(fault, Path(task["logs"]) / "writes")
    sys.argv = ["mnistctl", *task["words"]]
    code = 1
    try:
        if tool := TOOLS.get(task["words"][0]):
            tool(*task["words"][1:])
            code = 0
        else:
            run_program()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # of a tool
        print(error, file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def save(directory: str, step: str) -> None:
    """Save a checkpoint as training does, without any training."""
    from runs_made import saved

    from mnistctl.store.rotation import save_last

    save_last(Path(directory), saved(int(step)))


def create(store: str, name: str) -> None:
    """Make a run, as training does first of all."""
    from runs_made import CONFIG

    from mnistctl.store.runs import create_run

    create_run(Path(store), CONFIG, name)


def fetch(source: str, data_dir: str) -> None:
    """Download the labels of the test split alone, to be quick."""
    from idx_made import TEST_LABELS, published

    from mnistctl.data.registry import DATASETS, download

    files: dict[str, Any] = {"train": (), "test": (TEST_LABELS,)}
    row = DATASETS["mnist"]
    DATASETS["mnist"] = replace(row, published=replace(published(), files=files))
    download(Path(data_dir), source=source)


def remove(store: str, name: str) -> None:
    """Remove a run."""
    from mnistctl.store.removal import check_removable, remove_run

    remove_run(check_removable(name, Path(store)))


TOOLS: dict[str, Callable[..., None]] = {
    "save": save,
    "create": create,
    "fetch": fetch,
    "remove": remove,
}


def faulted(task: dict[str, Any]) -> Callable[[int], None] | None:
    """What a task asks to happen at the n-th write to the disk."""

    def killed(step: int) -> None:
        if step == task["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    def failed(step: int) -> None:
        if step == task["fail_at"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full(step: int) -> None:
        if step >= task["full_from"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read_only(step: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    faults = {"kill_at": killed, "fail_at": failed, "full_from": full, "read_only": read_only}
    return next((fault for name, fault in faults.items() if name in task), None)


def disturb_writes(fault: Callable[[int], None], log: Path) -> None:
    """Call `fault` with 1, 2, 3, ... at each step of writing anything, from now on; `log` has it.

    Steps: before a file is created, when half of its bytes are written, before each fsync,
    rename, link, removal, and new or removed directory.
    """
    steps = 0
    counter = os.open(log, os.O_WRONLY | os.O_CREAT)

    def step() -> None:
        nonlocal steps
        steps += 1
        os.pwrite(counter, str(steps).encode(), 0)
        fault(steps)

    def stepping(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            step()
            return function(*args, **options)

        return wrapped

    for name in ("fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir"):
        setattr(os, name, stepping(getattr(os, name)))
    plain_open, plain_os_open = builtins.open, os.open

    def counting_os_open(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            step()
        return plain_os_open(path, flags, *args, **options)

    def counting_open(path: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if mode[0] == "r":
            return plain_open(path, mode, *args, **options)
        step()
        file = plain_open(path, mode, *args, **options)
        write = file.write

        def write_in_halves(data: Any) -> int:
            half = len(data) // 2
            write(data[:half])
            file.flush()
            step()
            write(data[half:])
            return len(data)

        return Writer(file, write_in_halves)

    os.open = counting_os_open  # type: ignore[assignment]
    builtins.open = counting_open  # type: ignore[assignment]


class Writer:
    """A file with a `write` of its own."""

    def __init__(self, file: Any, write: Callable[[Any], int]) -> None:
        self.file, self.write = file, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


def steady_rates() -> dict[str, float]:
    """In place of what `--precision auto` measures: fp32 is faster."""
    return {"fp32": 2e11, "bf16": 1e11}


def run_program() -> None:
    """`mnistctl` as it is, but for the images and what it measures."""
    import small_data

    from mnistctl import device
    from mnistctl.cli.app import main

    small_data.install()
    device.cpu_rates = steady_rates
    main()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        run_program()
