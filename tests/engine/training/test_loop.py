"""Training computes the same whatever is measured on the way, and the same again."""

import copy
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs_made import CONFIG
from small_data import load_small_split
from torch import nn

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import DATASETS
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.loading import load_model
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.engine.inference.scores import Scores
from mnistctl.engine.training import config as config_module
from mnistctl.engine.training import loop
from mnistctl.engine.training.checkpointing import Saver
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.loop import FitData, Hooks, fit
from mnistctl.engine.training.optim import learning_rate
from mnistctl.engine.training.run import train
from mnistctl.engine.training.signals import StopRequest
from mnistctl.engine.training.state import is_finite, new_state
from mnistctl.errors import CheckpointError, Interrupted
from mnistctl.events import EpochReport, Reporter, StepReport, TrainingPlan
from mnistctl.models.layers import BatchNorm
from mnistctl.recipes import RECIPES
from mnistctl.store import checkpoint, runs
from mnistctl.store.metrics import read_metrics
from mnistctl.store.result import TrainResult

pytestmark = pytest.mark.usefixtures("small_datasets")
CPU = torch.device("cpu")


class Listener(Reporter):
    """Keeps what it hears of a training."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warnings: list[str] = []
        self.plans: list[TrainingPlan] = []
        self.steps: list[StepReport] = []
        self.epochs: list[EpochReport] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def training(self, plan: TrainingPlan) -> None:
        self.plans.append(plan)

    def step(self, report: StepReport) -> None:
        self.steps.append(report)

    def epoch(self, report: EpochReport) -> None:
        self.epochs.append(report)


class Stopper(Reporter):
    """Presses Ctrl-C when a step is reported."""

    def __init__(self, epoch: int, step: int) -> None:
        self.place = epoch, step

    def step(self, report: StepReport) -> None:
        if (report.epoch, report.step) == self.place:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def request_(tmp_path: Path) -> TrainRequest:
    return TrainRequest(
        store=tmp_path / "runs",
        data_dir=tmp_path,
        recipe="cnn-small",
        device="cpu",
        precision="fp32",
        epochs=2,
    )


def trained(request: TrainRequest, reporter: Reporter | None = None) -> TrainResult:
    result = train(request, reporter or Reporter())
    assert result is not None
    return result


def resumed(name: str, request: TrainRequest, reporter: Reporter | None = None) -> TrainResult:
    again = TrainRequest(store=request.store, data_dir=request.data_dir, resume=name)
    return trained(again, reporter)


def weights_of(result: TrainResult) -> dict[str, torch.Tensor]:
    return checkpoint.load(result.checkpoint).weights


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_same_seed_same_bits_other_seed_other_bits(request_: TrainRequest) -> None:
    first, second = (weights_of(trained(request_)) for _ in range(2))
    other = weights_of(trained(replace(request_, seed=1)))
    assert same_bits(first, second)
    assert not same_bits(first, other)


def test_same_bits_in_bf16(request_: TrainRequest) -> None:
    half = replace(request_, precision="bf16")
    first, second = (weights_of(trained(half)) for _ in range(2))
    assert same_bits(first, second)


def figures_of(result: TrainResult) -> tuple[object, list[dict[str, Any]]]:
    """What a run ended with and its epochs' records, less what took time."""
    records = [r for r in read_metrics(result.directory) if "step" not in r]
    return result.result.test, [
        {k: v for k, v in record.items() if k not in ("seconds", "test_loss", "test_accuracy")}
        for record in records
    ]


@pytest.mark.parametrize("recipe", ["cnn-small", "accurate"])
def test_what_is_reported_changes_no_bit(recipe: str, request_: TrainRequest) -> None:
    """`accurate`: the averaged network is made anew after each epoch that is measured."""
    settings = ("network=compact-3",) if recipe == "accurate" else ()
    request = replace(request_, recipe=recipe, settings=settings)
    quiet = trained(request)
    watched = trained(replace(request, test_every_epoch=True, log_every=1, checkpoint_every=3))
    assert same_bits(weights_of(quiet), weights_of(watched))
    assert figures_of(watched) == figures_of(quiet)
    measured = [r for r in read_metrics(watched.directory) if "step" not in r]
    assert measured[-1]["test_accuracy"] == watched.result.test.accuracy
    assert measured[-1]["test_loss"] == watched.result.test.loss
    assert measured[0]["test_loss"] != measured[1]["test_loss"]


@pytest.mark.parametrize("part", ["model", "averaged", "optimizer", "average", "loss_sum"])
def test_nothing_is_saved_that_would_be_refused(part: str) -> None:
    """One infinite number, in whatever a checkpoint holds."""
    config = replace(CONFIG, recipe=RECIPES["accurate"])
    state = new_state(config, CPU)
    state.averaged = copy.deepcopy(state.model)
    assert is_finite(state)
    assert state.average
    holders = {
        "model": state.model.get_buffer("bn1.running_var"),
        "averaged": state.averaged.get_buffer("bn1.running_var"),
        "optimizer": state.optimizer.state_dict()["exp_avg_sq"][3],
        "average": state.average.values[3],
        "loss_sum": state.loss_sum,
    }
    holders[part].fill_(torch.inf)
    assert not is_finite(state)


class Drawing(nn.Module):
    """Has batch statistics that dropout decides."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.drop, self.norm = nn.Dropout(0.5), BatchNorm(1)
        self.out = nn.Linear(784, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.drop(images)).flatten(1))


def test_the_averaged_networks_statistics_depend_on_nothing_drawn_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mnistctl.engine.training.state.build", lambda name, num: Drawing(num))
    recipe = replace(RECIPES["standard"], epochs=1)
    config = replace(CONFIG, recipe=recipe)
    means = []
    for seed in (1, 2):
        state = new_state(config, CPU)
        hooks = Hooks(Reporter(), lambda record: None, lambda: None, StopRequest())
        data = FitData(load_small_split("train", Path(), Reporter()), None, None)
        made = loop._Loop(state, config, data, Ranks(), hooks)
        torch.manual_seed(seed)
        made.average(1)
        assert state.averaged
        means.append(state.averaged.get_buffer("norm.running_mean"))
    assert torch.equal(*means)


@pytest.mark.parametrize("stop_at", [(1, 5), (2, 3)])
def test_averaged_weights_survive_a_stop(request_: TrainRequest, stop_at: tuple[int, int]) -> None:
    """`accurate`: weights averaged over steps, the last epoch plain; 8 steps an epoch."""
    accurate = replace(
        request_, recipe="accurate", settings=("network=compact-3",), name="whole", log_every=1
    )
    whole = trained(accurate)
    with pytest.raises(Interrupted) as stop:
        trained(replace(accurate, name="parted"), Stopper(*stop_at))
    epoch, step = stop_at
    assert stop.value.message == f"Interrupted at epoch {epoch}, step {step}. Checkpoint saved."
    assert stop.value.hint == (
        f"Resume with: mnistctl train --resume parted --store {request_.store}"
        f" --data-dir {request_.data_dir}"
    )
    listener = Listener()
    parted = resumed("parted", request_, listener)
    assert f"Resuming run parted from epoch {epoch}, step {step}" in listener.said
    assert same_bits(weights_of(parted), weights_of(whole))
    assert parted.result.test == whole.result.test
    training = checkpoint.load(whole.checkpoint).training
    assert training
    answering, last = weights_of(whole)["conv1.weight"], training["model"]["conv1.weight"]
    assert torch.equal(answering, training["average"][0])
    assert not torch.equal(answering, last)


def test_a_stop_in_the_last_epoch_comes_too_late_to_matter(request_: TrainRequest) -> None:
    whole = trained(replace(request_, name="whole", log_every=1))
    listener = Stopper(2, 20)
    stopped = trained(replace(request_, name="stopped", log_every=1), listener)
    assert stopped.result.test == whole.result.test
    assert same_bits(weights_of(stopped), weights_of(whole))


def test_the_best_epoch_is_what_is_tested(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter((0.9, 0.2, 0.3))
    measure = loop._Loop.measure

    def first_is_best(self: Any, part: LabelledImages) -> Scores:
        found = measure(self, part)
        return replace(found, correct=round(next(accuracies) * found.total))

    monkeypatch.setattr(loop._Loop, "measure", first_is_best)
    result = trained(replace(request_, validation=400, epochs=3))
    assert result.checkpoint.name == "best.pt"
    assert result.result.validation is not None
    assert (result.result.validation.epoch, result.result.validation.accuracy) == (1, 0.9)
    test = load_small_split("test", Path(), Reporter())
    losses = []
    for name in ("best.pt", "last.pt"):
        path = str(result.directory / name)
        predictor = load_model(path, request_.store, "cpu", "fp32", Reporter()).predictor
        losses.append(predictor.scores(test.images, test.labels).loss)
    assert result.result.test.loss == losses[0] != losses[1]


def test_the_test_set_is_asked_about_once_unless_more_is_wanted(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    scores = Predictor.scores

    def counted(self: Predictor, images: torch.Tensor, *rest: Any, **options: Any) -> Scores:
        asked.append(len(images))
        return scores(self, images, *rest, **options)

    monkeypatch.setattr(Predictor, "scores", counted)
    trained(replace(request_, validation=400))
    assert asked == [400, 400, 500]
    asked.clear()
    trained(replace(request_, test_every_epoch=True))
    assert asked == [500, 500, 500]


@pytest.mark.parametrize(("every", "saves"), [(0, [20, 40]), (7, [7, 14, 20, 21, 28, 35, 40])])
def test_checkpoints_come_every_so_many_steps_of_the_run(
    every: int, saves: list[int], request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the first epoch, and besides those at each epoch's end; 20 steps an epoch."""
    saved: list[int] = []
    save = Saver.save

    def noted(self: Saver) -> None:
        saved.append(self.state.epochs_done * 20 + self.state.step)
        save(self)

    monkeypatch.setattr(Saver, "save", noted)
    trained(replace(request_, checkpoint_every=every))
    assert saved == saves


def inputs_seen(precision: str, tmp_path: Path) -> list[torch.Tensor]:
    """All that the network is given in two epochs of `accurate`, averaged after each."""
    recipe = replace(RECIPES["accurate"], network="compact-3", epochs=2, batch_size=300)
    config = replace(CONFIG, recipe=recipe, precision=precision)
    state = new_state(config, CPU)
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        seen.append(given[0].clone())

    state.model.register_forward_pre_hook(keep)
    train_set = load_small_split("train", tmp_path, Reporter())
    few = LabelledImages(train_set.images[:700], train_set.labels[:700])
    data = FitData(few, LabelledImages(few.images[:5], few.labels[:5]), None)
    hooks = Hooks(Reporter(), lambda record: None, lambda: None, StopRequest())
    assert fit(state, config, data, Ranks(), hooks)
    return seen


def test_images_are_augmented_alike_in_every_precision(tmp_path: Path) -> None:
    """Also those from which the averaged network's batch statistics are taken."""
    whole, half = inputs_seen("fp32", tmp_path), inputs_seen("bf16", tmp_path)
    # In each epoch three batches to train on, and again for the statistics; then those measured.
    shifts = 5
    assert len(whole) == len(half) == 2 * (3 + 3 + shifts)
    for a, b in zip(whole, half, strict=True):
        assert a.dtype == b.dtype == torch.float32
        assert torch.equal(a, b)
    assert all(torch.equal(whole[k], whole[3 + k]) for k in range(3))


def test_it_learns_and_says_so(request_: TrainRequest) -> None:
    listener = Listener()
    result = trained(replace(request_, epochs=6, validation=400), listener)
    # 1,600 images in batches of 100: the last step of an epoch is reported, too.
    assert [(r.epoch, r.step) for r in listener.steps] == [(e, 16) for e in range(1, 7)]
    assert [r.epoch for r in listener.epochs] == list(range(1, 7))
    assert listener.epochs[-1].train_loss < listener.epochs[0].train_loss
    assert listener.epochs[-1].test_loss is None
    assert result.result.test.accuracy > 0.9
    assert result.result.test.total == 500
    best = max(listener.epochs, key=lambda r: r.validation_accuracy or 0)
    validation = result.result.validation
    assert validation
    assert (validation.accuracy, validation.epoch) == (best.validation_accuracy, best.epoch)
    assert (validation.loss, validation.total) == (best.validation_loss, 400)
    assert result.checkpoint == result.directory / "best.pt"
    assert checkpoint.load(result.checkpoint).metrics["epoch"] == best.epoch


def test_of_equal_epochs_the_first_is_the_best(request_: TrainRequest) -> None:
    """A learning rate too small to matter: all epochs are equally good."""
    request = replace(request_, recipe="mlp", learning_rate=1e-30, epochs=3, validation=100)
    result = trained(request)
    records = [r for r in read_metrics(result.directory) if "step" not in r]
    assert len({record["validation_accuracy"] for record in records}) == 1
    assert result.result.validation
    assert result.result.validation.epoch == 1
    assert checkpoint.load(result.directory / "best.pt").metrics["epoch"] == 1
    assert checkpoint.load(result.directory / "last.pt").metrics["epoch"] == 3


def test_training_and_validation_images_are_apart(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[FitData] = []

    def remember(state: Any, config: Any, data: FitData, ranks: Any, hooks: Any) -> bool:
        given.append(data)
        return False

    monkeypatch.setattr("mnistctl.engine.training.single.fit", remember)
    with pytest.raises(Interrupted):
        trained(replace(request_, validation=300))
    validation = given[0].validation
    assert validation
    kept, held_out = (
        {image.numpy().tobytes() for image in part.images} for part in (given[0].train, validation)
    )
    assert (len(kept), len(held_out)) == (1_700, 300)
    assert kept.isdisjoint(held_out)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks files up in /proc")
def test_images_that_are_both_trained_on_and_held_out_are_warned_of(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, twice = Listener(), Listener()
    trained(replace(request_, validation=200, name="alone"), alone)
    assert alone.warnings == []
    row = DATASETS["mnist"]

    def with_copies(split: str, data_dir: Path, reporter: Reporter) -> LabelledImages:
        found = row.load(split, data_dir, reporter)
        return LabelledImages(found.images[:1].expand_as(found.images), found.labels)

    monkeypatch.setitem(DATASETS, "mnist", replace(row, load=with_copies))
    trained(replace(request_, validation=200, name="twice"), twice)
    assert twice.warnings == [
        "200 of the 200 images held out for validation equal ones that are trained on"
    ]


def test_metrics_are_on_the_disk_before_the_checkpoint_that_counts_on_them(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    fsync, replace_file = os.fsync, os.replace

    def remember_sync(descriptor: int) -> None:
        happened.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def remember_replace(source: Path, target: Path) -> None:
        happened.append(Path(target).name)
        replace_file(source, target)

    monkeypatch.setattr(os, "fsync", remember_sync)
    monkeypatch.setattr(os, "replace", remember_replace)
    trained(replace(request_, recipe="mlp", checkpoint_every=20))
    first = happened.index("metrics.jsonl") + 1  # the empty file itself
    saved = [name for name in happened[first:] if name in ("last.pt", "metrics.jsonl")]
    assert saved == ["metrics.jsonl", "last.pt"] * 5  # at steps 20, 32, 40, 60, 64


def test_an_epoch_resumed_is_announced_as_what_it_is(request_: TrainRequest) -> None:
    with pytest.raises(Interrupted) as stop:
        trained(replace(request_, name="x", log_every=1), Stopper(1, 20))
    assert stop.value.message == "Interrupted after epoch 1. Checkpoint saved."
    listener = Listener()
    resumed("x", request_, listener)
    assert "Resuming run x from epoch 2, step 0" in listener.said
    assert [(plan.first_epoch, plan.first_step) for plan in listener.plans] == [(2, 0)]
    assert [report.epoch for report in listener.epochs] == [2]


def test_resuming_in_another_precision_warns(request_: TrainRequest) -> None:
    trained(replace(request_, name="x", recipe="mlp", epochs=1))
    extend = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="x", epochs=2)
    listener = Listener()
    result = trained(replace(extend, precision="bf16"), listener)
    warning = "the last bits may differ from an uninterrupted run (precision: fp32 -> bf16)"
    assert warning in listener.warnings
    assert result.config.precision == "bf16"
    stored = runs.describe(result.directory).config
    assert stored
    assert stored.precision == "bf16"
    again = Listener()
    assert trained(replace(extend, epochs=3, precision="auto"), again).config.precision == "bf16"
    assert not any("last bits" in text for text in again.warnings)


@pytest.mark.parametrize("what", ["threads", "versions"])
def test_resuming_elsewhere_warns(
    what: str, request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(replace(request_, name="x", recipe="mlp", epochs=1))
    if what == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    else:
        monkeypatch.setattr(config_module, "_versions", lambda: {"torch": "3.0"})
    extend = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="x", epochs=2)
    listener = Listener()
    trained(extend, listener)
    assert any(f"uninterrupted run ({what}: " in text for text in listener.warnings)


def test_a_run_changed_while_it_was_read_is_left_alone(request_: TrainRequest) -> None:
    first = trained(replace(request_, recipe="mlp", name="x"))

    class OtherProcess(Reporter):
        """Extends the run after it was read and before it is locked."""

        def say(self, text: str) -> None:
            longer = replace(first.config, recipe=replace(first.config.recipe, epochs=9))
            runs.write_json(first.directory, runs.CONFIG_NAME, longer.to_dict())

    before = first.checkpoint.read_bytes()
    extend = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="x", epochs=3)
    with pytest.raises(CheckpointError) as caught:
        trained(extend, OtherProcess())
    assert caught.value.message == "run 'x' was changed by another process just now"
    assert caught.value.hint == "run the command again"
    assert first.checkpoint.read_bytes() == before
    config = runs.describe(first.directory).config
    assert config
    assert config.recipe.epochs == 9


class Impatient(Reporter):
    """Presses Ctrl-C when so many outliers are drawn."""

    def __init__(self, drawn: int) -> None:
        self.drawn, self.begun, self.reached = drawn, "", 0

    def begin(self, task: str, total: int, unit: str) -> None:
        self.begun = f"{task}: {total} {unit}"

    def advance(self, done: int) -> None:
        self.reached = done
        if done >= self.drawn:
            signal.raise_signal(signal.SIGINT)

    def training(self, plan: TrainingPlan) -> None:
        raise AssertionError("training begins all the same")


@pytest.mark.usefixtures("few_outliers")
def test_a_stop_while_outliers_are_drawn(request_: TrainRequest) -> None:
    small = ("outliers_per_batch=20", "network=compact-3", "ema_decay=0.9")
    request = replace(request_, recipe="robust", settings=small)
    whole = weights_of(trained(replace(request, name="whole")))
    # Signs come in one piece of 60, then 60 others, 20 broken digits, 100 redrawn ones.
    for drawn, reached in ((1, 60), (61, 61), (139, 139), (240, 240)):
        impatient, name = Impatient(drawn), f"stopped-{drawn}"
        with pytest.raises(Interrupted) as stop:
            train(replace(request, name=name), impatient)
        assert stop.value.message == "Interrupted before the first step."
        assert (impatient.begun, impatient.reached) == ("drawing outliers: 240 images", reached)
    assert same_bits(weights_of(resumed("stopped-1", request)), whole)


@pytest.mark.usefixtures("few_outliers")
def test_a_stop_while_outliers_are_drawn_again_changes_no_checkpoint(
    request_: TrainRequest,
) -> None:
    small = ("outliers_per_batch=20", "network=compact-3", "ema_decay=0.9")
    request = replace(request_, recipe="robust", settings=small, validation=200)
    whole = trained(replace(request, name="whole"))
    with pytest.raises(Interrupted):
        train(replace(request, name="x"), Stopper(1, 8))
    before = {path.name: path.read_bytes() for path in (request.store / "x").glob("*.pt")}
    with pytest.raises(Interrupted, match=r"Interrupted after epoch 1\. Checkpoint saved\.$"):
        resumed("x", request, Impatient(70))
    after = {path.name: path.read_bytes() for path in (request.store / "x").glob("*.pt")}
    assert before == after
    assert {"last.pt", "best.pt"} <= before.keys()
    assert same_bits(weights_of(resumed("x", request)), weights_of(whole))


@pytest.mark.usefixtures("few_outliers")
@pytest.mark.parametrize("recipe", ["mlp", "fast", "robust"])
def test_a_data_set_of_other_classes(
    recipe: str, request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(split: str, data_dir: Path, reporter: Reporter) -> LabelledImages:
        found = load_small_split(split, data_dir, reporter)
        return LabelledImages(found.images, found.labels % 3)

    row = replace(DATASETS["synthetic"], name="thirds", classes=("a", "b", "c"), load=load)
    monkeypatch.setitem(DATASETS, "thirds", row)
    result = trained(replace(request_, recipe=recipe, dataset="thirds", epochs=1))
    assert result.to_dict()["classes"] == ["a", "b", "c"]
    last = list(weights_of(result).values())[-1]
    assert len(last) == 3
    assert result.result.parameters < 225_000


def test_loss_is_recorded_every_20_steps(request_: TrainRequest) -> None:
    request = replace(request_, batch_size=40, epochs=1)  # 50 steps
    records = read_metrics(trained(request).directory)
    assert [r["step"] for r in records if "step" in r] == [20, 40, 50]
    assert records[-1]["epoch"] == 1
    assert "train_loss" in records[-1]


def test_epoch_loss_is_the_mean_over_its_images(request_: TrainRequest) -> None:
    # A learning rate too small to matter: every batch sees the same network.
    request = replace(request_, recipe="mlp", learning_rate=1e-30, epochs=1, log_every=1)
    records = read_metrics(trained(request).directory)
    steps = [r["loss"] for r in records if "step" in r]
    sizes = [64] * 31 + [16]
    mean = sum(loss * n for loss, n in zip(steps, sizes, strict=True)) / 2_000
    assert records[-1]["train_loss"] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("recipe", ["mlp", "cnn-small", "cnn-wide", "cnn-dropout"])
def test_bf16_follows_fp32(recipe: str, request_: TrainRequest) -> None:
    accuracies = {}
    for precision in ("fp32", "bf16"):
        epochs = 1 if recipe == "cnn-dropout" else 2
        request = replace(request_, recipe=recipe, precision=precision, epochs=epochs)
        request = replace(request, batch_size=50)
        request = replace(request, learning_rate=0.02 if recipe == "mlp" else None)
        accuracies[precision] = trained(request).result.test.accuracy
    assert accuracies["fp32"] > 0.9
    assert accuracies["bf16"] == pytest.approx(accuracies["fp32"], abs=0.02)


def test_constant_and_one_cycle_rates() -> None:
    constant = RECIPES["mlp"]
    assert {learning_rate(constant, step, 10) for step in range(10)} == {0.003}
    cycle = replace(constant, schedule="one-cycle", warmup=0.3)
    rates = [learning_rate(cycle, step, 999) for step in range(999)]
    assert rates[0] == pytest.approx(0.0003)
    assert max(rates) == pytest.approx(0.003, rel=1e-2)
    assert rates.index(max(rates)) == pytest.approx(299, abs=1)
    assert rates[-1] < 1e-5
