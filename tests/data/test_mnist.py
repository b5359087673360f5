"""Reading the published files, and telling when they are not."""

import gzip
import os
import warnings
from pathlib import Path

import pytest
import torch
from idx_made import TEST_IMAGES, TEST_LABELS
from torch import Tensor

from mnistctl.data import mnist
from mnistctl.data.registry import DATASETS
from mnistctl.errors import DataError

pytestmark = pytest.mark.mnist


def load(data_dir: Path, split: str) -> tuple[Tensor, Tensor]:
    found = mnist.load(DATASETS["mnist"], split, data_dir)
    return found.images, found.labels


def test_the_published_splits(mnist_data_dir: Path) -> None:
    images, labels = load(mnist_data_dir, "train")
    assert images.shape == (60_000, 28, 28)
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    # The mean and deviation that everybody normalises MNIST with.
    assert images.float().mean().item() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert images.float().std().item() / 255 == pytest.approx(0.3081, abs=5e-5)
    images, labels = load(mnist_data_dir, "test")
    assert images.shape == (10_000, 28, 28)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_it_equals_torchvision(mnist_data_dir: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.datasets.MNIST(mnist_data_dir, train=False, download=False)
    images, labels = load(mnist_data_dir, "test")
    assert torch.equal(images, theirs.data)
    assert torch.equal(labels, theirs.targets)


def test_compressed_and_flat_files_are_read_where_they_lie(mnist_dir: Path) -> None:
    before = sorted(mnist_dir.iterdir())
    images, labels = load(mnist_dir, "test")
    assert images.shape == (10_000, 28, 28)
    assert labels[:3].tolist() == [7, 2, 1]
    assert sorted(mnist_dir.iterdir()) == before


def test_the_tensors_can_be_written_to(mnist_data_dir: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images, _ = load(mnist_data_dir, "test")
    images[0] = 7
    assert load(mnist_data_dir, "test")[0][0].max() == 255


@pytest.mark.parametrize("change", ["flipped bit", "cut", "longer", "empty"])
def test_a_changed_file_is_not_used(own_data_dir: Path, change: str) -> None:
    raw = own_data_dir / "MNIST" / "raw"
    path = raw / TEST_IMAGES.raw.name
    content = bytearray(path.read_bytes())
    stamp = path.stat()
    if change == "flipped bit":
        content[4_000_000] ^= 1
    path.write_bytes(
        {"cut": content[:-1], "longer": content + b"\0", "empty": b""}.get(change, content)
    )
    (raw / TEST_IMAGES.gz.name).unlink()
    # Even where neither size nor time tell.
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(DataError) as caught:
        load(own_data_dir, "test")
    assert caught.value.message.startswith(f"{path} is damaged")
    assert caught.value.hint == f"mnistctl download --data-dir {own_data_dir}"


def test_a_good_copy_stands_in_for_a_damaged_one(own_data_dir: Path) -> None:
    (own_data_dir / "MNIST" / "raw" / TEST_LABELS.raw.name).write_bytes(b"half")
    assert load(own_data_dir, "test")[1][:3].tolist() == [7, 2, 1]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path / "my data", "test")
    assert "no t10k-images-idx3-ubyte.gz in" in caught.value.message
    assert caught.value.hint == f"mnistctl download --data-dir '{tmp_path}/my data'"


def test_a_data_dir_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")
    with pytest.raises(DataError, match="data"):
        load(tmp_path / "data", "test")


def test_other_gzip_content_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / TEST_LABELS.gz.name
    path.write_bytes(gzip.compress(bytes(TEST_LABELS.raw.bytes)))
    with pytest.raises(DataError, match="is damaged"):
        mnist.read_blob(path, TEST_LABELS.gz)
