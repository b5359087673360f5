"""How the cost of training `fast` grows with threads, batch size and images, and what it holds.

`python -m tests.bench scaling`. Each point is a process of its own, for its threads and memory.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mnistctl.data import synthetic
from mnistctl.data.images import MNIST_SIZES, LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.device import choose_hardware, keep_freed_memory
from mnistctl.distributed import Ranks
from mnistctl.draw.style import BLUE, VERMILLION, new_figure, open_frame
from mnistctl.draw.types import Figure
from mnistctl.events import Reporter
from mnistctl.recipes import RECIPES
from tests.bench.figures import CPU, RESULTS, append, machine, markdown
from tests.bench.ours import Stopwatch, predictor_of, train_once

RECIPE = RECIPES["fast"]
THREADS, BATCH_SIZES, IMAGES = (1, 2, 4, 8, 16), (50, 250, 1_000, 4_000), (6_000, 60_000, 600_000)
EPOCHS, MOST_IMAGES = (1, 2, 4, 8, 16, 32, 64), 480_000
"""Whole runs of so many epochs are tried for one that ends at the goal, up to so many images."""
GOAL = 0.99
NAMES = {"threads": "threads", "batch_size": "batch size", "images": "synthetic images"}
PICTURE = RESULTS / "scaling.png"


@dataclass(frozen=True)
class Point:
    """One training; `varied` names the field that differs from the others of its series."""

    varied: str
    threads: int = 1
    batch_size: int = RECIPE.batch_size
    images: int = 60_000


def points() -> Iterator[Point]:
    """All that is measured; as many threads as there are cores."""
    cores = os.cpu_count() or 1
    yield from (Point("threads", threads=n) for n in THREADS if n <= cores)
    yield from (Point("batch_size", batch_size=n) for n in BATCH_SIZES)
    yield from (Point("images", images=n) for n in IMAGES)


def measure(data_dir: Path, only: list[str]) -> None:
    """Measure all series, or those in `only`, a line a point to results/scaling.jsonl.

    Print a table, and draw a picture, of what is there.
    """
    for point in points():
        if only and point.varied not in only:
            continue
        command = [sys.executable, "-m", "tests.bench.scaling", str(data_dir)]
        environment = os.environ | {"OMP_NUM_THREADS": str(point.threads)}
        words = [*command, json.dumps(asdict(point))]
        said = subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=True)
        row = json.loads(said.stdout)
        append("scaling", {**row, "machine": machine() | {"cpu_threads": point.threads}})
    rows = latest((RESULTS / "scaling.jsonl").read_text())
    print(table(rows))
    figure(rows).savefig(PICTURE, dpi=100)


def latest(lines: str) -> list[dict[str, Any]]:
    """The last row of each point, in the order of their series."""
    rows = [json.loads(line) for line in lines.splitlines()]
    found = {(row["varied"], row[row["varied"]]): row for row in rows}
    return [found[key] for name in NAMES for key in sorted(k for k in found if k[0] == name)]


def trained(point: Point, data_dir: Path) -> dict[str, Any]:
    """Rate, seconds and epochs of the shortest run that reaches the goal (None), peak megabytes."""
    train, test = _data(point, data_dir)
    recipe = replace(RECIPE, batch_size=point.batch_size)
    _, precision = choose_hardware("cpu", "auto", Ranks(), Reporter())
    few = LabelledImages(train.images[: 2 * point.batch_size], train.labels[: 2 * point.batch_size])
    train_once(recipe, few, CPU, precision)
    found = {"rate": 0.0, "seconds": None, "epochs": None}
    for epochs in EPOCHS:
        if epochs > 1 and epochs * point.images > MOST_IMAGES:
            break
        longer, watch = replace(recipe, epochs=epochs), Stopwatch(CPU)
        state, _ = train_once(longer, train, CPU, precision, reporter=watch)
        found["rate"] = state.images / watch.seconds
        predictor = predictor_of(state, longer, CPU, precision)
        if predictor.scores(test.images, test.labels).accuracy >= GOAL:
            found |= {"seconds": watch.seconds, "epochs": epochs}
            break
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    assert peak
    return {**asdict(point), "precision": precision, **found, "peak_mb": int(peak[1]) / 1024}


def _data(point: Point, data_dir: Path) -> tuple[LabelledImages, LabelledImages]:
    """What is trained on, and tested on: synthetic digits where their number is varied."""
    if point.varied != "images":
        load = get_dataset("mnist").load
        train, test = (load(split, data_dir, Reporter()) for split in ("train", "test"))
        return train, test
    size = MNIST_SIZES["train"]
    images = torch.empty(point.images, 28, 28, dtype=torch.uint8)
    labels = torch.empty(point.images, dtype=torch.int64)
    for seed, first in enumerate(range(0, point.images, size)):
        drawn, rest = synthetic.load("train", seed), slice(first, first + size)
        images[rest] = drawn.images[: point.images - first]
        labels[rest] = drawn.labels[: point.images - first]
    return LabelledImages(images, labels), synthetic.load("test")


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a row a point."""
    header = ["varied", "", "images/s", "seconds to 99 %", "epochs", "peak memory, MB"]
    cells = [
        [
            NAMES[row["varied"]],
            f"{row[row['varied']]:,}",
            f"{row['rate']:,.0f}",
            f"{row['seconds']:.2f}" if row["seconds"] else "not reached",
            str(row["epochs"] or "-"),
            f"{row['peak_mb']:,.0f}",
        ]
        for row in rows
    ]
    return markdown(header, cells)


def figure(rows: list[dict[str, Any]]) -> Figure:
    """A panel for each series: images a second, and peak memory."""
    drawn = new_figure(9, 3, f"Training {RECIPE.name}: how cost grows")
    series = [name for name in NAMES if any(row["varied"] == name for row in rows)]
    panels = drawn.subplots(1, len(series), squeeze=False)[0]
    for axes, varied in zip(panels, series, strict=True):
        own = [row for row in rows if row["varied"] == varied]
        places = [row[varied] for row in own]
        axes.plot(places, [row["rate"] for row in own], "o-", color=BLUE, label="images/s")
        memory = axes.twinx()
        memory.plot(places, [row["peak_mb"] for row in own], "s--", color=VERMILLION)
        axes.set_xscale("log")
        axes.set_xticks(places, [f"{place:,}" for place in places])
        axes.minorticks_off()
        axes.set_xlabel(NAMES[varied])
        for panel in (axes, memory):
            panel.set_ylim(0, 1.1 * panel.get_ylim()[1])
        axes.tick_params("y", colors=BLUE)
        memory.tick_params("y", colors=VERMILLION)
        open_frame(axes)
        open_frame(memory)
    drawn.axes[0].set_ylabel("images/s", color=BLUE)
    drawn.axes[-1].set_ylabel("peak memory, MB", color=VERMILLION)
    return drawn


if __name__ == "__main__":
    keep_freed_memory()
    print(json.dumps(trained(Point(**json.loads(sys.argv[2])), Path(sys.argv[1]))))
