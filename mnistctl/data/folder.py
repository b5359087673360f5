"""A directory of pictures as a data set: DIR/train/CLASS/* and DIR/test/CLASS/*, or DIR/CLASS/*."""

import hashlib
import os
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mnistctl import __version__
from mnistctl.data.registry import DATASETS, SPLITS, Dataset, LabelledImages, Preparation
from mnistctl.errors import DataError, UsageError, unknown
from mnistctl.events import Reporter
from mnistctl.files import open_regular, read_regular, reason, write_atomic

MAX_CLASSES = 1_000
MAX_NAME = 100
MAX_BYTES = 512 << 20
TEST_SHARE = 5
"""Of DIR/CLASS/*, one file in five is a test image: by its content, so that adding moves none."""
SHOWN = 10
PREPARATIONS = ("ink", "resize")
SKIP = "skip-unreadable"
EXPECTED = "expected pictures in DIR/train/CLASS and DIR/test/CLASS, or in DIR/CLASS"
PIXELS = 28 * 28
DIGEST_BYTES = 32

_digests: dict[tuple[str, int, int, int], str] = {}
"""What this process has read already: (path, inode, size, time of change) -> SHA-256."""


@dataclass(frozen=True)
class Picture:
    """A file of a class, by its place in `classes`, and the SHA-256 of its content."""

    path: str
    label: int
    digest: str


def parse(name: str) -> tuple[str, frozenset[str]]:
    """The directory that a data set's name means and its options: `DIR#resize,skip-unreadable`."""
    path, mark, words = name.rpartition("#")
    options = frozenset(words.split(","))
    return (path, options) if mark and options <= {"resize", SKIP} else (name, frozenset())


def with_options(name: str | None, prepare: str | None, skip_unreadable: bool) -> str | None:
    """The name of a data set with what `--prepare` and `--skip-unreadable` say about it.

    Raises UsageError where they can't be said about it.
    """
    if prepare is not None and prepare not in PREPARATIONS:
        raise unknown("--prepare value", prepare, PREPARATIONS)
    if prepare is None and not skip_unreadable:
        return name
    if name is None or name in DATASETS:
        raise UsageError("--prepare and --skip-unreadable are for --dataset DIRECTORY")
    path, options = parse(name)
    asked = (("resize", prepare == "resize"), (SKIP, skip_unreadable))
    return _name(path, options | {word for word, is_on in asked if is_on})


def _name(path: str, options: Set[str]) -> str:
    return f"{path}#{','.join(sorted(options))}" if options else path


def dataset(path: str, options: Set[str]) -> Dataset:
    """The data set in a directory, found out by reading every file once.

    Raises DataError for what is no classes of pictures.
    """
    root = Path(os.path.abspath(path))
    classes, files = _scan(root)
    unreadable: dict[str, str] = {}
    found = {split: list(_digested(of_split, unreadable)) for split, of_split in files.items()}
    if len(found) == 1:
        whole = found.popitem()[1]
        in_test = [int(own.digest, 16) % TEST_SHARE == 0 for own in whole]
        for number, split in enumerate(SPLITS):
            found[split] = [own for own, test in zip(whole, in_test, strict=True) if test == number]
    contents = _Contents(_name(str(root), options), root, classes, found, unreadable)
    contents.check()
    prepare: Preparation = "resize" if "resize" in options else "ink"
    return Dataset(
        name=contents.name,
        summary=f"pictures in {root}",
        classes=classes,
        sizes={split: len(pictures) for split, pictures in found.items()},
        load=partial(_load, contents, prepare, SKIP in options),
        fingerprint=partial(contents.fingerprint, prepare),
        prepare=prepare,
    )


@dataclass(frozen=True)
class _Contents:
    """What lies in a directory."""

    name: str
    root: Path
    classes: tuple[str, ...]
    pictures: dict[str, list[Picture]]
    """Of each split, by class and name."""
    unreadable: dict[str, str]
    """Path -> why its content can't be had."""

    def check(self) -> None:
        """Raise DataError where there is nothing to train on, or to test with."""
        counts = {split: {own.label for own in of} for split, of in self.pictures.items()}
        missing = [name for k, name in enumerate(self.classes) if k not in counts["train"]]
        if missing and not self.unreadable:
            raise DataError(f"{self.root}: no picture to train on of {_listed(missing)}", EXPECTED)
        if not counts["test"] and not self.unreadable:
            raise DataError(
                f"{self.root}: no picture to test with",
                "more pictures, or a test set of your own: DIR/train/CLASS and DIR/test/CLASS",
            )

    def fingerprint(self, prepare: str) -> str:
        """SHA-256 of classes, contents and preparation, whatever the files are called."""
        lines = [prepare, *self.classes]
        for split in SPLITS:
            lines += sorted(f"{split} {own.label} {own.digest}" for own in self.pictures[split])
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def warn(self, reporter: Reporter) -> None:
        """Say what makes a test result worth less."""
        tested = {own.label for own in self.pictures["test"]}
        untested = [name for k, name in enumerate(self.classes) if k not in tested]
        if untested:
            reporter.warn(f"no picture to test with of {_listed(untested)}")
        first = {own.digest: own for own in self.pictures["train"]}
        both = [(first[t.digest], t) for t in self.pictures["test"] if t.digest in first]
        if both:
            reporter.warn(f"the same picture is in train and test: {self._twins(both)}")
        every = [*self.pictures["train"], *self.pictures["test"]]
        first = {own.digest: own for own in reversed(every)}
        mixed = [(first[p.digest], p) for p in every if first[p.digest].label != p.label]
        if mixed:
            reporter.warn(f"the same picture is in two classes: {self._twins(mixed)}")

    def _twins(self, pairs: Iterable[tuple[Picture, Picture]]) -> str:
        names = [
            " and ".join(os.path.relpath(own.path, self.root) for own in pair) for pair in pairs
        ]
        return _listed(names, quoted=False)


def _listed(names: Sequence[str], quoted: bool = True) -> str:
    """The first ten of `names`, and how many more there are."""
    shown = ", ".join(f"'{name}'" if quoted else name for name in names[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def _scan(root: Path) -> tuple[tuple[str, ...], dict[str, list[tuple[str, int]]]]:
    """Classes, and (path, class) of each split's pictures; "" stands for both splits together."""
    tops = _directories(root)
    if set(SPLITS) <= set(tops):
        classes = _checked_classes(root, _directories(root / "train"))
        strange = [name for name in _directories(root / "test") if name not in classes]
        if strange:
            raise DataError(f"{root}/test has classes that train has not: {_listed(strange)}")
        folders = {split: root / split for split in SPLITS}
    else:
        for one, other in (SPLITS, SPLITS[::-1]):
            if one in tops and _directories(root / one):
                raise DataError(f"{root} has {one} but no {other}", EXPECTED)
        classes = _checked_classes(root, tops)
        folders = {"": root}
    files = {
        split: [
            (path, label)
            for label, name in enumerate(classes)
            for path in _pictures(folder / name, must_exist=split != "test")
        ]
        for split, folder in folders.items()
    }
    return classes, files


def _directories(folder: Path) -> list[str]:
    """Names of the directories in `folder`, sorted, without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError as error:
        raise DataError(f"can't read the directory {folder}: {reason(error)}") from error


def _checked_classes(root: Path, names: list[str]) -> tuple[str, ...]:
    if len(names) < 2:
        has = f"only the class '{names[0]}'" if names else "no classes"
        raise DataError(f"{root} has {has}, at least two are needed", EXPECTED)
    if len(names) > MAX_CLASSES:
        raise DataError(f"{root} has {len(names):,} classes, more than {MAX_CLASSES:,}")
    for name in names:
        if not name.isprintable() or len(name) > MAX_NAME:
            raise DataError(
                f"{root}: {name[:MAX_NAME]!r} can't name a class",
                f"at most {MAX_NAME} printable characters",
            )
    return tuple(names)


def _pictures(folder: Path, must_exist: bool) -> list[str]:
    """Paths of the files with an image's ending in `folder`, by name."""
    from PIL import Image

    if not must_exist and not folder.exists():
        return []
    endings = Image.registered_extensions()
    try:
        with os.scandir(folder) as entries:
            found = [e.path for e in entries if not e.is_dir() and not e.name.startswith(".")]
    except OSError as error:
        raise DataError(f"can't read the directory {folder}: {reason(error)}") from error
    pictures = sorted(path for path in found if os.path.splitext(path)[1].lower() in endings)
    if must_exist and not pictures:
        raise DataError(f"{folder.parent}: the class '{folder.name}' is empty", EXPECTED)
    return pictures


def _digested(files: Iterable[tuple[str, int]], unreadable: dict[str, str]) -> Iterable[Picture]:
    """Files with the SHA-256 of their contents; those without one are added to `unreadable`."""
    for path, label in files:
        try:
            status = os.stat(path)
            key = (path, status.st_ino, status.st_size, status.st_mtime_ns)
            if key not in _digests:
                content = read_regular(Path(path), MAX_BYTES)
                _digests[key] = hashlib.sha256(content).hexdigest()
            yield Picture(path, label, _digests[key])
        except OSError as error:
            unreadable[path] = f"{path}: {reason(error)}"


def _load(
    contents: _Contents,
    prepare: Preparation,
    skip_unreadable: bool,
    split: str,
    data_dir: Path,
    reporter: Reporter,
) -> LabelledImages:
    """A split, prepared. What was prepared before, of the same content, is taken from a cache."""
    import torch

    if split == "test":
        contents.warn(reporter)
    key = hashlib.sha256(f"{contents.root}\n{prepare}\n{__version__}".encode()).hexdigest()
    cache = data_dir / "prepared" / f"{contents.root.name}-{key[:16]}.bin"
    prepared = _read_cache(cache)
    new = {own.digest: own.path for own in contents.pictures[split] if own.digest not in prepared}
    failures = dict(contents.unreadable)
    if new:
        from mnistctl.data.preparing import prepare_all

        paths = list(new.values())
        answers = prepare_all(paths, prepare, reporter)
        for digest, path, answer in zip(new, paths, answers, strict=True):
            if isinstance(answer, bytes):
                prepared[digest] = answer
            else:
                failures[path] = answer
        _write_cache(cache, contents, prepared, reporter)
    reasons = list(failures.values())
    if reasons and not skip_unreadable:
        raise DataError(
            f"{len(reasons):,} of the pictures can't be used: {_listed(reasons, quoted=False)}",
            "remove them, or leave them out with --skip-unreadable",
        )
    if reasons:
        reporter.warn(f"{len(reasons):,} skipped: {_listed(reasons, quoted=False)}")
    own = [picture for picture in contents.pictures[split] if picture.digest in prepared]
    if not own:
        raise DataError(f"{contents.root}: no picture of {split} can be read")
    pixels = bytearray().join(prepared[picture.digest] for picture in own)
    images = torch.frombuffer(pixels, dtype=torch.uint8).view(-1, 28, 28)
    return LabelledImages(images, torch.tensor([picture.label for picture in own]))


def _read_cache(path: Path) -> dict[str, bytes]:
    """SHA-256 of a picture -> its 784 pixels; empty where there is no cache, or a damaged one."""
    try:
        with open_regular(path, 1 << 40) as file:
            content = file.read()
    except OSError:
        return {}
    body, seal = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != seal:
        return {}
    size = DIGEST_BYTES + PIXELS
    records = (body[at : at + size] for at in range(0, len(body), size))
    return {record[:DIGEST_BYTES].hex(): record[DIGEST_BYTES:] for record in records}


def _write_cache(
    path: Path, contents: _Contents, prepared: dict[str, bytes], reporter: Reporter
) -> None:
    """Keep what is prepared of the pictures that are there now."""
    digests = {own.digest for of_split in contents.pictures.values() for own in of_split}
    body = b"".join(bytes.fromhex(d) + prepared[d] for d in sorted(digests) if d in prepared)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, body + hashlib.sha256(body).digest())
    except OSError as error:
        reporter.warn(f"can't keep the prepared pictures in {path}: {reason(error)}")
