"""The IDX family: reading published files, verified, from a directory in torchvision's layout."""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mnistctl.data.images import Blob, Dataset, IdxFile, LabelledImages, Published
from mnistctl.errors import DataError
from mnistctl.files import open_regular, read_regular, reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUMS_NAME = "SHA256SUMS"
"""Beside files whose SHA-256 was not known before they were first had."""
_SUM_LINE = re.compile(r"([0-9a-f]{64})  ([^/\0]+)")
_GZIP = 16 + zlib.MAX_WBITS
_TYPE_CODES = {"u1": 8, ">i4": 12}


class Copy(NamedTuple):
    """A good copy of a file: its IDX bytes, its `.gz` where that was read, and its path."""

    raw: bytearray
    gz: bytearray | None
    source: str
    has_sum: bool = True
    """Whether a checksum vouches for it."""


def load(dataset: Dataset, split: str, data_dir: Path) -> LabelledImages:
    """A split as published.

    Every load verifies what it read (of MNIST's size in a tenth of a second), so a file that
    changed since it was downloaded is never used. What torchvision has put there, which nobody
    has a SHA-256 of, must have the right size, header and labels.
    Raises DataError where a file is missing or damaged.
    """
    import torch

    source = dataset.published
    assert source is not None
    images, labels = (_array(dataset, data_dir, file) for file in source.files[split])
    if source.transposed:
        images = images.transpose(0, 2, 1).copy()
    if labels.ndim > 1:
        labels = labels[:, 0]
    classes = torch.from_numpy(labels.astype("i8")) - source.first_label
    if not 0 <= int(classes.min()) <= int(classes.max()) < len(dataset.classes):
        name = source.files[split][1].raw.name
        raise DataError(f"{name} holds labels of no class", _hint(dataset, data_dir))
    return LabelledImages(torch.from_numpy(images), classes)


def folders(source: Published, directory: Path) -> tuple[Path, Path]:
    """Where the files may lie in `directory`: in torchvision's layout, or flat."""
    return directory / source.folder, directory


def find_copy(
    source: Published, file: IdxFile, directory: Path, to_keep: bool = False
) -> tuple[Copy | None, list[str]]:
    """The first good copy of `file` in `directory`, and what was wrong with others.

    What another program decompressed has no sum: in torchvision's layout it is taken where no .gz
    is that has one; not where the copy is `to_keep` as verified. There the .gz comes first.
    Several data sets call their files alike: where they lie flat, only sums tell them apart.
    """
    problems = []
    for folder in folders(source, directory):
        sums = read_sums(folder)
        gz, raw = (
            replace(blob, sha256=blob.sha256 or sums.get(blob.name, ""))
            for blob in (file.gz, file.raw)
        )
        for known in (gz, raw) if to_keep or not raw.sha256 else (raw, gz):
            in_layout = known is raw and folder != directory
            if not (known.sha256 or known.md5 or (in_layout and not to_keep)):
                continue
            path = folder / known.name
            try:
                content = read_blob(path, known)
                if content is None:
                    continue
                found = content if known is raw else decompress(content, file, path)
                check_header(found, file, path)
            except DataError as error:
                problems.append(error.message)
                continue
            checked = bool(known.sha256 or known.md5)
            return Copy(found, None if known is raw else content, str(path), checked), problems
    return None, problems


def state(source: Published, data_dir: Path) -> str:
    """`verified`, `unverified`, `missing` or `damaged`: how all files are in `data_dir`.

    Unverified are those that another program decompressed, where no sum tells what they are.
    """
    files = [file for pair in source.files.values() for file in pair]
    found = [find_copy(source, file, data_dir) for file in files]
    if all(copy for copy, _ in found):
        return "verified" if all(copy and copy.has_sum for copy, _ in found) else "unverified"
    return "damaged" if any(copy or problems for copy, problems in found) else "missing"


def read_sums(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of the files in `folder` that were verified when they were downloaded."""
    try:
        text = read_regular(folder / SUMS_NAME, 1 << 20).decode()
    except (OSError, UnicodeDecodeError):
        return {}
    matches = map(_SUM_LINE.fullmatch, text.splitlines())
    return {match[2]: match[1] for match in matches if match}


def read_blob(path: Path, blob: Blob) -> bytearray | None:
    """The content of `path`, or None where there is no such file.

    Raises DataError where the file can't be read or is not, byte for byte, the published one.
    """
    try:
        with open_regular(path, sys.maxsize) as stream:
            # One byte more shows that a file is too long; the rest of it is never read.
            content = bytearray(stream.read(blob.limit + 1) or b"")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} can't be read: {reason(error)}") from error
    digest, expected = checksum(blob)
    digest.update(content)
    if expected and digest.hexdigest() != expected:
        kind = "SHA-256" if blob.sha256 else "MD5 sum"
        raise DataError(f"{path} is damaged: not the published file (its {kind} differs)")
    return content


def checksum(blob: Blob) -> tuple[hashlib._Hash, str]:
    """A hash to feed with a blob's content, and what its hexdigest should then be ("": unknown)."""
    if blob.sha256:
        return hashlib.sha256(), blob.sha256
    return hashlib.md5(usedforsecurity=False), blob.md5


def decompress(content: bytes | bytearray, file: IdxFile, path: Path | str) -> bytearray:
    """The IDX bytes in the content of a `.gz` file, `path` in errors. Raises DataError."""
    stream = zlib.decompressobj(_GZIP)
    try:
        raw = bytearray(stream.decompress(content, file.raw.bytes + 1))
    except zlib.error as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return raw


def check_header(content: bytearray, file: IdxFile, path: Path) -> None:
    """Raise DataError unless `content` says that it holds what `file` does, and has its size."""
    said = bytes([0, 0, _TYPE_CODES[file.dtype], len(file.shape)])
    said += b"".join(length.to_bytes(4) for length in file.shape)
    if content[: len(said)] == said and len(content) == file.raw.bytes:
        return
    wanted = " x ".join(map(str, file.shape))
    raise DataError(f"{path} is damaged: not an IDX file of {wanted} and {file.raw.bytes:,} bytes")


def _array(dataset: Dataset, data_dir: Path, file: IdxFile) -> NDArray[np.generic]:
    """The content of `file`, from the first good copy in `data_dir`."""
    import numpy as np

    assert dataset.published is not None
    source = dataset.published
    copy, problems = find_copy(source, file, data_dir)
    if copy is None:
        name = file.raw.name if source.archive else file.gz.name
        problems.append(f"no {name} in {data_dir / source.folder} or {data_dir}")
        raise DataError(problems[0], _hint(dataset, data_dir))
    header_bytes = 4 + 4 * len(file.shape)
    return np.frombuffer(copy.raw, file.dtype, offset=header_bytes).reshape(file.shape)


def _hint(dataset: Dataset, data_dir: Path) -> str:
    chosen = "" if dataset.name == "mnist" else f" --dataset {dataset.name}"
    return f"mnistctl download{chosen} --data-dir {shlex.quote(str(data_dir))}"
