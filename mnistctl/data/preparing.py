"""Pictures prepared in parallel: each worker a process of its own, fed over pipes.

`multiprocessing` would run the main module of whoever calls this again, or fork a process that
has threads; a worker that is started as a program does neither.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import mnistctl
from mnistctl.data.registry import Preparation
from mnistctl.errors import ImageError
from mnistctl.events import Reporter

PIXELS = 28 * 28
MIN_EACH = 50
"""Pictures that are worth starting a process for."""

Answer = bytes | str
"""784 pixels, or why there are none."""


def prepare_all(paths: Sequence[str], how: Preparation, reporter: Reporter) -> list[Answer]:
    """The pictures in `paths` as the network sees them, in their order."""
    answers: list[Answer] = [""] * len(paths)
    workers = min(os.cpu_count() or 1, len(paths) // MIN_EACH)
    found = _in_workers(paths, how, workers) if workers > 1 else _here(paths, how)
    reporter.begin("preparing pictures", len(paths), "images")
    try:
        for done, (place, answer) in enumerate(found, 1):
            answers[place] = answer
            reporter.advance(done)
    finally:
        reporter.end()
    return answers


def _here(paths: Sequence[str], how: Preparation) -> Iterator[tuple[int, Answer]]:
    from mnistctl.imaging.files import read_image
    from mnistctl.imaging.prepare import prepared_as

    for place, path in enumerate(paths):
        try:
            prepared = prepared_as(how, read_image(Path(path)))
        except ImageError as error:
            yield place, error.message
            continue
        blank = how == "ink" and not prepared.pixels.any()
        yield place, f"{path}: no ink found" if blank else prepared.pixels.tobytes()


def _in_workers(
    paths: Sequence[str], how: Preparation, workers: int
) -> Iterator[tuple[int, Answer]]:
    """As `_here`, in whatever order the answers come."""
    answers: SimpleQueue[tuple[int, Answer]] = SimpleQueue()
    package = str(Path(mnistctl.__file__).parents[1])
    search = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        for _ in range(workers)
    ]
    try:
        for first, process in enumerate(processes):
            own = range(first, len(paths), workers)
            Thread(target=_relay, args=(process, paths, own, how, answers), daemon=True).start()
        for _ in paths:
            yield answers.get()
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _relay(
    process: "subprocess.Popen[bytes]",
    paths: Sequence[str],
    own: Sequence[int],
    how: Preparation,
    answers: "SimpleQueue[tuple[int, Answer]]",
) -> None:
    """Pass on what a worker answers; should it die, the rest is done here."""
    assert process.stdin
    assert process.stdout
    done = 0
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(json.dumps([how, *(paths[place] for place in own)]).encode())
        process.stdin.close()
        for place, line in zip(own, process.stdout, strict=False):
            pixels, error = json.loads(line)
            answers.put((place, bytes.fromhex(pixels) if pixels else error))
            done += 1
    rest = own[done:]
    for number, answer in _here([paths[place] for place in rest], how):
        answers.put((rest[number], answer))


def _work() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it
    how, *paths = json.load(sys.stdin)
    for _, answer in _here(paths, how):
        fields = [answer.hex(), ""] if isinstance(answer, bytes) else ["", answer]
        print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    _work()
