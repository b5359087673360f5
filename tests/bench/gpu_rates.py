"""On a GPU: the seconds to an accuracy, and images a second, in turn with what others run there."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnistctl.data.images import LabelledImages
from mnistctl.device import synchronize
from mnistctl.recipes import RECIPES, Recipe
from tests.bench.figures import show, summary
from tests.bench.gpu_steps import FEW, Step
from tests.bench.machine_rate import flops, matmul_rate
from tests.bench.ours import predictor_of, train_once, training_rate
from tests.bench.peers import fast_inputs, num_correct, train_fast
from tests.bench.plain import plain_training_rate

GOALS = {"fast": 100, "standard": 20, "accurate": 5}
"""Seeds of each recipe for its mean accuracy, at most; as many as there is time for."""
SECONDS = {"fast": 60.0, "standard": 75.0, "accurate": 60.0}
Trainer = Callable[[int], tuple[int, float]]
"""From a seed to the test images that are right, and the seconds of training."""
PRODUCT = 8192
"""Side of the matrices whose product is the card's rate."""


def seconds_to_accuracy(
    train: LabelledImages, test: LabelledImages, device: torch.device, precision: str, seeds: int
) -> Iterator[Step]:
    """Accuracy and training seconds of whole runs over seeds, data in memory, after a warm-up.

    From before the network is made to the last step's end. Those of `fast` in turn with a recipe
    that is fast elsewhere.
    """
    trainers: dict[str, Trainer] = {
        name: partial(ours, RECIPES[name], train, test, device, precision) for name in GOALS
    }
    shuffled = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(0))
    inputs = fast_inputs(train.images[shuffled.to(device)])
    labels, seen = train.labels[shuffled.to(device)], fast_inputs(test.images.to(device))
    trainers["train_mnist_fast"] = partial(theirs, inputs, labels, seen, test)
    for names in (["fast", "train_mnist_fast"], ["standard"], ["accurate"]):
        most = min(GOALS[names[0]], seeds)
        own = {name: trainers[name] for name in names}
        yield f"seconds {' and '.join(names)}", partial(over_seeds, own, most, len(test.images))


def over_seeds(trainers: dict[str, Trainer], most: int, num_test: int) -> dict[str, Any]:
    """Correct answers and seconds of `most` seeds of each, in turn, or of what time allows."""
    for trainer in trainers.values():
        trainer(0)  # the warm-up: kernels are chosen
    end = time.perf_counter() + SECONDS[next(iter(trainers))]
    runs: dict[str, list[tuple[int, float]]] = {name: [] for name in trainers}
    for seed in range(most):
        for name, trainer in trainers.items():
            runs[name].append(trainer(seed))
        if time.perf_counter() > end:
            break
    figures: dict[str, Any] = {"warm_up_runs": 1}
    for name, own in runs.items():
        correct, seconds = [run[0] for run in own], [run[1] for run in own]
        mean = 100 * sum(correct) / len(correct) / num_test
        text = f"{name:<16} n={len(own)} mean {mean:.3f} %, {show(summary(seconds), 3)} s"
        print(text, flush=True)
        figures[name] = {"correct": correct, "seconds": seconds}
    return figures


def ours(
    recipe: Recipe,
    train: LabelledImages,
    test: LabelledImages,
    device: torch.device,
    precision: str,
    seed: int,
) -> tuple[int, float]:
    """Test images that a run gets right, and its seconds, the making of the network included."""
    synchronize(device)
    start = time.perf_counter()
    state, _ = train_once(recipe, train, device, precision, seed)
    seconds = time.perf_counter() - start
    predictor = predictor_of(state, recipe, device, precision)
    return predictor.scores(test.images, test.labels).correct, seconds


def theirs(
    inputs: Tensor, labels: Tensor, seen: Tensor, test: LabelledImages, seed: int
) -> tuple[int, float]:
    """The same of tuomaso/train_mnist_fast, on its `inputs` and on the test images as `seen`."""
    with usual_tf32():
        model, seconds = train_fast(inputs, labels, seed)
    return num_correct(model, seen, test), seconds


@contextlib.contextmanager
def usual_tf32() -> Iterator[None]:
    """Torch's default for programs that don't ask: convolutions may round to TF32."""
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = False


def against_plain(
    train: LabelledImages, data_dir: Path, device: torch.device, precision: str
) -> Iterator[Step]:
    """Images a second in turn with the plain loop on the same card, and the share of its rate."""
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    side = PRODUCT if device.type == "cuda" else 512
    peaks: dict[str, Any] = {}

    def products() -> dict[str, Any]:
        for name, kind in types.items():
            peaks[name] = matmul_rate(kind, 1.0, device, side)
        print({name: f"{rate / 1e12:.2f} TFLOP/s" for name, rate in peaks.items()}, flush=True)
        return peaks

    yield "matrix product", products
    few = LabelledImages(train.images[:FEW], train.labels[:FEW])
    for recipe in RECIPES.values():
        own = few if recipe.outliers_per_batch else train
        yield f"rate {recipe.name}", partial(rates, recipe, own, data_dir, device, precision, peaks)


def rates(
    recipe: Recipe,
    train: LabelledImages,
    data_dir: Path,
    device: torch.device,
    precision: str,
    peaks: dict[str, float],
    runs: int = 3,
) -> dict[str, Any]:
    """Images a second over `runs`, the plain loop's in turn where the recipe is a common one."""
    plain_images = min(len(train.images), FEW)

    def plain_rate() -> float:
        with usual_tf32():
            return plain_training_rate(recipe, data_dir, plain_images, device)

    training_rate(recipe, train, device, precision)
    if recipe.documented:
        plain_rate()
    own, plain = [], []
    for _ in range(runs):
        own.append(training_rate(recipe, train, device, precision))
        if recipe.documented:
            plain.append(plain_rate())
    share = None
    if precision in peaks:
        share = summary(own)["median"] * flops(recipe, training=True) / peaks[precision]
    ratio = [a / b for a, b in zip(own, plain, strict=False)]
    times = f", {show(summary(ratio), 1)} times the plain loop" if ratio else ""
    of_peak = "" if share is None else f", {100 * share:.1f} % of the product's rate"
    print(f"{recipe.name:<12} {show(summary(own), 0)} images/s{of_peak}{times}", flush=True)
    return {"ours": own, "plain": plain, "share_of_product": share}
