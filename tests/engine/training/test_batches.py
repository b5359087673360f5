"""Batches are functions of (seed, epoch, step), whole or in shards, with and without outliers."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_data import load_small_split

from mnistctl.data.images import DIGITS
from mnistctl.distributed import Ranks
from mnistctl.engine.training.batches import Batch, Feed
from mnistctl.engine.training.config import TrainRequest, new_config
from mnistctl.engine.training.loss import EXPOSURE, batch_loss
from mnistctl.events import Reporter
from mnistctl.models.layers import Shard
from mnistctl.recipes import RECIPES, Recipe

pytestmark = pytest.mark.usefixtures("few_outliers")


def feed_of(recipe: Recipe, tmp_path: Path, seed: int = 0) -> Feed:
    request = TrainRequest(tmp_path, tmp_path, recipe="robust", device="cpu", seed=seed)
    config = replace(new_config(request, Ranks(), Reporter()), recipe=recipe)
    split = load_small_split("train", tmp_path, Reporter())
    feed = Feed(config, split)
    if recipe.rejects:
        feed.draw_outliers()
    return feed


def test_a_batch_in_shards_is_the_batch(tmp_path: Path) -> None:
    feed = feed_of(RECIPES["robust"], tmp_path)
    indexes = feed.order(2)[1]
    whole = feed.batch(indexes, 2, 1, Ranks())
    assert len(whole.inputs) == 250 + 150
    assert whole.shard == Shard(((0, 250), (250, 400)), 400)
    places = torch.arange(400)
    assert torch.equal(whole.shard.of(places), places)
    shards = [feed.batch(indexes, 2, 1, Ranks(rank, 3)) for rank in range(3)]
    digits = torch.cat([shard.inputs[: len(shard.labels)] for shard in shards])
    others = torch.cat([shard.inputs[len(shard.labels) :] for shard in shards])
    assert torch.allclose(torch.cat([digits, others]), whole.inputs, atol=1e-4)
    assert torch.equal(torch.cat([shard.labels for shard in shards]), whole.labels)
    for shard in shards:
        assert torch.allclose(shard.shard.of(whole.inputs), shard.inputs, atol=1e-4)


def test_batches_depend_on_seed_epoch_and_step_alone(tmp_path: Path) -> None:
    feed, again, other = (feed_of(RECIPES["robust"], tmp_path, seed) for seed in (0, 0, 1))
    indexes = torch.arange(50)
    first = feed.batch(indexes, 1, 4, Ranks()).inputs
    feed.batch(indexes, 1, 5, Ranks())
    assert torch.equal(first, feed.batch(indexes, 1, 4, Ranks()).inputs)
    assert torch.equal(first, again.batch(indexes, 1, 4, Ranks()).inputs)
    for differing in (feed.batch(indexes, 2, 4, Ranks()), other.batch(indexes, 1, 4, Ranks())):
        assert not torch.equal(first, differing.inputs)


def test_a_short_run_has_as_many_outliers_as_it_sees(tmp_path: Path) -> None:
    for epochs, number in ((1, 4 + 4 + 2), (16, 55 + 55 + 19), (100, 60 + 60 + 20)):
        recipe = replace(RECIPES["robust"], outliers_per_batch=1, epochs=epochs)
        outliers = feed_of(recipe, tmp_path).outliers
        assert outliers is not None
        assert len(outliers) == number


def test_progress_counts_up_to_all_that_is_drawn(tmp_path: Path) -> None:
    for classes, number in ((DIGITS, 60 + 60 + 20 + 100), (("a", "b"), 60 + 60)):
        feed = feed_of(RECIPES["robust"], tmp_path)
        feed.config = replace(feed.config, classes=classes)
        done: list[int] = []
        feed.draw_outliers(done.append)
        assert done == sorted(done)
        assert done[-1] == feed.num_drawn == number
    assert feed_of(RECIPES["fast"], tmp_path).num_drawn == 0


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
    plain = feed.images[:20].unsqueeze(1) / 255
    assert torch.allclose(feed.batch(indexes, 3, 0, Ranks()).inputs, plain)
    assert not torch.allclose(feed.batch(indexes, 2, 0, Ranks()).inputs, plain, atol=0.1)


def test_a_first_epoch_is_always_augmented() -> None:
    short = replace(RECIPES["accurate"], epochs=1)
    assert short.no_augment_epochs == 1
    assert short.augments(0)


def test_loss_of_outliers_by_hand() -> None:
    """A logit of 0 is the outliers': of eleven classes, each has its own cross-entropy."""
    recipe = replace(RECIPES["robust"], outliers_per_batch=2, label_smoothing=0.0)
    batch = Batch(torch.empty(3, 1, 28, 28), torch.tensor([7]), 1, (0, 3))
    logits = torch.full((3, 10), -1.0)
    logits[0, 7], logits[2, 3] = 3.0, 2.0
    plain, whole = batch_loss(logits, batch, recipe)
    sums = [9 * math.exp(-1.0) + math.exp(own) for own in (3.0, -1.0, 2.0)]
    assert float(plain) == pytest.approx(math.log(sums[0]) - 3.0, rel=1e-5)
    eleven = math.log(1 + sums[0]) - 3.0
    rejecting = math.log(1 + sums[1]) + math.log(1 + sums[2])
    assert float(whole) == pytest.approx(eleven + EXPOSURE * rejecting / 2, rel=1e-5)


def test_some_digits_have_the_look_of_outliers(tmp_path: Path) -> None:
    feed, images = (
        feed_of(RECIPES["robust"], tmp_path),
        load_small_split("train", tmp_path, Reporter()).images,
    )
    changed = (feed.images != images).flatten(1).any(1)
    assert changed[:100].float().mean() > 0.9
    assert not changed[100:].any()
    assert torch.equal(feed_of(RECIPES["accurate"], tmp_path).images, images)


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
