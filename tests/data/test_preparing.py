"""Pictures prepared in processes: the same answers in the same order, whatever happens to them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnistctl.data import preparing
from mnistctl.data.preparing import HEAD, Answer, Question, prepare_all, prepare_each
from mnistctl.errors import ImageError
from mnistctl.events import Reporter
from mnistctl.imaging.files import STDIN
from mnistctl.imaging.normalize import Pixels

COUNT = 20


class Bar(Reporter):
    """Keeps what the bar was told."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def advance(self, done: int) -> None:
        self.done.append(done)


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Strokes that lean ever more; the sixth file is missing, the eighth blank."""
    paths = [tmp_path / f"{number}.png" for number in range(COUNT)]
    for number, path in enumerate(paths):
        image = Image.new("L", (60, 60), 230)
        ImageDraw.Draw(image).line([(10 + number, 8), (30, 52)], fill=20, width=5)
        image.save(path)
    paths[5].unlink()
    Image.new("L", (60, 60), 230).save(paths[7])
    return [str(path) for path in paths]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started, on a machine of two cores."""
    processes: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*words: object, **options: object) -> subprocess.Popen[bytes]:
        processes.append(real(*words, **options))  # type: ignore[call-overload]
        return processes[-1]

    monkeypatch.setattr(preparing, "MIN_EACH", 4)
    monkeypatch.setattr(preparing, "cores", lambda: 2)
    monkeypatch.setattr(preparing.subprocess, "Popen", start)
    return processes


def same(found: list[Answer], expected: list[Answer]) -> bool:
    """Whether answers are equal, pixels and errors included."""
    return [told(one) for one in found] == [told(one) for one in expected]


def told(found: Answer) -> object:
    if isinstance(found, ImageError):
        return found.message
    return [(own.pixels.tolist(), own.box, own.doubt, own.warnings, own.touching) for own in found]


@pytest.mark.parametrize("question", [Question("ink"), Question("resize"), Question("ink", "yes")])
def test_workers_answer_as_this_process_does(
    pictures: list[str], started: list[subprocess.Popen[bytes]], question: Question
) -> None:
    here = [question.answer(path) for path in pictures]
    assert told(here[5]) == f"can't read {pictures[5]}: No such file or directory"
    assert same(list(prepare_each(pictures, question)), here)
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


def test_workers_import_nothing_from_the_working_directory(
    pictures: list[str], started: list[subprocess.Popen[bytes]]
) -> None:
    """Among pictures from anywhere there may be a file that is called as a library is."""
    Path("numpy.py").write_text("from pathlib import Path\nPath('was-run').touch()\n")
    list(prepare_each(pictures, Question("ink")))
    assert len(started) == 2
    assert not Path("was-run").exists()


def test_bar_counts_every_picture(
    pictures: list[str], started: list[subprocess.Popen[bytes]]
) -> None:
    bar = Bar()
    assert len(prepare_all(pictures, "ink", bar)) == COUNT
    assert bar.done == list(range(1, COUNT + 1))


def test_few_pictures_and_standard_input_start_nothing(
    pictures: list[str], started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Question, "answer", lambda self, path, ask=None: [])
    assert len(list(prepare_each(pictures[: HEAD + 7], Question("ink")))) == HEAD + 7
    assert len(list(prepare_each([STDIN, *pictures], Question("ink")))) == COUNT + 1
    assert not started


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux")
def test_no_more_processes_than_cores_that_may_be_used() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "from mnistctl.data.preparing import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_killed_worker_is_replaced(
    pictures: list[str], started: list[subprocess.Popen[bytes]]
) -> None:
    here = [Question("ink").answer(path) for path in pictures]
    found = prepare_each(pictures, Question("ink"))
    answers = [next(found)]
    started[0].kill()
    started[0].wait()
    assert same([*answers, *found], here)


def test_no_process_can_be_started(
    pictures: list[str],
    started: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preparing.sys, "executable", "/bin/false")
    here = [Question("ink").answer(path) for path in pictures]
    assert same(list(prepare_each(pictures, Question("ink"))), here)


def test_closing_ends_the_processes(
    pictures: list[str], started: list[subprocess.Popen[bytes]]
) -> None:
    found = prepare_each(pictures, Question("ink"))
    (first,) = [next(found)]
    assert not isinstance(first, ImageError)
    assert np.any(first[0].pixels)
    found.close()
    assert all(process.returncode is not None for process in started)


def test_where_a_network_is_asked_nothing_is_started(
    pictures: list[str], started: list[subprocess.Popen[bytes]]
) -> None:
    asked: list[int] = []

    def ask(pixels: Pixels) -> NDArray[np.float32]:
        asked.append(len(pixels))
        return np.zeros((len(pixels), 10), np.float32)

    assert len(list(prepare_each(pictures, Question("ink"), ask))) == COUNT
    assert asked
    assert not started
