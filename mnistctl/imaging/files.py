"""Open any image file safely: bounded time and memory, every failure an `ImageError`."""

import glob
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mnistctl.errors import ImageError
from mnistctl.files import A_PIPE, open_regular
from mnistctl.imaging.pixel_modes import as_pixels, plain_mode
from mnistctl.text import first_line

MAX_BYTES = 512 * 2**20
# JPEG decodes at an eighth of its size, so it may be larger.
MAX_PIXELS = 64 * 10**6
MAX_JPEG_PIXELS = 128 * 10**6
# Digits fill a few per cent of a photograph or more: beyond this, detail is only work.
WORK_SIDE = 768

# What people take for an image file, and Pillow can't decode: by ending, and by how it begins.
_FOREIGN_ENDINGS = {".heic", ".heif"}
_FOREIGN = {
    "a HEIC image": (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"),
    "a PDF document": (b"%PDF",),
    "an SVG drawing": (b"<svg",),
}

STDIN = "-"
_STDERR = Lock()

_COMMON = ("PNG", "JPEG", "BMP", "GIF", "PPM")
# These start another program (Ghostscript), draw through the operating system, or need a
# handler that Pillow doesn't ship.
_EXCLUDED = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}


@dataclass(frozen=True)
class Picture:
    """An upright image, small enough to work on.

    `pixels` is uint8, (height, width) for grey or (height, width, 3) for RGB, neither side above
    `WORK_SIDE`. `width` and `height` are those of the upright original, in pixels.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int


def expand(argument: str) -> list[str]:
    """The images that `argument` means, in a fixed order.

    A directory gives its files with an image's ending, by name; a pattern that no shell has
    expanded gives what it matches; anything else gives itself, whether it is there or not.
    Raises ImageError when a directory has none or can't be read, or a pattern matches nothing.
    """
    if not argument:
        raise ImageError("'' names no file")
    if "://" in argument:
        raise ImageError(f"{argument}: URLs are not supported, download the picture first")
    path = Path(argument)
    if argument == STDIN or os.path.isfile(argument):
        return [argument]
    if os.path.isdir(argument):
        try:
            entries = sorted(path.iterdir())
        except OSError as error:
            raise ImageError(f"can't read the directory {argument}: {error.strerror}") from error
        files = [str(e) for e in entries if is_image_name(e.name) and not e.is_dir()]
        if not files:
            raise ImageError(f"{argument} is a directory without image files")
        return files
    if glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            raise ImageError(f"no file matches {argument}")
        return matches
    return [argument]


def is_image_name(name: str) -> bool:
    """Whether a file of a directory is taken for an image: by its ending, and not hidden."""
    ending = os.path.splitext(name)[1].lower()
    format_ = Image.registered_extensions().get(ending)
    known = format_ in Image.OPEN and format_ not in _EXCLUDED
    return (known or ending in _FOREIGN_ENDINGS) and not name.startswith(".")


def read_argument(argument: str) -> Picture:
    """The picture in a file, or on standard input for `-`. Raises ImageError."""
    if argument != STDIN:
        try:
            return read_image(Path(argument))
        except ImageError as error:
            if not error.message.endswith(A_PIPE):
                raise
            raise ImageError(f"{error.message}; pass - to read standard input") from error
    if sys.stdin is None:
        raise ImageError("standard input is closed")
    return read_image(read_bounded(sys.stdin.buffer))


def read_image(source: Path | bytes, name: str = "standard input") -> Picture:
    """Read the first frame of a file, or of a file's content, in any format Pillow decodes.

    Applies EXIF orientation, lays transparency on a plain background that shows its strokes and
    scales deep pixels to 8 bits. `name` is what errors call content that comes from no file.
    Raises ImageError for whatever can't be read.
    """
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), len(source), name)
    try:
        file = open_regular(source, MAX_BYTES)
    except OSError as error:
        raise ImageError(f"can't read {source}: {_reason(error)}") from error
    with file:
        return _decode(file, os.fstat(file.fileno()).st_size, str(source))


def read_bounded(stream: BinaryIO) -> bytes:
    """All of a stream such as standard input. Raises ImageError beyond `MAX_BYTES`."""
    try:
        content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"can't read standard input: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ImageError(f"standard input is larger than {MAX_BYTES >> 20} MiB")
    return content


def _decode(file: BinaryIO, num_bytes: int, name: str) -> Picture:
    if num_bytes == 0:
        raise ImageError(f"can't read {name}: it is empty")
    # Pillow's decoders raise OSError, ValueError, SyntaxError, NotImplementedError,
    # DecompressionBombError, struct.error, MemoryError and more for a bad file: here is the one
    # place where any of them means the same, so the catch is broad.
    try:
        with _silence():
            return _load(file, name)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"can't read {name} as an image: {_reason(error)}") from error


def _load(file: BinaryIO, name: str) -> Picture:
    image: Image.Image = _identify(file, name)
    # Read before loading: draft mode changes `size`.
    width, height = image.size
    drafted = image.format in ("JPEG", "MPO") and not image.info.get("progressive")
    limit = MAX_JPEG_PIXELS if drafted else MAX_PIXELS
    if width * height > limit:
        raise ImageError(
            f"can't read {name}: {width}x{height} pixels are more than {limit // 10**6} million;"
            " scale it down first"
        )
    image.draft(None, (WORK_SIDE, WORK_SIDE))
    with _silence_libtiff(image.format):
        image.load()
    if image.width * image.height > limit:
        raise ImageError(f"can't read {name}: a frame of {image.width}x{image.height} pixels")
    return picture_of(image, (width, height))


def picture_of(image: Image.Image, original_size: tuple[int, int] | None = None) -> Picture:
    """An image of any mode as a Picture; `original_size` is that before it was shrunk."""
    image.load()  # TIFF files are turned then, and their orientation is dropped
    width, height = original_size or image.size
    orientation = _orientation(image)
    if image.mode in ("I", "F"):
        # Four bytes a pixel: shrunk before anything copies them.
        image = _shrink(image)
    upright = _upright(_shrink(plain_mode(image)), orientation)
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    return Picture(as_pixels(upright), width, height)


def _identify(file: BinaryIO, name: str) -> Image.Image:
    try:
        return Image.open(file, formats=_COMMON)
    except UnidentifiedImageError:
        Image.init()
        others = [kind for kind in Image.ID if kind not in _COMMON and kind not in _EXCLUDED]
    try:
        return Image.open(file, formats=others)
    except UnidentifiedImageError:
        file.seek(0)
        head = file.read(256)
        for what, marks in _FOREIGN.items():
            if any(mark in head for mark in marks):
                raise ImageError(
                    f"can't read {name}: it is {what}; save it as JPEG or PNG first"
                ) from None
        raise


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1..8; a damaged EXIF block counts as none, the pixels are still good."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:
        return 1
    return value if value in range(2, 9) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    if orientation == 1:
        return image
    image.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(image)


def _shrink(image: Image.Image) -> Image.Image:
    if max(image.size) <= WORK_SIDE:
        return image
    scale = WORK_SIDE / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def _reason(error: BaseException) -> str:
    """One short clause for people, without Pillow's object addresses."""
    if isinstance(error, UnidentifiedImageError):
        return "its image format is not known"
    if isinstance(error, Image.DecompressionBombError):
        return "it unpacks to far too many pixels"
    if isinstance(error, MemoryError):
        return "not enough memory"
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or first_line(error)


@contextmanager
def _silence() -> Iterator[None]:
    """Pillow's warnings and log lines about odd files would spoil the terminal."""
    logger = logging.getLogger("PIL")
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _silence_libtiff(image_format: str | None) -> Iterator[None]:
    """libtiff writes its complaints straight to file descriptor 2."""
    if image_format != "TIFF" or sys.stderr is None:
        yield
        return
    with _STDERR:  # of two threads at once, one would take the other's silence for what was there
        sys.stderr.flush()
        saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(null)
