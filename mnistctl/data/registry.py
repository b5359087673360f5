"""Every data set: one row each. Imports no torch, so that the command line knows the names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mnistctl.data.images import MNIST_SIZES, SPLITS
from mnistctl.data.images import LabelledImages as LabelledImages
from mnistctl.errors import unknown
from mnistctl.events import Reporter

DIGITS = tuple("0123456789")
DEFAULT_DATASET = "mnist"


@dataclass(frozen=True)
class Dataset:
    """A data set: its classes and sizes, and how its images are had."""

    name: str
    summary: str
    classes: tuple[str, ...]
    sizes: Mapping[str, int]
    """Number of images of each split."""
    load: Callable[[str, Path, Reporter], LabelledImages]
    """(split, data directory, reporter) -> the split, fetched or drawn where it is not there yet.
    Raises DataError."""
    state: Callable[[Path], str]
    """Whether a data directory has it: verified, missing, damaged, or drawn at run time."""
    fingerprint: Callable[[], str]
    """SHA-256 that tells whether two runs saw the same images; needs no files."""

    @property
    def has_digits(self) -> bool:
        """Whether its classes are the ten digits."""
        return self.classes == DIGITS


def _load_mnist(split: str, data_dir: Path, reporter: Reporter) -> LabelledImages:
    from mnistctl.data import mnist
    from mnistctl.data.download import download
    from mnistctl.errors import DataError

    try:
        return mnist.load(data_dir, split)
    except DataError as problem:
        reporter.say(f"{problem.message}; getting MNIST")
        download(data_dir, reporter=reporter)
        return mnist.load(data_dir, split)


def _mnist_state(data_dir: Path) -> str:
    from mnistctl.data import mnist

    return mnist.state(data_dir)


def _mnist_fingerprint() -> str:
    from mnistctl.data import mnist

    return mnist.fingerprint()


def _load_synthetic(split: str, data_dir: Path, reporter: Reporter) -> LabelledImages:
    from mnistctl.data import synthetic

    return synthetic.load(split, reporter=reporter)


def _synthetic_fingerprint() -> str:
    from mnistctl.data import synthetic

    return synthetic.fingerprint()


DATASETS: dict[str, Dataset] = {
    row.name: row
    for row in (
        Dataset(
            name="mnist",
            summary="handwritten digits, downloaded on first use",
            classes=DIGITS,
            sizes=MNIST_SIZES,
            load=_load_mnist,
            state=_mnist_state,
            fingerprint=_mnist_fingerprint,
        ),
        Dataset(
            name="synthetic",
            summary="digits drawn at run time, no download",
            classes=DIGITS,
            sizes=MNIST_SIZES,
            load=_load_synthetic,
            state=lambda data_dir: "drawn at run time",
            fingerprint=_synthetic_fingerprint,
        ),
    )
}


def get_dataset(name: str) -> Dataset:
    """The data set called `name`. Raises UsageError with the near match when there is none."""
    if name not in DATASETS:
        raise unknown("data set", name, tuple(DATASETS))
    return DATASETS[name]


def check_split(name: str) -> str:
    """`name` if it is a split. Raises UsageError with the near match when it is not."""
    if name not in SPLITS:
        raise unknown("split", name, SPLITS)
    return name
