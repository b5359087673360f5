"""The names of the data sets, known without importing torch."""

from mnistctl.errors import unknown

DATASETS = ("mnist", "synthetic")
DEFAULT_DATASET = "mnist"
SPLIT_SIZES = {"train": 60_000, "test": 10_000}
"""Images in each split, the same for every data set."""


def check_dataset(name: str) -> str:
    """`name` if it is a data set. Raises UsageError with the near match when it is not."""
    if name not in DATASETS:
        raise unknown("dataset", name, DATASETS)
    return name


def check_split(name: str) -> str:
    """`name` if it is a split. Raises UsageError with the near match when it is not."""
    if name not in SPLIT_SIZES:
        raise unknown("split", name, tuple(SPLIT_SIZES))
    return name
