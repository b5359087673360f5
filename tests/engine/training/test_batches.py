"""Batches are functions of (seed, epoch, step), whole or in shards, with and without outliers."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_data import load_small_split

from mnistctl.distributed import Ranks
from mnistctl.engine.training import batches as feeding
from mnistctl.engine.training.batches import Batch, Feed
from mnistctl.engine.training.config import TrainRequest, new_config
from mnistctl.engine.training.loss import EXPOSURE, batch_loss
from mnistctl.events import NullReporter
from mnistctl.recipes import RECIPES, Recipe


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "NUM_DRAWN", 60)


def feed_of(recipe: Recipe, tmp_path: Path, seed: int = 0) -> Feed:
    request = TrainRequest(tmp_path, tmp_path, recipe="robust", device="cpu", seed=seed)
    config = replace(new_config(request, Ranks(), NullReporter()), recipe=recipe)
    split = load_small_split("train", tmp_path, NullReporter())
    return Feed(config, split)


def test_a_batch_in_shards_is_the_batch(tmp_path: Path) -> None:
    feed = feed_of(RECIPES["robust"], tmp_path)
    indexes = feed.order(2)[1]
    whole = feed.batch(indexes, 2, 1, Ranks())
    assert len(whole.inputs) == 250 + 40
    assert whole.position == (0, 290)
    shards = [feed.batch(indexes, 2, 1, Ranks(rank, 3)) for rank in range(3)]
    digits = torch.cat([shard.inputs[: len(shard.labels)] for shard in shards])
    others = torch.cat([shard.inputs[len(shard.labels) :] for shard in shards])
    assert torch.allclose(torch.cat([digits, others]), whole.inputs, atol=1e-4)
    assert torch.equal(torch.cat([shard.labels for shard in shards]), whole.labels)
    ends = [shard.position[0] + len(shard.inputs) for shard in shards]
    assert [shard.position[0] for shard in shards] == [0, *ends[:-1]]
    assert ends[-1] == 290


def test_batches_depend_on_seed_epoch_and_step_alone(tmp_path: Path) -> None:
    feed, again, other = (feed_of(RECIPES["robust"], tmp_path, seed) for seed in (0, 0, 1))
    indexes = torch.arange(50)
    first = feed.batch(indexes, 1, 4, Ranks()).inputs
    feed.batch(indexes, 1, 5, Ranks())
    assert torch.equal(first, feed.batch(indexes, 1, 4, Ranks()).inputs)
    assert torch.equal(first, again.batch(indexes, 1, 4, Ranks()).inputs)
    for differing in (feed.batch(indexes, 2, 4, Ranks()), other.batch(indexes, 1, 4, Ranks())):
        assert not torch.equal(first, differing.inputs)


def test_every_epoch_has_its_own_order_of_all_images(tmp_path: Path) -> None:
    feed = feed_of(RECIPES["fast"], tmp_path)
    first, second = feed.order(1), feed.order(2)
    assert [len(batch) for batch in first] == [250] * 8
    assert not torch.equal(first[0], second[0])
    for order in (first, second):
        assert torch.cat(order).sort().values.tolist() == list(range(2_000))
    assert torch.equal(torch.cat(first), torch.cat(feed.order(1)))
    assert not torch.equal(
        torch.cat(first), torch.cat(feed_of(RECIPES["fast"], tmp_path, 1).order(1))
    )


def test_plain_epochs_show_the_images_themselves(tmp_path: Path) -> None:
    recipe = replace(
        RECIPES["accurate"], epochs=3, no_augment_epochs=1, pixel_mean=0.0, pixel_std=1.0
    )
    feed = feed_of(recipe, tmp_path)
    indexes = torch.arange(20)
    plain = feed.train.images[:20].unsqueeze(1) / 255
    assert torch.allclose(feed.batch(indexes, 3, 0, Ranks()).inputs, plain)
    assert not torch.allclose(feed.batch(indexes, 2, 0, Ranks()).inputs, plain, atol=0.1)


def test_what_is_trained_against_is_no_digit_as_it_stands(tmp_path: Path) -> None:
    feed = feed_of(RECIPES["robust"], tmp_path)
    assert feed.outliers is not None
    digits = {image.numpy().tobytes() for image in feed.train.images}
    turned, mirrored = feed.outliers[60:70], feed.outliers[70:80]
    assert len(feed.outliers) == 60 + 10 + 10
    for pictures in (turned, mirrored):
        assert digits.isdisjoint(picture.numpy().tobytes() for picture in pictures)
    for picture in turned:
        assert picture.rot90(-1).contiguous().numpy().tobytes() in digits
    for picture in mirrored:
        assert picture.flip(1).contiguous().numpy().tobytes() in digits


def test_a_first_epoch_is_always_augmented() -> None:
    short = replace(RECIPES["accurate"], epochs=1)
    assert short.no_augment_epochs == 1
    assert short.augments(0)


def test_loss_is_least_for_doubt_on_outliers() -> None:
    recipe = replace(RECIPES["robust"], outliers_per_batch=2, label_smoothing=0.0)
    batch = Batch(torch.empty(3, 1, 28, 28), torch.tensor([7]), 1, (0, 3))
    sure = torch.zeros(3, 10)
    sure[:, 7] = 5.0
    doubting = sure.clone()
    doubting[1:] = 2.0
    digits, mean = batch_loss(doubting, batch, recipe)
    assert float(mean - digits) == pytest.approx(EXPOSURE * 2.302585, abs=1e-5)
    same_digits, more = batch_loss(sure, batch, recipe)
    assert same_digits == digits
    assert more > mean + 0.5


def test_label_smoothing_by_hand() -> None:
    """The label keeps 1 - e + e / 10, each other digit has e / 10; the logits are hand-made."""
    logits = torch.zeros(2, 10)
    logits[:, 3] = 2.0
    batch = Batch(torch.empty(2, 1, 28, 28), torch.tensor([3, 5]), 4, (0, 4))
    normaliser = math.log(9 + math.exp(2.0))
    plain = [normaliser - 2.0, normaliser]
    smooth = [0.9 * loss + 0.1 * (normaliser - 0.2) for loss in plain]
    for smoothing, losses in ((0.0, plain), (0.1, smooth)):
        recipe = replace(RECIPES["fast"], label_smoothing=smoothing)
        loss, mean = batch_loss(logits, batch, recipe)
        assert float(loss) == pytest.approx(sum(losses), rel=1e-6)
        assert float(mean) == pytest.approx(sum(losses) / 4, rel=1e-6)
