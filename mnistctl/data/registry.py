"""A data set by name: its splits as tensors, fetched or drawn where they are not there yet."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mnistctl.data import mnist, synthetic
from mnistctl.data.download import download
from mnistctl.data.names import check_dataset
from mnistctl.errors import DataError
from mnistctl.events import Reporter


@dataclass(frozen=True)
class Split:
    """Images (n, 28, 28) uint8, ink 255 on 0, and labels (n,) int64."""

    images: Tensor
    labels: Tensor


def load_split(name: str, split: str, data_dir: Path, reporter: Reporter) -> Split:
    """The split of the data set called `name`.

    MNIST is downloaded to `data_dir`, or repaired there, when it can't be loaded from it.
    Raises UsageError on an unknown name and DataError where MNIST can't be had.
    """
    if check_dataset(name) == "synthetic":
        images, labels = synthetic.load(split)
    else:
        images, labels = _load_mnist(split, data_dir, reporter)
    return Split(images, labels.to(torch.int64))


def dataset_hash(name: str) -> str:
    """SHA-256 that tells whether two runs saw the same images: the published files, or a sample.

    Needs no files. Raises UsageError on an unknown name.
    """
    if check_dataset(name) == "synthetic":
        return synthetic.fingerprint()
    published = "".join(file.raw.sha256 for file in mnist.FILES)
    return hashlib.sha256(published.encode()).hexdigest()


def _load_mnist(split: str, data_dir: Path, reporter: Reporter) -> tuple[Tensor, Tensor]:
    try:
        return mnist.load(data_dir, split)
    except DataError as problem:
        reporter.say(f"{problem.message}; getting MNIST")
        download(data_dir, reporter=reporter)
        return mnist.load(data_dir, split)
