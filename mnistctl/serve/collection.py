"""Pictures that people have labelled: DIR/CLASS/NAME.png, as `train --dataset DIR` reads them."""

import contextlib
import hashlib
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistctl.data.images import SPLITS
from mnistctl.errors import MnistctlError
from mnistctl.files import explained, write_atomic

_NAME = re.compile(r"[0-9a-f]{16}\.png")


@dataclass(frozen=True)
class Collected:
    """A labelled picture."""

    folder: str
    """Of its class."""
    name: str
    path: Path
    saved: float
    """Seconds since 1970."""


class Collection:
    """A folder to which labelled pictures are added; only pictures of its own are shown.

    A picture is named by its content, so that it is there once, under its latest label. Where the
    folder is divided into train and test, it is added to train.
    """

    def __init__(self, directory: Path) -> None:
        """Raises MnistctlError where `directory` can't be made or written to."""
        self.root, self._adding = directory, Lock()
        divided = all((directory / split).is_dir() for split in SPLITS)
        self.directory = directory / "train" if divided else directory
        with explained(f"can't make {directory}"):
            directory.mkdir(parents=True, exist_ok=True)
        if not os.access(self.directory, os.W_OK):
            raise MnistctlError(f"can't write to {directory}", "choose another --collect DIR")

    def add(self, pixels: NDArray[np.uint8], class_name: str) -> Collected:
        """Save uint8 (height, width) or (height, width, 3), atomically. Raises MnistctlError."""
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        name = f"{hashlib.sha256(file.getvalue()).hexdigest()[:16]}.png"
        folder = folder_of(class_name)
        path = self.directory / folder / name
        # Two labels at once would each remove the other's picture.
        with explained(f"can't save to {path}"), self._adding:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.is_symlink():
                raise MnistctlError(f"{path.parent} is a symbolic link: refused")
            write_atomic(path, file.getvalue())
            for other in self._folders():
                if not other.samefile(path.parent):
                    (other / name).unlink(missing_ok=True)
            return Collected(folder, name, path, path.stat().st_mtime)

    def pictures(self) -> list[Collected]:
        """The newest first. Links, and files with other kinds of names, are passed over."""
        found = []
        for folder in self._folders():
            for entry in _entries(folder):
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(OSError):
                        saved = entry.stat().st_mtime
                        found.append(Collected(folder.name, entry.name, Path(entry.path), saved))
        return sorted(found, key=lambda own: (-own.saved, own.name))

    def _folders(self) -> list[Path]:
        entries = _entries(self.directory)
        return [Path(own.path) for own in entries if own.is_dir(follow_symlinks=False)]

    def read(self, folder: str, name: str) -> bytes | None:
        """The PNG that the listing has under that folder and name. Raises MnistctlError."""
        path = self._find(folder, name)
        if path is None:
            return None
        with explained(f"can't read {path}"):
            try:
                return path.read_bytes()
            except FileNotFoundError:  # removed meanwhile
                return None

    def remove(self, folder: str, name: str) -> bool:
        """Remove a picture of the listing; False where there is none. Raises MnistctlError."""
        path = self._find(folder, name)
        if path is None:
            return False
        with explained(f"can't remove {path}"):
            path.unlink(missing_ok=True)
        return True

    def _find(self, folder: str, name: str) -> Path | None:
        if not _NAME.fullmatch(name):
            return None
        paths = (own / name for own in self._folders() if own.name == folder)
        return next((path for path in paths if path.is_file() and not path.is_symlink()), None)


def _entries(directory: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []


def folder_of(class_name: str) -> str:
    """A class's folder: its name, with what no file system takes replaced."""
    return re.sub(r"[^\w .-]|^\.+", "-", class_name)
