"""A GPU in one command: the seconds to an accuracy, the rates, and every command on it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.device import choose_hardware, why_unusable
from mnistctl.distributed import Ranks
from mnistctl.errors import DeviceError
from mnistctl.events import NullReporter
from mnistctl.recipes import RECIPES, Recipe
from mnistctl.visualize.registry import all_kinds
from tests.bench.figures import append, machine, show, summary
from tests.bench.machine_rate import flops, matmul_rate
from tests.bench.ours import predictor_of, train_once, training_rate
from tests.bench.peers import fast_inputs, num_correct, train_fast
from tests.bench.plain import plain_training_rate

GOALS = {"fast": 100, "standard": 20, "accurate": 5}
"""Seeds of each recipe for its mean accuracy, at most; as many as there is time for."""
SECONDS = {"fast": 60.0, "standard": 90.0, "accurate": 60.0}
Trainer = Callable[[int], tuple[int, float]]
"""From a seed to the test images that are right, and the seconds of training."""
PRODUCT = 8192
"""Side of the matrices whose product is the card's rate."""
PROGRAM = [sys.executable, "-m", "mnistctl"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


def measure(
    data_dir: Path,
    device_name: str,
    images: int = 60_000,
    seeds: int = 100,
    program: list[str] = PROGRAM,
) -> None:
    """Measure all on `device_name`, a line each to results/gpu.jsonl.

    `images` and `seeds` bound the work. Raises DeviceError where the device can't be used.
    """
    if problem := why_unusable(device_name):
        raise DeviceError(f"{device_name}: {problem}", "this benchmark needs a GPU")
    device, precision = choose_hardware(device_name, "auto", Ranks(), NullReporter())
    whole = get_dataset("mnist").load("train", data_dir, NullReporter())
    train = LabelledImages(whole.images[:images].to(device), whole.labels[:images].to(device))
    test = get_dataset("mnist").load("test", data_dir, NullReporter())
    card = {"device": str(device), "precision": precision, "images": images, **card_of(device)}
    for part, figures in chain(
        seconds_to_accuracy(train, test, device, precision, seeds),
        against_plain(train, data_dir, device, precision),
        commands(data_dir, device_name, program),
    ):
        append("gpu", {"part": part, **card, "machine": machine(), "figures": figures})


def card_of(device: torch.device) -> dict[str, Any]:
    """Name, driver and memory of a GPU; nothing of a CPU."""
    if device.type != "cuda":
        return {}
    properties = torch.cuda.get_device_properties(device)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
    memory = round(properties.total_memory / 2**30)
    return {
        "card": properties.name,
        "driver": driver[:1],
        "gib": memory,
        "cuda": torch.version.cuda,
    }


def seconds_to_accuracy(
    train: LabelledImages, test: LabelledImages, device: torch.device, precision: str, seeds: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Accuracy and training seconds of whole runs over seeds, data in memory, after a warm-up.

    Those of `fast` in turn with a recipe that is fast elsewhere.
    """
    trainers: dict[str, Trainer] = {
        name: partial(ours, RECIPES[name], train, test, device, precision) for name in GOALS
    }
    shuffled = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(0))
    inputs = fast_inputs(train.images[shuffled.to(device)])
    labels, seen = train.labels[shuffled.to(device)], fast_inputs(test.images.to(device))
    trainers["train_mnist_fast"] = partial(theirs, inputs, labels, seen, test)
    for names in (["fast", "train_mnist_fast"], ["standard"], ["accurate"]):
        for name in names:
            trainers[name](0)  # the warm-up: kernels are chosen
        most, end = min(GOALS[names[0]], seeds), time.perf_counter() + SECONDS[names[0]]
        runs: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
        for seed in range(most):
            for name in names:
                runs[name].append(trainers[name](seed))
            if time.perf_counter() > end:
                break
        for name, own in runs.items():
            correct, seconds = [run[0] for run in own], [run[1] for run in own]
            mean = 100 * sum(correct) / len(correct) / len(test.images)
            print(f"{name:<16} n={len(own)} mean {mean:.3f} %, {show(summary(seconds), 3)} s")
            yield f"seconds {name}", {"correct": correct, "seconds": seconds, "warm_up_runs": 1}


def ours(
    recipe: Recipe,
    train: LabelledImages,
    test: LabelledImages,
    device: torch.device,
    precision: str,
    seed: int,
) -> tuple[int, float]:
    """Test images that a run gets right, and the seconds of its training."""
    state, _ = train_once(recipe, train, device, precision, seed)
    predictor = predictor_of(state, recipe, device, precision)
    return predictor.scores(test.images, test.labels).correct, state.seconds


def theirs(
    inputs: Tensor, labels: Tensor, seen: Tensor, test: LabelledImages, seed: int
) -> tuple[int, float]:
    """The same of tuomaso/train_mnist_fast, on its `inputs` and on the test images as `seen`."""
    model, seconds = train_fast(inputs, labels, seed)
    return num_correct(model, seen, test), seconds


def against_plain(
    train: LabelledImages, data_dir: Path, device: torch.device, precision: str, runs: int = 3
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Images a second in turn with the plain loop on the same card, and the share of its rate."""
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    side = PRODUCT if device.type == "cuda" else 512
    peaks = {name: matmul_rate(kind, 1.0, device, side) for name, kind in types.items()}
    print({name: f"{rate / 1e12:.2f} TFLOP/s" for name, rate in peaks.items()})
    yield "matrix product", peaks
    plain_images = min(len(train.images), 6_000)
    for name, recipe in RECIPES.items():
        training_rate(recipe, train, device, precision)
        ours, plain = [], []
        for _ in range(runs):
            ours.append(training_rate(recipe, train, device, precision))
            if recipe.documented:
                plain.append(plain_training_rate(recipe, data_dir, plain_images, device))
        share = summary(ours)["median"] * flops(recipe, training=True) / peaks[precision]
        ratio = [a / b for a, b in zip(ours, plain, strict=False)]
        beside = f", {show(summary(ratio), 1)} times the plain loop" if ratio else ""
        print(f"{name:<12} {show(summary(ours), 0)} images/s, {100 * share:.1f} % of it{beside}")
        yield f"rate {name}", {"ours": ours, "plain": plain, "share_of_product": share}


def commands(
    data_dir: Path, device: str, program: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every command on the card: its exit code, seconds, and the last line of what failed."""
    with tempfile.TemporaryDirectory() as place:
        environment = os.environ | {"MNISTCTL_DATA": str(data_dir.absolute())}
        for name, words, code in commands_on(device, program):
            start = time.perf_counter()
            done = subprocess.run(
                words, cwd=place, env=environment, capture_output=True, text=True, check=False
            )
            seconds = time.perf_counter() - start
            said = done.stderr.strip().splitlines()[-2:] if done.returncode else []
            right = "as it should" if done.returncode == code else f"not {code}: {said}"
            print(f"{name:<40} {seconds:6.1f} s, ended with {done.returncode}, {right}")
            yield name, {"code": done.returncode, "seconds": seconds, "said": said}


def commands_on(device: str, program: list[str]) -> Iterator[tuple[str, list[str], int]]:
    """Name, words and exit code: in this order, since later ones use the runs of earlier ones."""

    def on(*words: str) -> list[str]:
        return [*program, *words, "--device", device]

    for recipe in RECIPES:
        for precision in ("fp32", "bf16"):
            words = ["train", "-r", recipe, "--epochs", "1", "--precision", precision, "--quiet"]
            yield f"train {recipe} {precision}", on(*words, "--name", f"{recipe}-{precision}"), 0
    yield "begin on the CPU", [*program, "train", "-r", "fast", "--name", "x", "--device", "cpu"], 0
    yield "go on with it here", on("train", "--resume", "x", "--epochs", "2"), 0
    back = [*program, "train", "--resume", "x", "--epochs", "3", "--device", "cpu"]
    yield "go back to the CPU", back, 0
    yield "ensemble of 8", on("train", "-r", "fast", "--ensemble", "8", "--name", "e"), 0
    yield "evaluate", on("evaluate", "x", "e", "shipped"), 0
    picture = ["visualize", "samples", "--count", "1", "-o", "digit.png"]
    yield "a picture", [*program, *picture], 0
    yield "predict", on("predict", "digit.png"), 0
    for kind in all_kinds():
        models = ["-c", "x", "-c", "e"] if kind == "compare" else ["-c", "x"]
        offline = kind in ("curves", "samples")  # these ask no network
        words = [*program, "visualize", kind] if offline else on("visualize", kind, *models)
        yield f"visualize {kind}", [*words, "-o", f"{kind}.png"], 0
    module = program[1:]
    train = ["train", "-r", "fast", "--epochs", "1", "--device", device.partition(":")[0]]
    yield "torchrun, one process", [*TORCHRUN, "1", *module, *train], 0
    yield "torchrun, two on one card", [*TORCHRUN, "2", *module, *train], 1
