"""Data sets by name."""

from pathlib import Path

import pytest
import torch

from mnistctl.data import mnist
from mnistctl.data import registry as dataset
from mnistctl.data.registry import dataset_hash, load_split
from mnistctl.errors import DataError, UsageError
from mnistctl.events import NullReporter

REPORTER = NullReporter()


def test_synthetic_needs_no_files(tmp_path: Path) -> None:
    split = load_split("synthetic", "test", tmp_path / "data", REPORTER)
    assert split.images.shape == (10_000, 28, 28)
    assert split.images.dtype == torch.uint8
    assert split.labels.dtype == torch.int64
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mnist
def test_mnist_is_loaded_as_it_lies(mnist_data_dir: Path) -> None:
    split = load_split("mnist", "test", mnist_data_dir, REPORTER)
    assert split.images.shape == (10_000, 28, 28)
    assert split.labels.dtype == torch.int64
    assert split.labels[:3].tolist() == [7, 2, 1]


@pytest.mark.mnist
def test_damaged_mnist_is_repaired_on_the_way(
    own_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(NullReporter, "say", lambda self, text: said.append(text))
    monkeypatch.setattr("mnistctl.data.download.FILES", mnist.SPLIT_FILES["test"])
    raw = own_data_dir / "MNIST" / "raw" / mnist.TEST_LABELS.raw.name
    raw.write_bytes(b"half")
    (raw.parent / mnist.TEST_LABELS.gz.name).replace(own_data_dir / mnist.TEST_LABELS.gz.name)
    monkeypatch.setattr(mnist, "folders", lambda directory: (directory / "MNIST" / "raw",))
    split = load_split("mnist", "test", own_data_dir, NullReporter())
    assert split.labels[:3].tolist() == [7, 2, 1]
    assert said == [
        f"{raw} is damaged: not the published file (its SHA-256 differs); getting MNIST"
    ]
    assert raw.stat().st_size == mnist.TEST_LABELS.raw.bytes


def test_missing_mnist_offline_names_the_ways_on(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_split("mnist", "test", tmp_path / "data", REPORTER)
    assert "--dataset synthetic" in caught.value.hint


def test_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mnist"):
        load_split("mnits", "test", tmp_path, REPORTER)
    with pytest.raises(UsageError, match="mnist"):
        dataset_hash("mnits")


def test_hashes_tell_data_sets_apart() -> None:
    assert dataset_hash("mnist") == dataset_hash("mnist")
    assert len({dataset_hash(name) for name in ("mnist", "synthetic")}) == 2
    assert dataset.dataset_hash("mnist").startswith("c65580678af93f1e")
