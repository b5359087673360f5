"""Pictures prepared in parallel, in processes of their own that get paths and answer with pixels.

`multiprocessing` would run the main module of whoever calls this once more, or fork a process
that has threads; a worker that is started as a program does neither.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import mnistctl
from mnistctl.data.images import Preparation
from mnistctl.errors import ImageError
from mnistctl.events import Reporter

ROUNDS = 4
"""Times that a worker is started, so that a bar moves."""
MIN_EACH = 50
"""Pictures that are worth starting one for."""

Answer = tuple[str, str]
"""784 pixels in hexadecimal, and why there are none."""


def prepare_all(paths: Sequence[str], how: Preparation, reporter: Reporter) -> list[Answer]:
    """The pictures in `paths` as networks see them, in their order."""
    workers = os.cpu_count() or 1
    size = max(-(-len(paths) // (ROUNDS * workers)), MIN_EACH)
    chunks = [paths[first : first + size] for first in range(0, len(paths), size)]
    answers: dict[int, list[Answer]] = {}
    pool = ThreadPoolExecutor(workers)
    reporter.begin("preparing pictures", len(paths), "images")
    try:
        run = _in_worker if len(chunks) > 1 else prepare_here
        waiting = {pool.submit(run, chunk, how): k for k, chunk in enumerate(chunks)}
        for future in as_completed(waiting):
            answers[waiting[future]] = future.result()
            reporter.advance(sum(map(len, answers.values())))
    finally:
        pool.shutdown(cancel_futures=True)
        reporter.end()
    return [answer for k in range(len(chunks)) for answer in answers[k]]


def prepare_here(paths: Sequence[str], how: Preparation) -> list[Answer]:
    """The same, in this process."""
    from mnistctl.imaging.files import read_image
    from mnistctl.imaging.prepare import prepared_as

    answers = []
    for path in paths:
        try:
            pixels = prepared_as(how, read_image(Path(path))).pixels
        except ImageError as error:
            answers.append(("", error.message))
            continue
        blank = how == "ink" and not pixels.any()
        answers.append(("", f"{path}: no ink found") if blank else (pixels.tobytes().hex(), ""))
    return answers


def _in_worker(paths: Sequence[str], how: Preparation) -> list[Answer]:
    package = str(Path(mnistctl.__file__).parents[1])
    search = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps([how, *paths]).encode(),
        capture_output=True,
        env=os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:  # killed, or no process can be started here
        return prepare_here(paths, how)
    return [(pixels, error) for pixels, error in json.loads(done.stdout)]


if __name__ == "__main__":
    chosen, *given = json.load(sys.stdin)
    json.dump(prepare_here(given, chosen), sys.stdout)
