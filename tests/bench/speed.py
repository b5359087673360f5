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
from mnistctl.events import NullReporter
from mnistctl.recipes import RECIPES
from tests.bench.figures import keep, show, summary
from tests.bench.machine_rate import matmul_rate, training_flops
from tests.bench.ours import evaluation_rate, predictor_of, train_once, training_rate
from tests.bench.plain import examples_seconds_to, plain_evaluation_rate, plain_training_rate

CPU = torch.device("cpu")
PLAIN_IMAGES = 12_000
"""Images that a plain training run takes; a rate needs no whole epoch."""
PEAK_MEMORY = (
    "import re, sys; from mnistctl.cli.app import app;"
    "app(sys.argv[1:], standalone_mode=False);"
    # Not ru_maxrss: a child begins with its parent's.
    "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)"
)


def measure(data_dir: Path, runs: int, only: list[str]) -> None:
    """Measure all parts, or those in `only`; print tables and update results/speed.json."""
    train, test = (
        get_dataset("mnist").load(name, data_dir, NullReporter()) for name in ("train", "test")
    )
    precision = choose_precision("auto", "cpu", Ranks()).value
    parts: dict[str, Callable[[], Any]] = {
        "recipes": lambda: recipe_rates(train, test, data_dir, precision, runs),
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
    train: LabelledImages, test: LabelledImages, data_dir: Path, precision: str, runs: int
) -> dict[str, Any]:
    """Images a second of every recipe, training and evaluation, ours and the plain loop's."""
    peak = matmul_rate(torch.bfloat16 if precision == "bf16" else torch.float32)
    print(f"matrix product, {precision}: {peak / 1e9:.0f} GFLOP/s")
    print(f"{'recipe':<12} {'part':<9} {'images/s':<28} {'plain loop':<28} {'ratio':<18} of peak")
    table: dict[str, Any] = {"matmul_flops": peak}
    for name, recipe in RECIPES.items():
        part = LabelledImages(train.images[:PLAIN_IMAGES], train.labels[:PLAIN_IMAGES])
        documented = recipe.schedule == "constant"
        measures: list[Callable[[], float]] = [
            lambda recipe=recipe, part=part: training_rate(recipe, part, CPU, precision)
        ]
        if documented:
            measures.append(
                lambda recipe=recipe: plain_training_rate(recipe, data_dir, PLAIN_IMAGES)
            )
        measures[0]()  # warm up
        training, ratios = alternate(runs, *measures)
        share = training[0]["median"] * training_flops(recipe) / peak
        _row(name, "training", training, ratios, share)
        measures = [lambda recipe=recipe: evaluation_rate(recipe, test, CPU, precision)]
        if documented:
            measures.append(lambda recipe=recipe: plain_evaluation_rate(recipe, data_dir))
        measures[0]()
        evaluation, evaluation_ratios = alternate(runs, *measures)
        _row(name, "evaluation", evaluation, evaluation_ratios, None)
        table[name] = {
            "training": training,
            "training_ratio": summary(ratios) if ratios else None,
            "share_of_matmul_rate": share,
            "evaluation": evaluation,
            "evaluation_ratio": summary(evaluation_ratios) if evaluation_ratios else None,
        }
    return table


def _row(
    name: str,
    part: str,
    columns: list[dict[str, float]],
    ratios: list[float],
    share: float | None,
) -> None:
    plain = show(columns[1], 0) if len(columns) > 1 else "-"
    ratio = show(summary(ratios), 1) if ratios else "-"
    of_peak = f"{100 * share:.0f} %" if share is not None else ""
    print(f"{name:<12} {part:<10} {show(columns[0], 0):<28} {plain:<28} {ratio:<18} {of_peak}")


def bar_cost(train: LabelledImages, precision: str, runs: int) -> dict[str, float]:
    """Seconds of an epoch with bars on a terminal over seconds without, pair by pair."""
    recipe = replace(RECIPES["cnn-small"], epochs=1)

    def seconds(bars: bool) -> float:
        console = Console(file=io.StringIO(), force_terminal=True, width=100)
        reporter = BarReporter(console) if bars else NullReporter()
        return train_once(recipe, train, CPU, precision, reporter=reporter)[1]

    _, ratios = alternate(runs, lambda: seconds(True), lambda: seconds(False))
    print(f"progress bars: {show(summary(ratios), 3)} times the time without")
    return summary(ratios)


def start_up(data_dir: Path, runs: int) -> dict[str, Any]:
    """Wall seconds of whole processes, in turn with the bare ones they are compared to."""
    with tempfile.TemporaryDirectory() as directory:
        picture, store = str(Path(directory, "digit.png")), ["--store", directory]
        digit = get_dataset("mnist").load("test", data_dir, NullReporter()).images[0]
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
            get_dataset("mnist").load(name, data_dir, NullReporter())
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


def peak_memory(data_dir: Path) -> float:
    """Peak resident megabytes of a whole training process (on Linux)."""
    with tempfile.TemporaryDirectory() as store:
        words = ["train", "--epochs", "1", "--quiet", "--device", "cpu", "--store", store]
        done = subprocess.run(
            [sys.executable, "-c", PEAK_MEMORY, *words, "--data-dir", str(data_dir)],
            capture_output=True,
            text=True,
            check=True,
        )
    megabytes = int(done.stderr.split()[-1]) / 1024
    print(f"peak memory of train: {megabytes:.0f} MB")
    return megabytes
