"""The speed table: ours beside the plain loop, start-up, memory, share of the machine's rate."""

import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console

from mnistctl.cli.progress import BarReporter
from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.device import choose_precision
from mnistctl.distributed import Ranks
from mnistctl.events import Reporter
from mnistctl.recipes import RECIPES, Recipe
from tests.bench.figures import CPU, keep, machine, show, summary
from tests.bench.machine_rate import flops, matmul_rate
from tests.bench.ours import evaluation_rate, predictor_of, train_once, training_rate
from tests.bench.plain import examples_seconds_to, plain_evaluation_rate, plain_training_rate

WORK = 150e9
"""Operations that a rate is measured over, on the images in between these numbers of them."""
FEWEST_IMAGES, MOST_IMAGES = 3_000, 10_000
PEAK_MEMORY = (
    "import re, sys; from mnistctl.cli.app import app;"
    "app(sys.argv[1:], standalone_mode=False);"
    # Not ru_maxrss: a child begins with its parent's.
    "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)"
)


def measure(data_dir: Path, runs: int, only: list[str]) -> None:
    """Measure all parts, or those in `only`; print tables and update results/speed.json."""
    train, test = (
        get_dataset("mnist").load(name, data_dir, Reporter()) for name in ("train", "test")
    )
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    precision = choose_precision("auto", "cpu", Ranks()).value
    parts: dict[str, Callable[[], Any]] = {
        **{
            name: lambda name=name: recipe_rates(name, train, test, data_dir, precision, runs)
            for name in RECIPES
        },
        "bars": lambda: bar_cost(train, precision, max(runs, 5)),
        "start_up": lambda: start_up(data_dir, max(runs, 5)),
        "loading": lambda: loading(data_dir, max(runs, 5)),
        "seconds_to_99": lambda: seconds_to_99(train, test, data_dir, precision, runs),
        "peak_memory_mb": lambda: peak_memory(data_dir),
    }
    for name in only or parts:
        keep("speed", name, parts[name]())


def alternate(
    runs: int, *measures: Callable[[], float]
) -> tuple[list[dict[str, float]], list[float]]:
    """Summaries of each measure, run in turn, and the per-round ratios of first to second."""
    rounds = [[measure() for measure in measures] for _ in range(runs)]
    columns = [summary(column) for column in zip(*rounds, strict=True)]
    return columns, [row[0] / row[1] for row in rounds if len(row) > 1]


def recipe_rates(
    name: str,
    train: LabelledImages,
    test: LabelledImages,
    data_dir: Path,
    precision: str,
    runs: int,
) -> dict[str, Any]:
    """Images a second of a recipe, training and evaluation, ours and the plain loop's."""
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    rates = {kind: matmul_rate(dtype) for kind, dtype in kinds.items()}
    said = [f"{kind} {rate / 1e9:.0f} GFLOP/s" for kind, rate in rates.items()]
    print(f"{name}, in {precision}; products of matrices: {', '.join(said)}")
    table: dict[str, Any] = {"matmul_flops": rates, "precision": precision}
    for part, data in (("training", train), ("evaluation", test)):
        recipe = RECIPES[name]
        work = flops(recipe, part == "training")
        count = int(min(MOST_IMAGES, max(FEWEST_IMAGES, WORK / work)))
        few = LabelledImages(data.images[:count], data.labels[:count])
        columns, ratios = alternate(runs, *_sides(recipe, part, few, data_dir, precision))
        share = columns[0]["median"] * work / max(rates.values())
        table[part] = {
            "images": count,
            "rates": columns,
            "ratio": summary(ratios) if ratios else None,
            "share_of_matmul_rate": share,
        }
        beside = "no plain loop"
        if ratios:
            beside = f"plain loop {show(columns[1], 0)}, {show(summary(ratios))} times as fast"
        print(f"  {part}: {show(columns[0], 0)} images/s; {beside}; {share:.0%} of the rate")
    return table


def _sides(
    recipe: Recipe, part: str, data: LabelledImages, data_dir: Path, precision: str
) -> list[Callable[[], float]]:
    """What measures our rate, warmed up, and the plain loop's where the recipe is documented."""
    ours, plain, count = evaluation_rate, plain_evaluation_rate, len(data.images)
    if part == "training":
        ours, plain = training_rate, plain_training_rate
    ours(recipe, data, CPU, precision)
    sides = [lambda: ours(recipe, data, CPU, precision)]
    return [*sides, lambda: plain(recipe, data_dir, count)] if recipe.documented else sides


def bar_cost(train: LabelledImages, precision: str, runs: int) -> dict[str, float]:
    """Seconds of an epoch with bars on a terminal over seconds without, pair by pair."""
    recipe = replace(RECIPES["cnn-small"], epochs=1)

    def seconds(bars: bool) -> float:
        console = Console(file=io.StringIO(), force_terminal=True, width=100)
        reporter = BarReporter(console) if bars else Reporter()
        return train_once(recipe, train, CPU, precision, reporter=reporter)[1]

    _, ratios = alternate(runs, lambda: seconds(True), lambda: seconds(False))
    print(f"progress bars: {show(summary(ratios), 3)} times the time without")
    return summary(ratios)


def start_up(data_dir: Path, runs: int) -> dict[str, Any]:
    """Wall seconds of whole processes, in turn with the bare ones they are compared to."""
    with tempfile.TemporaryDirectory() as directory:
        picture, store = str(Path(directory, "digit.png")), ["--store", directory]
        digit = get_dataset("mnist").load("test", data_dir, Reporter()).images[0]
        Image.fromarray(digit.numpy()).save(picture)
        training = ["train", "--recipe", "fast", "--quiet", "--data-dir", str(data_dir), *store]
        process_seconds(["-m", "mnistctl", *training])
        commands = {
            "python -c pass": ["-c", "pass"],
            "mnistctl --help": ["-m", "mnistctl", "--help"],
            "python -c 'import torch'": ["-c", "import torch"],
            "mnistctl predict": ["-m", "mnistctl", "predict", picture, *store],
            "mnistctl train -r fast": ["-m", "mnistctl", *training],
        }
        rounds = [[process_seconds(words) for words in commands.values()] for _ in range(runs)]
    columns = dict(zip(commands, zip(*rounds, strict=True), strict=True))
    for name, values in columns.items():
        print(f"{name:<26} {show(summary(values), 3)} s")
    ratio = summary([row[3] / row[2] for row in rounds])
    print(f"predict over import torch: {show(ratio)}")
    return {name: summary(values) for name, values in columns.items()} | {"predict_ratio": ratio}


def process_seconds(words: list[str]) -> float:
    """Wall seconds of one Python process, which must succeed."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    return time.perf_counter() - start


def loading(data_dir: Path, runs: int) -> dict[str, float]:
    """Seconds from files to verified tensors, both splits, files in the system's cache."""

    def seconds() -> float:
        start = time.perf_counter()
        for name in ("train", "test"):
            get_dataset("mnist").load(name, data_dir, Reporter())
        return time.perf_counter() - start

    columns, _ = alternate(runs, seconds)
    print(f"load and verify MNIST: {show(columns[0], 3)} s")
    return columns[0]


def seconds_to_99(
    train: LabelledImages, test: LabelledImages, data_dir: Path, precision: str, runs: int
) -> dict[str, Any]:
    """Training seconds and accuracy of `fast`, in turn with pytorch/examples to 99 %."""
    ours: list[float] = []
    correct: list[int] = []
    theirs: list[float] = []
    epochs: list[int] = []
    for seed in range(runs):
        state, _ = train_once(RECIPES["fast"], train, CPU, precision, seed)
        ours.append(state.seconds)
        predictor = predictor_of(state, RECIPES["fast"], CPU, precision)
        correct.append(predictor.scores(test.images, test.labels).correct)
        seconds, needed = examples_seconds_to(0.99, data_dir, seed)
        theirs.append(seconds)
        epochs.append(needed)
    ratios = summary([b / a for a, b in zip(ours, theirs, strict=True)])
    print(
        f"fast: {show(summary(ours), 2)} s, correct {correct}; pytorch/examples to 99 %:"
        f" {show(summary(theirs), 0)} s in {epochs} epochs; {show(ratios, 0)} times faster"
    )
    return {"fast": ours, "correct": correct, "examples": theirs, "ratio": ratios}


def peak_memory(data_dir: Path) -> dict[str, dict[str, float]]:
    """Peak resident megabytes of whole processes: an epoch of each recipe, and its evaluation."""
    table: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as store:
        where = ["--quiet", "--device", "cpu", "--store", store, "--data-dir", str(data_dir)]
        for name in RECIPES:
            train = ["train", "--recipe", name, "--epochs", "1", "--name", name]
            table[name] = {"train": peak_megabytes([*train, *where])}
            table[name]["evaluate"] = peak_megabytes(["evaluate", name, *where])
            print(
                name, *(f"{what} {peak:.0f} MB" for what, peak in table[name].items()), flush=True
            )
    return table


def peak_megabytes(words: list[str]) -> float:
    """Peak resident megabytes of a process with the command `words` (on Linux)."""
    command = [sys.executable, "-c", PEAK_MEMORY, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) / 1024
