"""Published files: MNIST's, and made ones in every layout of the IDX family."""

import gzip
import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mnistctl.data.images import Blob, Dataset, IdxFile, Published
from mnistctl.data.registry import DATASETS, idx_dataset

SIZES = {"train": 60, "test": 20}


def published(name: str = "mnist") -> Published:
    """What the row of a data set says about its files."""
    source = DATASETS[name].published
    assert source is not None
    return source


def all_files(source: Published) -> list[IdxFile]:
    """Train images, train labels, test images, test labels."""
    return [file for files in source.files.values() for file in files]


FILES = all_files(published())
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES


def only(monkeypatch: pytest.MonkeyPatch, *files: IdxFile, name: str = "mnist") -> None:
    """Leave a data set no files but some of its test files."""
    row, source = DATASETS[name], published(name)
    changed = replace(source, files={"train": (), "test": files})  # type: ignore[dict-item]
    monkeypatch.setitem(DATASETS, name, replace(row, published=changed))


def with_mirrors(monkeypatch: pytest.MonkeyPatch, *urls: str, name: str = "mnist") -> None:
    """Give a data set other mirrors."""
    changed = replace(published(name), mirrors=urls)
    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], published=changed))


def made_content(row: Dataset, sizes: dict[str, int], seed: int = 0) -> list[bytes]:
    """IDX bytes of made images and labels for the four files of a row, every class among them."""
    source, rng = published(row.name), np.random.default_rng(seed)
    contents = []
    for split, (_, labels) in source.files.items():
        size = sizes[split]
        images = rng.integers(0, 256, (size, 28, 28), np.uint8)
        classes = np.arange(size) % len(row.classes) + source.first_label
        contents.append(idx_bytes(images, 8))
        if len(labels.shape) == 2:
            columns = rng.integers(-1, 1 << 20, (size, labels.shape[1]))
            columns[:, 0] = classes
            contents.append(idx_bytes(columns.astype(">i4"), 12))
        else:
            contents.append(idx_bytes(classes.astype(np.uint8), 8))
    return contents


def idx_bytes(array: NDArray[np.generic], code: int) -> bytes:
    """An array in the IDX format; `code` is that of its numbers' type."""
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4) for n in array.shape)
    return header + array.tobytes()


def small_row(monkeypatch: pytest.MonkeyPatch, name: str, sizes: dict[str, int] = SIZES) -> Dataset:
    """A row of the IDX family as it is, but for sizes and checksums: those of `made_content`."""
    row, source = DATASETS[name], published(name)
    contents = made_content(row, sizes)
    names = [file.raw.name for file in all_files(source)]
    gz = [compressed(content) for content in contents]
    archive = zipped(names, gz)
    made = idx_dataset(
        name,
        row.summary,
        row.classes,
        sizes=sizes,
        folder=source.folder,
        mirrors=("http://127.0.0.1:9/",),
        names=names,
        gz_bytes=[len(content) for content in gz],
        sums=[md5(content) for content in gz] if source.archive is None else ("", "", "", ""),
        columns=len(source.files["train"][1].shape) == 2 and 8 or 0,
        archive=source.archive and Blob("gzip.zip", len(archive), md5=md5(archive)),
        transposed=source.transposed,
        first_label=source.first_label,
    )
    monkeypatch.setitem(DATASETS, name, made)
    return made


def lay_out(row: Dataset, folder: Path, form: str, sizes: dict[str, int] = SIZES) -> None:
    """Write the files of a `small_row` into `folder`: as "raw", "gz" or "zip"."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = made_content(row, sizes)
    names = [file.raw.name for file in all_files(published(row.name))]
    if form == "zip":
        content = zipped(names, [compressed(own) for own in contents])
        (folder / "gzip.zip").write_bytes(content)
        return
    for name, own in zip(names, contents, strict=True):
        if form == "raw":
            (folder / name).write_bytes(own)
        else:
            (folder / f"{name}.gz").write_bytes(compressed(own))


def zipped(names: Sequence[str], contents: Sequence[bytes]) -> bytes:
    """EMNIST's archive: a .gz of each file in a folder `gzip`, and others beside them."""
    from io import BytesIO

    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in zip(names, contents, strict=True):
            archive.writestr(zipfile.ZipInfo(f"gzip/{name}.gz"), content)
        archive.writestr(zipfile.ZipInfo("../../outside.txt"), "not wanted")
    return target.getvalue()


def compressed(content: bytes) -> bytes:
    """As .gz, the same bytes every time."""
    return gzip.compress(content, mtime=0)


def md5(content: bytes) -> str:
    """Its MD5 sum in hexadecimal."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
