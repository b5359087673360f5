"""The four published MNIST files: what they are, and reading them, verified, from a directory."""

from __future__ import annotations

import gzip
import hashlib
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnistctl.data.images import LabelledImages
from mnistctl.errors import DataError
from mnistctl.files import open_regular, reason

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Blob:
    """A file whose every byte is known: its name, size in bytes and SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class MnistFile:
    """A published file in both of its forms: as downloaded and decompressed (the IDX format)."""

    gz: Blob
    raw: Blob
    shape: tuple[int, ...]


TRAIN_IMAGES = MnistFile(
    gz=Blob(
        "train-images-idx3-ubyte.gz",
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    raw=Blob(
        "train-images-idx3-ubyte",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    shape=(60_000, 28, 28),
)
TRAIN_LABELS = MnistFile(
    gz=Blob(
        "train-labels-idx1-ubyte.gz",
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    raw=Blob(
        "train-labels-idx1-ubyte",
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    shape=(60_000,),
)
TEST_IMAGES = MnistFile(
    gz=Blob(
        "t10k-images-idx3-ubyte.gz",
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    raw=Blob(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    shape=(10_000, 28, 28),
)
TEST_LABELS = MnistFile(
    gz=Blob(
        "t10k-labels-idx1-ubyte.gz",
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    raw=Blob(
        "t10k-labels-idx1-ubyte",
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    shape=(10_000,),
)
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
SPLIT_FILES: dict[str, tuple[MnistFile, MnistFile]] = {
    "train": (TRAIN_IMAGES, TRAIN_LABELS),
    "test": (TEST_IMAGES, TEST_LABELS),
}


def load(data_dir: Path, split: str) -> LabelledImages:
    """A split as published.

    Every load verifies the SHA-256 of what it read (a tenth of a second), so a file that changed
    since it was downloaded is never used. Raises DataError where a file is missing or damaged.
    """
    images, labels = (_load_file(data_dir, file) for file in SPLIT_FILES[split])
    return LabelledImages(images, labels.long())


def state(data_dir: Path) -> str:
    """`verified`, `missing`, or `damaged`: whether all four files are in `data_dir` and intact."""
    if not any(
        (folder / blob.name).exists()
        for folder in folders(data_dir)
        for file in FILES
        for blob in (file.raw, file.gz)
    ):
        return "missing"
    try:
        for file in FILES:
            _read_any_copy(data_dir, file)
    except DataError:
        return "damaged"
    return "verified"


def fingerprint() -> str:
    """SHA-256 over those of the published files."""
    published = "".join(file.raw.sha256 for file in FILES)
    return hashlib.sha256(published.encode()).hexdigest()


def folders(directory: Path) -> tuple[Path, Path]:
    """Where the files may lie in `directory`: in torchvision's layout, or flat."""
    return directory / "MNIST" / "raw", directory


def read_blob(path: Path, blob: Blob) -> bytearray | None:
    """The content of `path`, or None where there is no such file.

    Raises DataError where the file can't be read or is not, byte for byte, the published one.
    """
    try:
        with open_regular(path, sys.maxsize) as stream:
            # One byte more shows that a file is too long; the rest of it is never read.
            content = bytearray(stream.read(blob.bytes + 1) or b"")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} can't be read: {reason(error)}") from error
    if not matches(content, blob):
        raise DataError(f"{path} is damaged: not the published file (its SHA-256 differs)")
    return content


def matches(content: bytes | bytearray, blob: Blob) -> bool:
    """Whether `content` is the published one, by SHA-256."""
    return hashlib.sha256(content).hexdigest() == blob.sha256


def decompress(content: bytes | bytearray) -> bytearray:
    """The IDX bytes in the verified content of a `.gz` file."""
    return bytearray(gzip.decompress(content))


def _load_file(data_dir: Path, file: MnistFile) -> Tensor:
    import torch

    content = _read_any_copy(data_dir, file)
    # IDX: a magic number of 4 bytes, then 4 bytes for the length of each dimension.
    header_bytes = 4 + 4 * len(file.shape)
    return torch.frombuffer(content, dtype=torch.uint8, offset=header_bytes).reshape(file.shape)


def _read_any_copy(data_dir: Path, file: MnistFile) -> bytearray:
    """The IDX bytes of `file` from the first good copy in `data_dir`."""
    problems = []
    for folder in folders(data_dir):
        for blob in (file.raw, file.gz):
            try:
                content = read_blob(folder / blob.name, blob)
            except DataError as error:
                problems.append(error.message)
                continue
            if content is not None:
                return content if blob is file.raw else decompress(content)
    problems.append(f"no {file.gz.name} in {folders(data_dir)[0]} or {data_dir}")
    hint = f"mnistctl download --data-dir {shlex.quote(str(data_dir))}"
    raise DataError(problems[0], hint=hint)
