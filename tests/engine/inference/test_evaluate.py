"""Scores are counted once and right; bare state dicts are understood."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_data import load_small_split
from torch import nn

from mnistctl.distributed import Ranks
from mnistctl.engine.inference import evaluate as evaluate_module
from mnistctl.engine.inference.evaluate import Evaluation, evaluate, score
from mnistctl.engine.inference.predictor import compute_logits, pixels_to_input
from mnistctl.errors import CheckpointError, UsageError
from mnistctl.events import NullReporter
from mnistctl.models.registry import NETWORK_CLASSES, build
from mnistctl.recipes import RECIPES, recipe_of_network
from mnistctl.store import checkpoint

CPU = torch.device("cpu")


def run_evaluate(path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    (evaluation,) = evaluate_all([path], monkeypatch)
    return evaluation


def evaluate_all(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, dataset: str | None = None
) -> list[Evaluation]:
    monkeypatch.setattr(evaluate_module, "load_split", load_small_split)
    return evaluate(
        [str(path) for path in paths],
        store=Path("no-store"),
        data_dir=Path("no-data"),
        dataset=dataset,
        split="test",
        device="cpu",
        precision="fp32",
        reporter=NullReporter(),
    )


def save_networks(directory: Path, datasets: list[str]) -> list[Path]:
    """Untrained networks of seeds 0, 1, ... said to be trained on `datasets`."""
    paths = []
    for seed, dataset in enumerate(datasets):
        torch.manual_seed(seed)
        weights = build("mlp", 10).state_dict()
        paths.append(directory / f"{seed}.pt")
        recipe = RECIPES["mlp"].to_dict()
        payload = {"recipe": recipe, "weights": weights, "dataset": dataset, "metrics": {}}
        checkpoint.save(paths[-1], payload)
    return paths


class Oracle(nn.Module):
    """Says the class that the first pixel names, sure of it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        digit = (x[:, 0, 0, 0] * 255).round().long()
        return 10.0 * nn.functional.one_hot(digit, 10)


def test_score_counts_what_it_sees() -> None:
    images = torch.zeros(1_234, 28, 28, dtype=torch.uint8)
    said = torch.arange(1_234) % 10
    images[:, 0, 0] = said.to(torch.uint8)
    labels = said.clone()
    labels[:34] = 9  # of which 3 are said to be 9
    scores = score(Oracle(), images, labels, RECIPES["cnn-small"], CPU, "fp32", Ranks())
    assert (scores.correct, scores.total) == (1_203, 1_234)
    assert scores.accuracy == 1_203 / 1_234
    assert sum(map(sum, scores.confusion)) == 1_234
    assert scores.confusion[9][0] == 4
    assert scores.per_class[9] == pytest.approx(scores.confusion[9][9] / sum(scores.confusion[9]))
    right, wrong = torch.tensor(10.0).exp(), 9.0
    expected = (1_203 * (1 + wrong / right).log() + 31 * (10 + (1 + wrong / right).log())) / 1_234
    assert scores.loss == pytest.approx(float(expected), rel=1e-5)


def test_pixels_to_input_is_to_tensor_then_normalize() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(4)[:784].view(1, 28, 28)
    recipe = RECIPES["cnn-wide"]
    expected = (images.unsqueeze(1).float() / 255 - 0.5) / 0.5
    assert torch.allclose(pixels_to_input(images, recipe), expected, atol=1e-6)
    assert images.dtype is torch.uint8


@pytest.mark.parametrize("network", NETWORK_CLASSES)
def test_bf16_and_batching_leave_logits_close(network: str) -> None:
    torch.manual_seed(0)
    model, recipe = build(network), replace(recipe_of_network(network), tta_shifts=False)
    images = load_small_split("", "test", Path(), NullReporter()).images
    plain = model.eval()(pixels_to_input(images, recipe)).detach()
    ours = compute_logits(model, images, recipe, CPU, "fp32")
    model = model.to(memory_format=torch.channels_last)
    channels_last = compute_logits(model, images, recipe, CPU, "fp32")
    half = compute_logits(model, images, recipe, CPU, "bf16")
    assert torch.allclose(ours, plain, atol=1e-5)
    assert torch.allclose(channels_last, plain, atol=1e-5)
    assert torch.allclose(half, plain, atol=0.03 * float(plain.abs().max()))
    assert half.dtype is torch.float32


@pytest.mark.parametrize("network", NETWORK_CLASSES)
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_bare_state_dict_is_recognised(
    network: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(network)
    path = tmp_path / "cnn_model.pth"
    torch.save({prefix + name: value for name, value in model.state_dict().items()}, path)
    result = run_evaluate(path, monkeypatch)
    assert result.recipe == recipe_of_network(network).name
    split = load_small_split("", "test", tmp_path, NullReporter())
    logits = compute_logits(model, split.images, recipe_of_network(network), CPU, "fp32")
    assert result.scores.correct == int((logits.argmax(1) == split.labels).sum())


def test_sequential_is_recognised_by_its_shapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = (nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    torch.save(nn.Sequential(*layers).state_dict(), tmp_path / "m.pt")
    assert run_evaluate(tmp_path / "m.pt", monkeypatch).recipe == "mlp"


def test_unknown_layers_say_what_was_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(nn.Linear(3, 4).state_dict(), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"weight \[4, 3\]") as caught:
        run_evaluate(tmp_path / "m.pt", monkeypatch)
    assert "cnn-small" in caught.value.hint


def test_several_are_scored_as_each_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = save_networks(tmp_path, ["mnist"] * 3)
    together = evaluate_all(paths, monkeypatch)
    assert [result.checkpoint for result in together] == [str(path) for path in paths]
    assert [r.scores for r in together] == [run_evaluate(p, monkeypatch).scores for p in paths]
    assert len({result.scores.loss for result in together}) == 3


def test_all_are_loaded_before_data_or_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [*save_networks(tmp_path, ["mnist"]), tmp_path / "missing.pt"]
    monkeypatch.setattr(evaluate_module, "score", None)  # a call would be a TypeError
    with pytest.raises(CheckpointError, match="missing.pt does not exist"):
        evaluate_all(paths, monkeypatch)


def test_several_are_measured_on_one_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = save_networks(tmp_path, ["mnist", "synthetic", "mnist"])
    with pytest.raises(UsageError, match=r"different data sets: .*2\.pt on mnist, .*1\.pt on syn"):
        evaluate_all(paths, monkeypatch)
    said = evaluate_all(paths, monkeypatch, dataset="synthetic")
    assert [result.dataset for result in said] == ["synthetic"] * 3


def test_bare_state_dict_joins_those_of_mnist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(build("mlp", 10).state_dict(), tmp_path / "bare.pt")
    paths = [*save_networks(tmp_path, ["mnist"]), tmp_path / "bare.pt"]
    assert [result.dataset for result in evaluate_all(paths, monkeypatch)] == ["mnist"] * 2


def test_one_checkpoint_twice_is_no_sample_of_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = save_networks(tmp_path, ["mnist"])
    with pytest.raises(UsageError, match="are the same checkpoint"):
        evaluate_all([path, path], monkeypatch)
