"""Pictures prepared in parallel, in processes of their own that get paths and answer in order.

`multiprocessing` would run the main module of whoever calls this once more, or fork a process
that has threads; a worker that is started as a program does neither.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import mnistctl
from mnistctl.data.images import Preparation
from mnistctl.errors import ImageError
from mnistctl.events import Reporter
from mnistctl.imaging.files import STDIN, read_argument
from mnistctl.imaging.ink import Invert
from mnistctl.imaging.prepare import Ask, Prepared, prepare_digits

MIN_EACH = 16
"""Pictures that are worth starting a process for."""
HEAD = 4
"""Pictures that are prepared here, while the others start."""

Answer = list[Prepared] | ImageError
"""The digits of a picture, or why it can't be read."""


@dataclass(frozen=True)
class Question:
    """How pictures are to be prepared."""

    how: Preparation
    invert: Invert = "auto"

    def answer(self, path: str, ask: Ask | None = None) -> Answer:
        """What a picture holds; with `ask` all of its digits."""
        try:
            return prepare_digits(read_argument(path), self.invert, ask, self.how)
        except ImageError as error:
            return error


def prepare_all(paths: Sequence[str], how: Preparation, reporter: Reporter) -> list[Answer]:
    """The pictures in `paths` as networks see them, in their order; a bar shows how many."""
    answers: list[Answer] = []
    reporter.begin("preparing pictures", len(paths), "images")
    try:
        for found in prepare_each(paths, Question(how)):
            answers.append(found)
            reporter.advance(len(answers))
    finally:
        reporter.end()
    return answers


def prepare_each(
    paths: Sequence[str], question: Question, ask: Ask | None = None
) -> Generator[Answer, None, None]:
    """What each picture holds, in their order, each as soon as it and those before are known.

    Many pictures are shared out among processes, unless a network is to be asked (`ask`, for all
    digits of each). Closing the iterator ends them.
    """
    head, rest = paths[:HEAD], paths[HEAD:]
    count = min(cores(), len(rest) // MIN_EACH)
    if count < 2 or ask or STDIN in paths:
        yield from (question.answer(path, ask) for path in paths)
        return
    with _workers([rest[k::count] for k in range(count)], question) as workers:
        yield from map(question.answer, head)
        for number, path in enumerate(rest):
            found = _answer(workers[number % count])
            yield question.answer(path) if found is None else found


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _workers(
    shares: Sequence[Sequence[str]], question: Question
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A process for each share, that writes an answer for each of its pictures."""
    package = str(Path(mnistctl.__file__).parents[1])
    search = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in shares:  # all begin to import before the first is waited for
            process = subprocess.Popen(
                # -P: a file in the working directory is not imported in a library's place
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"},
            )
            processes.append(process)
        for process, share in zip(processes, shares, strict=True):
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(pickle.dumps((astuple(question), list(share))))
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _answer(process: subprocess.Popen[bytes]) -> Answer | None:
    """The next answer of a worker; None from one that was killed, or could not be started."""
    assert process.stdout is not None
    try:
        found: Answer = pickle.load(process.stdout)
    except (EOFError, pickle.UnpicklingError):
        return None
    return found


if __name__ == "__main__":
    question, given = pickle.load(sys.stdin.buffer)
    for one in given:
        pickle.dump(Question(*question).answer(one), sys.stdout.buffer)
        sys.stdout.buffer.flush()
