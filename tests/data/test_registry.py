"""Data sets by name."""

from pathlib import Path

import pytest
import torch
from idx_made import TEST_IMAGES, TEST_LABELS, only, with_mirrors

from mnistctl.data.images import DIGITS
from mnistctl.data.registry import DATASETS, check_split, get_dataset
from mnistctl.errors import DataError, UsageError
from mnistctl.events import Reporter

REPORTER = Reporter()


def test_a_row_is_found_by_its_name() -> None:
    for name, row in DATASETS.items():
        assert get_dataset(name) is row
        assert row.name == name
    assert get_dataset("mnist").sizes == {"train": 60_000, "test": 10_000}


def test_synthetic_needs_no_files(tmp_path: Path) -> None:
    row = get_dataset("synthetic")
    found = row.load("test", tmp_path / "data", REPORTER)
    assert found.images.shape == (row.sizes["test"], 28, 28)
    assert found.images.dtype == torch.uint8
    assert found.labels.dtype == torch.int64
    assert (row.classes, row.has_digits) == (DIGITS, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mnist
def test_mnist_is_loaded_as_it_lies(mnist_data_dir: Path) -> None:
    split = get_dataset("mnist").load("test", mnist_data_dir, REPORTER)
    assert split.images.shape == (10_000, 28, 28)
    assert split.labels.dtype == torch.int64
    assert split.labels[:3].tolist() == [7, 2, 1]


@pytest.mark.mnist
def test_damaged_mnist_is_repaired_on_the_way(
    own_data_dir: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Reporter, "say", lambda self, text: said.append(text))
    with_mirrors(monkeypatch, f"{mnist_dir.as_uri()}/")
    only(monkeypatch, TEST_IMAGES, TEST_LABELS)
    raw = own_data_dir / "MNIST" / "raw" / TEST_LABELS.raw.name
    raw.write_bytes(b"half")
    (raw.parent / TEST_LABELS.gz.name).unlink()
    split = get_dataset("mnist").load("test", own_data_dir, Reporter())
    assert split.labels[:3].tolist() == [7, 2, 1]
    assert said == [
        f"{raw} is damaged: not the published file (its SHA-256 differs); getting mnist"
    ]
    assert raw.stat().st_size == TEST_LABELS.raw.bytes


def test_missing_mnist_offline_names_the_ways_on(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        get_dataset("mnist").load("test", tmp_path / "data", REPORTER)
    assert "--dataset synthetic" in caught.value.hint


def test_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'mnist'"):
        get_dataset("mnits")
    with pytest.raises(UsageError, match="did you mean 'train'"):
        check_split("trian")


def test_fingerprints_tell_data_sets_apart() -> None:
    fingerprints = [row.fingerprint() for row in DATASETS.values()]
    assert fingerprints == [row.fingerprint() for row in DATASETS.values()]
    assert len(set(fingerprints)) == len(DATASETS)
    assert get_dataset("mnist").fingerprint().startswith("c65580678af93f1e")
