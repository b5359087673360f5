"""A GPU in one command: the seconds to an accuracy, the rates, and every command on it.

Each step is measured for itself: one that fails is a line that says so, and one that would begin
after `SECONDS_IN_ALL` is skipped, so that a machine which is lent for minutes yields what it can.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mnistctl.data.download import download_files
from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.device import choose_hardware, synchronize, why_unusable
from mnistctl.distributed import (
    Ranks,
    from_first,
    gather_over_ranks,
    share_weights,
    total_over_ranks,
    wait_for_all,
)
from mnistctl.engine.training.loop import FitData, Hooks, _Loop
from mnistctl.engine.training.signals import StopRequest
from mnistctl.engine.training.state import new_state
from mnistctl.errors import DeviceError
from mnistctl.events import NullReporter
from mnistctl.recipes import RECIPES, Recipe
from mnistctl.visualize.registry import all_kinds
from tests.bench.figures import PACKAGE, append, machine, show, summary
from tests.bench.machine_rate import flops, matmul_rate
from tests.bench.ours import bench_config, predictor_of, train_once, training_rate
from tests.bench.peers import fast_inputs, num_correct, train_fast
from tests.bench.plain import plain_training_rate

SECONDS_IN_ALL = 540.0
GOALS = {"fast": 100, "standard": 20, "accurate": 5}
"""Seeds of each recipe for its mean accuracy, at most; as many as there is time for."""
SECONDS = {"fast": 60.0, "standard": 75.0, "accurate": 60.0}
Trainer = Callable[[int], tuple[int, float]]
"""From a seed to the test images that are right, and the seconds of training."""
Step = tuple[str, Callable[[], dict[str, Any]]]
"""A name, and what measures its figures."""
PRODUCT = 8192
"""Side of the matrices whose product is the card's rate."""
FEW = 6_000
"""Images where drawing outliers for all would take most of the time."""
PROGRAM = [sys.executable, "-m", "mnistctl"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
COMMAND_SECONDS = 90.0
AT_ONCE = 4
"""Trainings that are only to succeed, side by side."""


@dataclass(frozen=True)
class Command:
    """Words of a command, and what it is to end with."""

    words: list[str]
    code: int = 0
    says: str = ""
    """What it is to say on stderr."""


def measure(
    data_dir: Path,
    device_name: str,
    images: int = 60_000,
    seeds: int = 100,
    program: list[str] = PROGRAM,
) -> bool:
    """Measure all on `device_name`, a line each to results/gpu.jsonl; whether nothing failed.

    `images` and `seeds` bound the work. Raises DeviceError where the device can't be used.
    """
    end = time.perf_counter() + SECONDS_IN_ALL
    if problem := why_unusable(device_name):
        raise DeviceError(f"{device_name}: {problem}", "this benchmark needs a GPU")
    device, precision = choose_hardware(device_name, "auto", Ranks(), NullReporter())
    mnist = get_dataset("mnist")
    download_files(mnist, data_dir, None, False, NullReporter())  # torchvision reads no .gz
    whole = mnist.load("train", data_dir, NullReporter())
    train = LabelledImages(whole.images[:images].to(device), whole.labels[:images].to(device))
    test = mnist.load("test", data_dir, NullReporter())
    card = {"device": str(device), "precision": precision, "images": images, **card_of(device)}
    steps = chain(
        seconds_to_accuracy(train, test, device, precision, seeds),
        [("nccl alone", partial(alone_in_a_group, device))],
        without_waiting(train, device),
        commands(data_dir, device_name, program),
        against_plain(train, data_dir, device, precision),
    )
    good = True
    for part, function in steps:
        figures, failed = figures_of(part, function, end)
        good = good and not failed
        append("gpu", {"part": part, **card, "machine": machine(), "figures": figures})
    return good


def figures_of(
    part: str, function: Callable[[], dict[str, Any]], end: float
) -> tuple[dict[str, Any], bool]:
    """What a step measures, or why it didn't; and whether it failed."""
    if time.perf_counter() > end:
        print(f"{part}: skipped, the time is over", flush=True)
        return {"skipped": True}, True
    try:
        figures = function()
    except Exception as error:
        traceback.print_exc()
        print(f"{part}: {type(error).__name__}: {error}", flush=True)
        return {"error": f"{type(error).__name__}: {error}"}, True
    return figures, bool(figures.get("wrong"))


def card_of(device: torch.device) -> dict[str, Any]:
    """Name, driver and memory of a GPU; nothing of a CPU."""
    if device.type != "cuda":
        return {}
    properties = torch.cuda.get_device_properties(device)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver: list[str] = []
    with contextlib.suppress(OSError):
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


def alone_in_a_group(device: torch.device) -> dict[str, Any]:
    """Every exchange of several processes, by NCCL on a card, in a group of one process."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dist.init_process_group(
        backend,
        init_method=f"tcp://127.0.0.1:{port}",
        rank=0,
        world_size=1,
        device_id=device if backend == "nccl" else None,
    )
    try:
        value = torch.ones(3, device=device)
        model = DistributedDataParallel(nn.Linear(3, 2).to(device))
        model(value).sum().backward()
        share_weights(model)
        wait_for_all()
        exact = bool((total_over_ranks(value) == 1).all()) and from_first("x") == "x"
        gathered = gather_over_ranks(value.sum(), Ranks()).tolist()
    finally:
        dist.destroy_process_group()
    print(f"{backend} in a group of one: {gathered}", flush=True)
    return {"backend": backend, "wrong": not exact or gathered != [3.0]}


def without_waiting(train: LabelledImages, device: torch.device) -> Iterator[Step]:
    """Steps of each recipe and precision, of which none may wait for the card."""
    few = LabelledImages(train.images[:FEW], train.labels[:FEW])
    for name, precision in ((name, kind) for name in RECIPES for kind in ("fp32", "bf16")):
        yield (
            f"steps {name} {precision}",
            partial(steps_without_waiting, RECIPES[name], few, device, precision),
        )


def steps_without_waiting(
    recipe: Recipe, train: LabelledImages, device: torch.device, precision: str
) -> dict[str, Any]:
    """Three steps after a first one; raises RuntimeError where one waits for the card."""
    config = bench_config(replace(recipe, batch_size=64), device, precision)
    state = new_state(config, device)
    hooks = Hooks(NullReporter(), lambda record: None, lambda: None, StopRequest())
    loop = _Loop(state, config, FitData(train, None, None), Ranks(), hooks)
    loop.draw_outliers()
    batches = loop.feed.order(1)
    loop.model.train()
    loop.train_step(batches[0])  # which draws the epoch
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        for state.step in (1, 2, 3):
            loop.train_step(batches[state.step])
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    loss = state.loss_sum.item()
    return {"loss_sum": loss, "wrong": not loss < float("inf")}


def commands(data_dir: Path, device: str, program: list[str]) -> Iterator[Step]:
    """Every command on the card: its exit code, seconds, and the last lines of what failed.

    Later ones use the runs of earlier ones. The trainings of all recipes, of which nothing is
    timed, come last, several at once.
    """
    with tempfile.TemporaryDirectory() as place:
        environment = os.environ | {
            "MNISTCTL_DATA": str(data_dir.absolute()),
            "PYTHONPATH": str(PACKAGE.parent),
        }
        for name, command in commands_on(device, program).items():
            yield name, partial(run, name, command, place, environment)
        trainings = trainings_on(device, program)

        def all_trained() -> dict[str, Any]:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                jobs = {
                    name: pool.submit(run, name, command, place, environment)
                    for name, command in trainings.items()
                }
                found = {name: job.result() for name, job in jobs.items()}
            return found | {"wrong": any(own["wrong"] for own in found.values())}

        yield "train every recipe", all_trained


def run(name: str, command: Command, place: str, environment: dict[str, str]) -> dict[str, Any]:
    """Run a command in the directory `place`; `wrong` unless it ends as it should."""
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command.words,
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        code, stderr = done.returncode, done.stderr
    except subprocess.TimeoutExpired:
        code, stderr = -1, f"not over after {COMMAND_SECONDS:.0f} s"
    seconds = time.perf_counter() - start
    right = code == command.code and command.says in stderr
    said = [] if right else stderr.strip().splitlines()[-20:]
    ended = "as it should" if right else f"not {command.code}: {said}"
    print(f"{name:<40} {seconds:6.1f} s, ended with {code}, {ended}", flush=True)
    return {"code": code, "seconds": seconds, "said": said, "wrong": not right}


def commands_on(device: str, program: list[str]) -> dict[str, Command]:
    """The commands by name, in an order in which later ones find the runs of earlier ones."""

    def on(*words: str) -> Command:
        return Command([*program, *words, "--device", device])

    train = ["train", "-r", "fast"]
    found = {
        "begin on the CPU": Command([*program, *train, "--name", "x", "--device", "cpu"]),
        "go on with it here": on("train", "--resume", "x", "--epochs", "2"),
        "go back to the CPU": Command(
            [*program, "train", "--resume", "x", "--epochs", "3", "--device", "cpu"]
        ),
        "best of validation images": on(
            *train, "--validation", "5000", "--epochs", "2", "--name", "v"
        ),
        "ensemble of 8": on(*train, "--ensemble", "8", "--name", "e"),
        "evaluate": on("evaluate", "x", "e", "shipped"),
        "evaluate fp32": on("evaluate", "x", "--precision", "fp32"),
        "a picture": Command([*program, "visualize", "samples", "--count", "1", "-o", "digit.png"]),
        "predict": on("predict", "digit.png"),
        "predict several": on("predict", "digit.png", "--multi"),
        "saliency by Grad-CAM": on(
            *("visualize", "saliency", "-c", "x", "--method", "gradcam", "-o", "cam.png")
        ),
    }
    for kind in all_kinds():
        models = ["-c", "x", "-c", "e"] if kind == "compare" else ["-c", "x"]
        offline = kind in ("curves", "samples")  # these ask no network
        words = [*program, "visualize", kind] if offline else on("visualize", kind, *models).words
        found[f"visualize {kind}"] = Command([*words, "-o", f"{kind}.png"])
    module = program[1:]
    shared = ["train", "-r", "fast", "--epochs", "1", "--device", device.partition(":")[0]]
    found["torchrun, one process"] = Command([*TORCHRUN, "1", *module, *shared])
    found["torchrun, two on one card"] = Command(
        [*TORCHRUN, "2", *module, *shared], code=1, says="processes on this machine"
    )
    return found


def trainings_on(device: str, program: list[str]) -> dict[str, Command]:
    """An epoch of each recipe in each precision; of one with outliers, of a tenth of the images."""
    found = {}
    for name, recipe in RECIPES.items():
        fewer = ["--validation", str(60_000 - FEW)] if recipe.outliers_per_batch else []
        for precision in ("fp32", "bf16"):
            words = ["train", "-r", name, "--epochs", "1", "--precision", precision, "--quiet"]
            words += [*fewer, "--name", f"{name}-{precision}", "--device", device]
            found[f"train {name} {precision}"] = Command([*program, *words])
    return found
