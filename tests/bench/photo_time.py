"""What a photograph costs: preparing one, beside another version; and 1,000 through `predict`."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from tests.bench.figures import PACKAGE, append, machine, markdown, show, summary
from tests.bench.photos import read_index

ONE_BY_ONE = (
    "import json, sys, time\n"
    "from pathlib import Path\n"
    "from mnistctl.imaging.files import read_image\n"
    "from mnistctl.imaging.prepare import prepare\n"
    "def cost(path):\n"
    "    start = time.thread_time()\n"
    "    prepare(read_image(Path(path)))\n"
    "    return 1000 * (time.thread_time() - start)\n"
    "paths = sys.argv[1:]\n"
    "for path in paths: cost(path)\n"
    "print(json.dumps([cost(path) for path in paths]))\n"
)
MANY = 1_000
POLL = 0.05
"""Seconds between looks at the memory."""


def measure(digits: Path, against: Path | None, runs: int) -> None:
    """Print the tables; append a line to results/photo_time.jsonl.

    `against` is the root of another version's source tree; the two take turns.
    """
    paths = [str(path.absolute()) for path, _, _ in read_index(digits)]
    trees = {"now": PACKAGE.parent} | ({"before": against} if against else {})
    each: dict[str, list[list[float]]] = {name: [] for name in trees}
    for _ in range(runs):
        for name, tree in trees.items():
            each[name].append(milliseconds(tree, paths))
    usable = sorted(os.sched_getaffinity(0))
    many = {
        str(count): [predicted(paths, usable[:count]) for _ in range(runs)]
        for count in dict.fromkeys((1, len(usable)))
    }
    line = {"photographs": len(paths), "ms": each, "many": many, "machine": machine()}
    append("photo_time", line)
    print(f"{cost_table(each)}\n\n{many_table(many)}")


def milliseconds(tree: Path, paths: Sequence[str]) -> list[float]:
    """Of CPU on one thread that reading and preparing each picture takes a source tree."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, *paths],
        env=os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        cwd=tree,  # which Python looks into first
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[float] = json.loads(done.stdout)
    return found


def predicted(paths: Sequence[str], cores: Sequence[int]) -> dict[str, float]:
    """Images a second of `predict` on some cores, start-up included, and megabytes at most."""
    words = ["-m", "mnistctl", "predict", "--json", "--device", "cpu", "-c", "shipped"]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as answers:
        process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, cores)), sys.executable, *words]
            + list(islice(cycle(paths), MANY)),
            stdout=answers,
        )
        megabytes = 0.0
        while process.poll() is None:
            megabytes = max(megabytes, resident(process.pid))
            time.sleep(POLL)
    if process.returncode:
        raise RuntimeError(f"predict ended with exit code {process.returncode}")
    return {"images_per_second": MANY / (time.perf_counter() - start), "megabytes": megabytes}


def resident(pid: int) -> float:
    """Megabytes of a process and those it started; what they share counts once for each."""
    process = Path(f"/proc/{pid}")
    try:
        pages = int((process / "statm").read_text().split()[1])
        children = (process / f"task/{pid}/children").read_text().split()
    except (OSError, IndexError):  # it has just ended
        return 0.0
    own = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return own + sum(resident(int(child)) for child in children)


def cost_table(each: dict[str, list[list[float]]]) -> str:
    """Markdown: milliseconds a photograph, the mean and the median of each run."""
    rows = [
        [
            name,
            str(len(runs)),
            show(summary([statistics.mean(run) for run in runs]), 1),
            show(summary([statistics.median(run) for run in runs]), 1),
        ]
        for name, runs in each.items()
    ]
    return markdown(["version", "runs", "mean, ms of CPU", "median"], rows)


def many_table(many: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: 1,000 photographs on so many cores."""
    rows = [
        [
            cores,
            str(len(runs)),
            show(summary([run["images_per_second"] for run in runs]), 0),
            show(summary([run["megabytes"] for run in runs]), 0),
        ]
        for cores, runs in many.items()
    ]
    return markdown(["cores", "runs", "images/s", "memory, MB"], rows)
