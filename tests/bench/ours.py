"""Our side of the comparisons: the engine's own loop, without files around it."""

import time
from dataclasses import replace

import torch
from torch import Tensor

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.device import synchronize
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.engine.training.loop import FitData, Hooks, fit
from mnistctl.engine.training.signals import StopRequest
from mnistctl.engine.training.state import TrainingState, new_state, result_predictor
from mnistctl.events import Reporter, TrainingPlan
from mnistctl.recipes import Recipe, get_recipe
from mnistctl.store.config import RunConfig
from tests.bench.figures import clock


def trains_as_today(recipe: Recipe, dataset: str = "mnist") -> bool:
    """Whether a run's recipe computes what the package's recipe of its name computes now."""
    today = get_dataset(dataset).adapt(get_recipe(recipe.name))
    return replace(recipe, temperature=today.temperature, summary=today.summary) == today


def bench_config(recipe: Recipe, device: torch.device, precision: str, seed: int = 0) -> RunConfig:
    """A run's configuration without a run."""
    dataset = get_dataset("mnist")
    return RunConfig(
        recipe=recipe,
        dataset=dataset.name,
        dataset_sha256="",
        classes=dataset.classes,
        seed=seed,
        validation=0,
        device=str(device),
        precision=precision,
        threads=torch.get_num_threads(),
        world_size=1,
        log_every=20,
        checkpoint_every=0,
        test_every_epoch=False,
        started="",
        command="",
        versions={},
    )


def train_once(
    recipe: Recipe,
    data: LabelledImages,
    device: torch.device,
    precision: str,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> tuple[TrainingState, float]:
    """The trained state and the wall seconds of `fit`, nothing saved."""
    config = bench_config(recipe, device, precision, seed)
    state = new_state(config, device)
    images = LabelledImages(data.images.to(device), data.labels.to(device))
    hooks = Hooks(reporter or Reporter(), lambda record: None, lambda: None, StopRequest())
    synchronize(device)
    start = time.perf_counter()
    fit(state, config, FitData(images, None, None), Ranks(), hooks)
    synchronize(device)
    return state, time.perf_counter() - start


def predictor_of(
    state: TrainingState, recipe: Recipe, device: torch.device, precision: str
) -> Predictor:
    """The network of a trained, or new, state."""
    return result_predictor(state, bench_config(recipe, device, precision), device)


def train_fold(
    recipe: Recipe,
    whole: LabelledImages,
    held_out: Tensor,
    seed: int,
    device: torch.device,
    precision: str,
) -> tuple[Tensor, float]:
    """Train on all but `held_out` (indexes, int64): logits of these, and seconds of training."""
    kept = torch.ones(len(whole.images), dtype=torch.bool)
    kept[held_out] = False
    part = LabelledImages(whole.images[kept], whole.labels[kept])
    state, _ = train_once(recipe, part, device, precision, seed)
    predictor = predictor_of(state, recipe, device, precision)
    return predictor.logits(whole.images[held_out]), round(state.seconds, 1)


class Stopwatch(Reporter):
    """Seconds of training itself: outliers are drawn before."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, 0.0

    def training(self, plan: TrainingPlan) -> None:
        self.seconds = -clock(self.device)

    def end(self) -> None:
        synchronize(self.device)
        self.seconds += clock(self.device)


def training_rate(
    recipe: Recipe, data: LabelledImages, device: torch.device, precision: str
) -> float:
    """Images a second over one epoch of `data`."""
    watch = Stopwatch(device)
    train_once(replace(recipe, epochs=1), data, device, precision, reporter=watch)
    return len(data.images) / watch.seconds


def evaluation_rate(
    recipe: Recipe, data: LabelledImages, device: torch.device, precision: str
) -> float:
    """Images a second of the forward pass over `data`."""
    state = new_state(bench_config(recipe, device, precision), device)
    predictor = predictor_of(state, recipe, device, precision)
    start = clock(device)
    predictor.logits(data.images)
    synchronize(device)
    return len(data.images) / (clock(device) - start)
