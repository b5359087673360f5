"""A directory of pictures as a data set: DIR/train/CLASS/* and DIR/test/CLASS/*, or DIR/CLASS/*."""

import hashlib
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mnistctl import __version__
from mnistctl.data.images import SPLITS, Dataset, LabelledImages, Preparation
from mnistctl.errors import DataError, ImageError, UsageError, unknown
from mnistctl.events import Reporter
from mnistctl.files import explained, open_regular, read_regular, reason, write_atomic
from mnistctl.text import counted

MAX_CLASSES = 1_000
MAX_NAME = 40
MAX_BYTES = 512 << 20
TEST_SHARE = 5
"""Of DIR/CLASS/*, one file in five is a test image: by its content, so that adding moves none."""
SHOWN = 10
PREPARATIONS = ("ink", "resize")
SKIP = "skip-unreadable"
EXPECTED = "expected pictures in DIR/train/CLASS and DIR/test/CLASS, or in DIR/CLASS"
PIXELS = 28 * 28
SUM_BYTES = 32

_digests: dict[tuple[str, int, int, int], str] = {}
"""What this process has read already: (path, inode, size, time of change) -> SHA-256."""


@dataclass(frozen=True)
class Picture:
    """A file, its class by the place in `classes`, and the SHA-256 of its content."""

    path: str
    label: int
    digest: str


@dataclass(frozen=True)
class Contents:
    """What lies in a directory."""

    root: Path
    classes: tuple[str, ...]
    pictures: dict[str, list[Picture]]
    """Of each split, by class and name."""
    unreadable: dict[str, str]
    """Path -> why its content can't be had."""


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
    if name is None or not os.path.isdir(parse(name)[0]):
        raise UsageError("--prepare and --skip-unreadable are for --dataset DIRECTORY")
    path, options = parse(name)
    asked = (("resize", prepare == "resize"), (SKIP, skip_unreadable))
    if prepare is not None:
        options -= {"resize"}
    return _name(path, options | {word for word, is_on in asked if is_on})


def _name(path: str, options: Set[str]) -> str:
    return f"{path}#{','.join(sorted(options))}" if options else path


def dataset(path: str, options: Set[str]) -> Dataset:
    """The data set in a directory, found out by reading every file once.

    Raises DataError where it does not hold classes of pictures.
    """
    root, unreadable = Path(os.path.abspath(path)), dict[str, str]()
    classes, files = _scan(root)
    found = {split: list(_digested(own, unreadable)) for split, own in files.items()}
    if len(found) == 1:
        (whole,) = found.values()
        is_test = [int(own.digest, 16) % TEST_SHARE == 0 for own in whole]
        found = {
            split: [own for own, tests in zip(whole, is_test, strict=True) if tests == place]
            for place, split in enumerate(SPLITS)
        }
    trained = {own.label for own in found["train"]}
    missing = [name for label, name in enumerate(classes) if label not in trained]
    if not unreadable and (missing or not found["test"]):
        lacking = f"training images of {_listed(missing)}" if missing else "test images"
        raise DataError(f"{root} has no {lacking}", f"add more; {EXPECTED}")
    prepare: Preparation = "resize" if "resize" in options else "ink"
    contents = Contents(root, classes, found, unreadable)
    return Dataset(
        name=_name(str(root), options),
        summary=f"pictures in {root}",
        classes=classes,
        sizes={split: len(pictures) for split, pictures in found.items()},
        load=partial(_load, contents, prepare, SKIP in options),
        fingerprint=partial(_fingerprint, contents, prepare),
        prepare=prepare,
    )


def _listed(names: Sequence[str]) -> str:
    """The first ten of `names`, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _scan(root: Path) -> tuple[tuple[str, ...], dict[str, list[tuple[str, int]]]]:
    """Classes, and (path, class) of each split's pictures; "" stands for both splits together."""
    names = _directories(root)
    tops = [split for split in SPLITS if split in names]
    if len(tops) == 1 and _directories(root / tops[0]):
        raise DataError(f"{root} has {tops[0]}, but not the other split", EXPECTED)
    folders = {split: root / split for split in SPLITS} if len(tops) == 2 else {"": root}
    of_split = {split: _directories(folder) for split, folder in folders.items()}
    names = of_split.get("train", names)
    if len(names) < 2 or len(names) > MAX_CLASSES:
        raise DataError(f"{root} has {len(names):,} classes, not 2 to {MAX_CLASSES:,}", EXPECTED)
    for name in names:
        if not name.isprintable() or len(name) > MAX_NAME:
            rule = f"at most {MAX_NAME} printable characters"
            raise DataError(f"{root}: {name[:MAX_NAME]!r} can't name a class", rule)
    if strange := [name for name in of_split.get("test", ()) if name not in names]:
        raise DataError(f"{root}: classes in test that train does not have: {_listed(strange)}")
    files = {
        split: [
            (path, names.index(own)) for own in of_split[split] for path in _pictures(folder / own)
        ]
        for split, folder in folders.items()
    }
    return tuple(names), files


def _directories(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _pictures(folder: Path) -> list[str]:
    """Paths of the files with an image's ending in a class's directory, by name."""
    from mnistctl.imaging.files import is_image_name

    files = (entry for entry in _entries(folder) if not entry.is_dir())
    pictures = [entry.path for entry in files if is_image_name(entry.name)]
    if not pictures:
        raise DataError(f"{folder}: a class without pictures", EXPECTED)
    return pictures


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """What is in a directory, by name, without hidden files. Raises DataError."""
    unreadable = explained(f"can't read the directory {folder}", DataError)
    with unreadable, os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(shown, key=lambda entry: entry.name)


def _digested(files: Iterable[tuple[str, int]], unreadable: dict[str, str]) -> Iterator[Picture]:
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


def _fingerprint(contents: Contents, prepare: str) -> str:
    """SHA-256 of classes, contents and preparation, whatever the files are called."""
    lines = [prepare, *contents.classes]
    for split, pictures in contents.pictures.items():
        lines += sorted(f"{split} {own.label} {own.digest}" for own in pictures)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _load(
    contents: Contents,
    prepare: Preparation,
    skip_unreadable: bool,
    split: str,
    data_dir: Path,
    reporter: Reporter,
) -> LabelledImages:
    """A split, prepared. What was prepared before, of the same content, is taken from a cache."""
    import torch

    from mnistctl.data.preparing import prepare_all

    if split == "test":
        _warn_of_doubtful(contents, reporter)
    key = hashlib.sha256(f"{contents.root}\n{prepare}\n{__version__}".encode()).hexdigest()
    cache = data_dir / "prepared" / f"{contents.root.name}-{key[:16]}.bin"
    prepared, failures = _read_cache(cache), dict(contents.unreadable)
    new = {own.digest: own.path for own in contents.pictures[split] if own.digest not in prepared}
    if new:
        answers = prepare_all(list(new.values()), prepare, reporter)
        for (digest, path), found in zip(new.items(), answers, strict=True):
            if isinstance(found, ImageError):
                failures[path] = found.message
            elif prepare == "ink" and not found[0].pixels.any():
                failures[path] = f"{path}: no ink found"
            else:
                prepared[digest] = found[0].pixels.tobytes()
        _write_cache(cache, contents, prepared, reporter)
    if failures:
        named = _listed(list(failures.values()))
        if not skip_unreadable:
            without = shlex.quote(str(with_options(str(contents.root), prepare, True)))
            whole = shlex.quote(_name(str(contents.root), frozenset({"resize"})))
            others = f"; if they show no handwriting: --dataset {whole}"
            raise DataError(
                f"{len(failures):,} of the pictures can't be used: {named}",
                f"remove them, or leave them out with --dataset {without}"
                + (others if prepare == "ink" else ""),
            )
        reporter.warn(f"{counted(len(failures), 'picture')} skipped: {named}")
    readable = [picture for picture in contents.pictures[split] if picture.digest in prepared]
    # By content, as the fingerprint has it: files that are renamed change no training.
    own = sorted(readable, key=lambda picture: (picture.label, picture.digest))
    missing = set(contents.classes) - {contents.classes[picture.label] for picture in own}
    if not own or (split == "train" and missing):
        of = f" of {_listed(sorted(missing))}" if own else ""
        raise DataError(f"{contents.root}: none of its {split} images{of} can be read")
    content = bytearray().join(prepared[picture.digest] for picture in own)
    images = torch.frombuffer(content, dtype=torch.uint8).view(-1, 28, 28)
    return LabelledImages(images, torch.tensor([picture.label for picture in own]))


def _warn_of_doubtful(contents: Contents, reporter: Reporter) -> None:
    """Say what makes a test result worth less."""
    tested = {own.label for own in contents.pictures["test"]}
    untested = [name for label, name in enumerate(contents.classes) if label not in tested]
    if untested:
        reporter.warn(f"there are no test images of {_listed(untested)}")
    first: dict[str, tuple[str, Picture]] = {}
    twins = []
    for split, pictures in contents.pictures.items():
        for own in pictures:
            other_split, other = first.setdefault(own.digest, (split, own))
            if (other_split, other.label) != (split, own.label):
                names = [os.path.relpath(path, contents.root) for path in (other.path, own.path)]
                twins.append(" = ".join(names))
    if twins:
        reporter.warn(f"the same picture in train and test, or in two classes: {_listed(twins)}")


def _read_cache(path: Path) -> dict[str, bytes]:
    """SHA-256 of a picture -> its 784 pixels; empty where there is no cache, or a damaged one."""
    try:
        with open_regular(path, 1 << 40) as file:
            content = file.read()
    except OSError:
        return {}
    body, seal = content[:-SUM_BYTES], content[-SUM_BYTES:]
    if hashlib.sha256(body).digest() != seal:
        return {}
    starts = range(0, len(body), SUM_BYTES + PIXELS)
    return {
        body[at : at + SUM_BYTES].hex(): body[at + SUM_BYTES : at + SUM_BYTES + PIXELS]
        for at in starts
    }


def _write_cache(
    path: Path, contents: Contents, prepared: dict[str, bytes], reporter: Reporter
) -> None:
    """Keep what is prepared of the pictures that are there now."""
    digests = {own.digest for pictures in contents.pictures.values() for own in pictures}
    body = b"".join(bytes.fromhex(d) + prepared[d] for d in sorted(digests & prepared.keys()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, body + hashlib.sha256(body).digest())
    except OSError as error:
        reporter.warn(f"can't keep the prepared pictures in {path}: {reason(error)}")
