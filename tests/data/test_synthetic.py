"""Drawn digits: the shapes of MNIST, the same for the same seed, worth learning from."""

import hashlib

import pytest
import torch

from mnistctl.data import synthetic
from mnistctl.data.images import LabelledImages
from mnistctl.data.strokes import WAYS


def digest(drawn: LabelledImages) -> str:
    content = drawn.images.numpy().tobytes() + drawn.labels.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def drawn() -> LabelledImages:
    return synthetic.load("test")


@pytest.fixture(scope="module")
def train() -> LabelledImages:
    return synthetic.load("train")


def test_shapes_and_classes_are_those_of_mnist(
    drawn: LabelledImages, train: LabelledImages
) -> None:
    assert drawn.images.shape == (10_000, 28, 28)
    assert (drawn.images.dtype, drawn.labels.dtype) == (torch.uint8, torch.int64)
    assert drawn.labels.bincount().tolist() == [1000] * 10
    assert train.images.shape == (60_000, 28, 28)
    assert train.labels.bincount().tolist() == [6000] * 10


def test_the_seed_decides_and_threads_do_not(drawn: LabelledImages) -> None:
    threads, before = torch.get_num_threads(), torch.random.get_rng_state()
    try:
        torch.set_num_threads(3)
        again = synthetic.load("test")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert digest(again) == digest(drawn)
    assert digest(synthetic.load("test", seed=1)) != digest(drawn)
    # Nothing is taken from the generator that everybody else draws from.
    assert torch.equal(torch.random.get_rng_state(), before)


def test_precision_settings_of_a_training_run_change_nothing() -> None:
    expected, precision = synthetic.fingerprint(), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert synthetic.fingerprint() == expected
    finally:
        torch.set_float32_matmul_precision(precision)


def test_train_and_test_share_no_image(drawn: LabelledImages, train: LabelledImages) -> None:
    known = {image.numpy().tobytes() for image in train.images}
    assert len(known) == 60_000
    assert known.isdisjoint(image.numpy().tobytes() for image in drawn.images)


def test_prepared_as_mnist_was(drawn: LabelledImages) -> None:
    ink = drawn.images.float() / 255
    # A frame of 4 pixels stays free but where centring by mass moves a long tail into it.
    assert ink[:, [0, 27]].mean() < 0.002
    assert ink[:, :, [0, 27]].mean() < 0.002
    mass = ink.sum((1, 2))
    across = (ink.sum(1) * torch.arange(28)).sum(1) / mass
    down = (ink.sum(2) * torch.arange(28)).sum(1) / mass
    assert (across - 13.5).abs().mean() < 0.5
    assert (down - 13.5).abs().mean() < 0.5
    rows = (ink.amax(2) > 0.2).sum(1)
    columns = (ink.amax(1) > 0.2).sum(1)
    extent = torch.maximum(rows, columns).float()
    assert 19 < extent.mean() < 21
    # MNIST's mean is 0.1307 and 98 % of its images have their darkest pixel over 0.98.
    assert ink.mean() == pytest.approx(0.13, abs=0.01)
    assert ink.amax((1, 2)).quantile(0.02) > 0.98


def test_no_image_is_empty_or_a_blot(drawn: LabelledImages) -> None:
    share = (drawn.images > 127).float().mean((1, 2))
    assert share.min() > 0.01
    assert share.max() < 0.5


def test_neither_trivial_nor_noise(drawn: LabelledImages, train: LabelledImages) -> None:
    """A linear classifier learns it, but not to the end."""
    images, labels = train.images[:8000], train.labels[:8000]
    flat = images.reshape(len(images), -1).double() / 255
    flat = torch.cat([flat, torch.ones(len(flat), 1)], 1)
    targets = torch.nn.functional.one_hot(labels, 10).double()
    ridge = flat.T @ flat + 10 * torch.eye(flat.shape[1])
    weights = torch.linalg.solve(ridge, flat.T @ targets)
    unseen = drawn.images.reshape(10_000, -1).double() / 255
    unseen = torch.cat([unseen, torch.ones(len(unseen), 1)], 1)
    accuracy = ((unseen @ weights).argmax(1) == drawn.labels).double().mean()
    assert 0.6 < accuracy < 0.95


def test_fingerprint_names_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    first = synthetic.fingerprint()
    assert first == synthetic.fingerprint()
    assert first != synthetic.fingerprint(seed=1)
    synthetic._pen.cache_clear()
    monkeypatch.setitem(WAYS, 1, ("5,0 5,14",))
    changed = synthetic.fingerprint()
    synthetic._pen.cache_clear()
    assert changed != first


@pytest.mark.parametrize(("digit", "way"), [(d, way) for d in WAYS for way in WAYS[d]])
def test_ways_are_smooth_paths_on_the_paper(digit: int, way: str) -> None:
    points, basis, down = synthetic._parse(way)
    path = basis @ points
    assert path.shape == (synthetic.SAMPLES, 2)
    assert torch.allclose(basis.sum(1), torch.ones(synthetic.SAMPLES), atol=1e-5)
    assert path.min() > -2
    assert path[:, 0].max() < 14
    assert path[:, 1].max() < 15
    assert int((down == 0).sum()) == way.count("/")
    # Strokes start and end where they say, also when a point is met twice.
    first, last = (way.split()[i].split(",") for i in (0, -1))
    assert path[0].tolist() == pytest.approx([float(x) for x in first], abs=1e-4)
    assert path[-1].tolist() == pytest.approx([float(x) for x in last], abs=1e-4)
