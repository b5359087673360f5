"""Training computes the same whatever is measured on the way, and the same again."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import load_small_split

from mnistctl.engine.training import run as train_module
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.optim import learning_rate
from mnistctl.engine.training.run import train
from mnistctl.errors import Interrupted
from mnistctl.events import EpochReport, NullReporter, StepReport
from mnistctl.recipes import RECIPES
from mnistctl.store import checkpoint
from mnistctl.store.metrics import read_metrics


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_module, "load_split", load_small_split)


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


def weights_of(document: dict[str, Any]) -> dict[str, torch.Tensor]:
    payload: dict[str, torch.Tensor] = checkpoint.load(Path(document["checkpoint"]))["weights"]
    return payload


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_same_seed_same_bits_other_seed_other_bits(request_: TrainRequest) -> None:
    first, second = (weights_of(train(request_, NullReporter()).document) for _ in range(2))
    other = weights_of(train(replace(request_, seed=1), NullReporter()).document)
    assert same_bits(first, second)
    assert not same_bits(first, other)


def test_same_bits_in_bf16(request_: TrainRequest) -> None:
    half = replace(request_, precision="bf16")
    first, second = (weights_of(train(half, NullReporter()).document) for _ in range(2))
    assert same_bits(first, second)


def test_what_is_reported_changes_no_bit(request_: TrainRequest) -> None:
    quiet = weights_of(train(request_, NullReporter()).document)
    watched = replace(request_, test_every_epoch=True, log_every=1, checkpoint_every=3)
    assert same_bits(quiet, weights_of(train(watched, NullReporter()).document))


@pytest.mark.parametrize("stop_at", [(1, 5), (2, 3)])
def test_averaged_weights_survive_a_stop(request_: TrainRequest, stop_at: tuple[int, int]) -> None:
    """`accurate`: weights averaged over steps, the last epoch plain; 8 steps an epoch."""
    accurate = replace(request_, recipe="accurate", name="whole", log_every=1)
    whole = train(accurate, NullReporter()).document

    class Stopper(NullReporter):
        def step(self, report: StepReport) -> None:
            if (report.epoch, report.step) == stop_at:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        train(replace(accurate, name="parted"), Stopper())
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="parted")
    parted = train(again, NullReporter()).document
    assert same_bits(weights_of(parted), weights_of(whole))
    assert parted["test"] == whole["test"]
    training = checkpoint.load(Path(whole["checkpoint"]))["training"]
    answering, last = weights_of(whole)["conv1.weight"], training["model"]["conv1.weight"]
    assert torch.equal(answering, training["average"][0])
    assert not torch.equal(answering, last)


def test_it_learns_and_says_so(request_: TrainRequest) -> None:
    class Listener(NullReporter):
        def __init__(self) -> None:
            self.steps: list[StepReport] = []
            self.epochs: list[EpochReport] = []

        def step(self, report: StepReport) -> None:
            self.steps.append(report)

        def epoch(self, report: EpochReport) -> None:
            self.epochs.append(report)

    listener = Listener()
    document = train(replace(request_, epochs=6, validation=400), listener).document
    # 1,600 images in batches of 100: the last step of an epoch is reported, too.
    assert [(r.epoch, r.step) for r in listener.steps] == [(e, 16) for e in range(1, 7)]
    assert [r.epoch for r in listener.epochs] == list(range(1, 7))
    assert listener.epochs[-1].train_loss < listener.epochs[0].train_loss
    assert listener.epochs[-1].test_loss is None
    assert document["test"]["accuracy"] > 0.9
    best = max(listener.epochs, key=lambda r: r.validation_accuracy or 0)
    assert document["validation"]["accuracy"] == best.validation_accuracy
    assert document["checkpoint"].endswith("best.pt")


def test_loss_is_recorded_every_20_steps(request_: TrainRequest) -> None:
    request = replace(request_, batch_size=40, epochs=1)  # 50 steps
    document = train(request, NullReporter()).document
    records = read_metrics(Path(document["run_dir"]))
    assert [r["step"] for r in records if "step" in r] == [20, 40, 50]
    assert records[-1]["epoch"] == 1
    assert "train_loss" in records[-1]


def test_epoch_loss_is_the_mean_over_its_images(request_: TrainRequest) -> None:
    # A learning rate too small to matter: every batch sees the same network.
    request = replace(request_, recipe="mlp", learning_rate=1e-30, epochs=1, log_every=1)
    document = train(request, NullReporter()).document
    records = read_metrics(Path(document["run_dir"]))
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
        accuracies[precision] = train(request, NullReporter()).document["test"]["accuracy"]
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
