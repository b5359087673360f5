"""A predictor's answers are its network's: scaled, shifted, averaged, calibrated and counted."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_data import load_small_split
from torch import Tensor, nn

from mnistctl.data.images import DIGITS
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.predictor import BATCH_SIZE, Predictor
from mnistctl.engine.inference.scores import Scores
from mnistctl.errors import CheckpointError
from mnistctl.events import Reporter
from mnistctl.models.ensemble import Ensemble
from mnistctl.models.registry import build, networks
from mnistctl.recipes import RECIPES, Recipe, recipe_of_network

CPU = torch.device("cpu")


def predictor_of(network: nn.Module, recipe: Recipe, precision: str = "fp32") -> Predictor:
    return Predictor(network, recipe, DIGITS, CPU, precision, "it")


class Oracle(nn.Module):
    """Says the class that the first pixel names, sure of it."""

    def forward(self, x: Tensor) -> Tensor:
        digit = (x[:, 0, 0, 0] * 255).round().long()
        return 10.0 * nn.functional.one_hot(digit, 10)


def test_scores_count_what_they_see() -> None:
    images = torch.zeros(1_234, 28, 28, dtype=torch.uint8)
    said = torch.arange(1_234) % 10
    images[:, 0, 0] = said.to(torch.uint8)
    labels = said.clone()
    labels[:34] = 9  # of which 3 are said to be 9
    scores = predictor_of(Oracle(), RECIPES["cnn-small"]).scores(images, labels)
    assert (scores.correct, scores.total) == (1_203, 1_234)
    assert scores.accuracy == 1_203 / 1_234
    assert sum(map(sum, scores.confusion)) == 1_234
    assert (scores.confusion[9][0], scores.confusion[0][9]) == (4, 0)
    assert scores.per_class[9] == pytest.approx(scores.confusion[9][9] / sum(scores.confusion[9]))
    right, wrong = torch.tensor(10.0).exp(), 9.0
    expected = (1_203 * (1 + wrong / right).log() + 31 * (10 + (1 + wrong / right).log())) / 1_234
    assert scores.loss == pytest.approx(float(expected), rel=1e-5)


def test_shards_of_several_processes_hold_every_image_once() -> None:
    images = torch.zeros(1_001, 28, 28, dtype=torch.uint8)
    images[:, 0, 0] = (torch.arange(1_001) % 10).to(torch.uint8)
    labels = (torch.arange(1_001) + torch.arange(1_001) % 7 // 6) % 10
    predictor = predictor_of(Oracle(), RECIPES["cnn-small"])
    whole = predictor.scores(images, labels)
    shards = [predictor.scores(images, labels, Ranks(rank, 3)) for rank in range(3)]
    summed = torch.tensor([shard.confusion for shard in shards]).sum(0)
    assert summed.tolist() == whole.confusion
    assert sum(shard.loss for shard in shards) == pytest.approx(whole.loss)


def test_scores_of_another_number_of_classes() -> None:
    class Three(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 5.0 * nn.functional.one_hot((x[:, 0, 0, 0] * 255).round().long(), 3)

    images = torch.zeros(4, 28, 28, dtype=torch.uint8)
    images[:, 0, 0] = torch.tensor([0, 1, 2, 2])
    predictor = Predictor(Three(), RECIPES["cnn-small"], ("a", "b", "c"), CPU, "fp32")
    scores = predictor.scores(images, torch.tensor([0, 2, 2, 1]))
    assert scores.confusion == [[1, 0, 0], [0, 0, 1], [0, 1, 1]]
    assert scores.per_class == [1.0, 0.0, 0.5]
    assert predictor.probabilities(images).shape == (4, 3)


def test_brief_and_whole_documents() -> None:
    scores = Scores(0.5, 3, 4, [[1, 1], [0, 2]], 0.25)
    brief = {"loss": 0.5, "accuracy": 0.75, "correct": 3, "total": 4}
    assert scores.brief() == brief
    assert scores.to_dict() == brief | {
        "per_class": [0.5, 1.0],
        "confusion": [[1, 1], [0, 2]],
        "calibration_error": 0.25,
    }


def test_inputs_are_to_tensor_then_normalize() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(4)[:784].view(1, 28, 28)
    before = images.clone()
    expected = (images.unsqueeze(1).float() / 255 - 0.5) / 0.5
    found = predictor_of(Oracle(), RECIPES["cnn-wide"]).inputs(images)
    assert torch.allclose(found, expected, atol=1e-6)
    assert (found.shape, found.dtype) == ((1, 1, 28, 28), torch.float32)
    assert torch.equal(images, before)


@pytest.mark.parametrize("network", networks())
def test_bf16_and_batching_leave_logits_close(network: str) -> None:
    torch.manual_seed(0)
    model, recipe = build(network, 10), replace(recipe_of_network(network), tta_shifts=False)
    images = load_small_split("test", Path(), Reporter()).images[: BATCH_SIZE["cpu"] + 1]
    images = torch.cat([images, images[:7]])
    assert len(images) > BATCH_SIZE["cpu"]
    plain = model.eval()(predictor_of(model, recipe).inputs(images)).detach()
    ours = predictor_of(model, recipe).logits(images)
    model = model.to(memory_format=torch.channels_last)
    channels_last = predictor_of(model, recipe).logits(images)
    half = predictor_of(model, recipe, "bf16").logits(images)
    assert torch.allclose(ours, plain, atol=1e-5)
    assert torch.allclose(channels_last, plain, atol=1e-5)
    assert torch.allclose(half, plain, atol=0.03 * float(plain.abs().max()))
    assert half.dtype is torch.float32


def test_no_images_give_no_logits() -> None:
    none = torch.empty(0, 28, 28, dtype=torch.uint8)
    assert predictor_of(build("mlp", 10), RECIPES["mlp"]).logits(none).shape == (0, 10)


def test_shifts_average_five_probabilities() -> None:
    torch.manual_seed(0)
    model, shifting = build("compact-7", 10), RECIPES["accurate"]
    still = replace(shifting, tta_shifts=False)
    with torch.no_grad():  # a new network's answers are all alike
        model.get_parameter("fc1.weight").mul_(30)
    images = torch.randint(256, (7, 28, 28), dtype=torch.uint8)

    def probabilities(seen: Tensor) -> Tensor:
        return predictor_of(model, still).logits(seen).softmax(1)

    moved = [images, images.roll(1, 1), images.roll(-1, 1), images.roll(1, 2), images.roll(-1, 2)]
    mean = torch.stack([probabilities(seen) for seen in moved]).mean(0)
    answer = predictor_of(model, shifting).logits(images)
    assert torch.allclose(answer.exp(), mean, atol=1e-6)
    assert not torch.allclose(mean, probabilities(images), atol=1e-3)


@pytest.mark.parametrize(("shifts", "views"), [(False, 2), (True, 10)])
def test_flips_average_over_mirror_images(shifts: bool, views: int) -> None:
    class Counter(nn.Module):
        seen: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            self.seen.append(x)
            return 40 * x[:, 0, 9, :10]

    model, seen = Counter(), []
    recipe = replace(RECIPES["cnn-small"], tta_shifts=shifts, tta_flip=True)
    images = torch.randint(256, (7, 28, 28), dtype=torch.uint8)
    answer = predictor_of(model, recipe).logits(images)
    seen = [(255 * own[:, 0]).round().to(torch.uint8) for own in Counter.seen]
    assert len(seen) == views
    assert torch.equal(seen[0], images)
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert torch.equal(second, first.flip(2))
    mirrored = predictor_of(model, recipe).logits(images.flip(2))
    assert torch.allclose(answer, mirrored, atol=1e-5)


def test_probabilities_are_those_of_the_logits_at_the_recipes_temperature() -> None:
    torch.manual_seed(0)
    recipe = replace(RECIPES["mlp"], temperature=0.5)
    predictor = predictor_of(build("mlp", 10), recipe)
    images = torch.randint(256, (7, 28, 28), dtype=torch.uint8)
    logits = predictor.logits(images)
    assert torch.allclose(predictor.probabilities(images), (2 * logits).softmax(1))
    assert torch.equal(predictor.calibrated(logits), predictor.probabilities(images))


def test_members_are_those_of_an_ensemble_or_the_network_itself() -> None:
    alone, two = build("mlp", 10), [build("mlp", 10), build("mlp", 10)]
    assert predictor_of(alone, RECIPES["mlp"]).members == [alone]
    assert predictor_of(Ensemble(two), RECIPES["mlp"]).members == two


def test_a_network_that_was_in_training_is_asked_in_evaluation_mode() -> None:
    model = build("cnn-dropout", 10).train()
    images = torch.randint(256, (5, 28, 28), dtype=torch.uint8)
    predictor = predictor_of(model, RECIPES["cnn-dropout"])
    assert torch.equal(predictor.logits(images), predictor.logits(images))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_answers_that_are_no_numbers_are_an_error(value: float) -> None:
    model = build("mlp", 10)
    with torch.no_grad():
        model.get_parameter("fc3.bias")[3] = value
    images = torch.zeros(2, 28, 28, dtype=torch.uint8)
    with pytest.raises(CheckpointError, match="it: its logits are not finite"):
        predictor_of(model, RECIPES["mlp"]).probabilities(images)


def test_progress_is_counted_in_images_and_closed() -> None:
    calls: list[object] = []

    class Listener(Reporter):
        def begin(self, task: str, total: int, unit: str) -> None:
            calls.append((task, total, unit))

        def advance(self, done: int) -> None:
            calls.append(done)

        def end(self) -> None:
            calls.append("end")

    images = torch.zeros(1_200, 28, 28, dtype=torch.uint8)
    predictor_of(Oracle(), RECIPES["cnn-small"]).logits(images, Listener())
    assert calls == [("evaluating", 1_200, "images"), 500, 1_000, 1_200, "end"]
