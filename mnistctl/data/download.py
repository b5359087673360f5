"""Getting MNIST from mirrors, a URL or a directory into torchvision's layout, verified."""

import contextlib
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mnistctl.data.fetch import FetchError, fetch
from mnistctl.data.mnist import FILES, Blob, MnistFile, decompress, folders, read_blob
from mnistctl.errors import DataError
from mnistctl.events import NullReporter, Reporter
from mnistctl.files import reason, replacing, sweep_temporary

# The live one first; the last is the original home, which often answers 403 or 404.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
STALE_SECONDS = 3600.0
"""Younger temporary files may belong to a download that is running."""
SILENT = NullReporter()
FROM_HINT = "mnistctl download --from DIR_OR_URL, where the four MNIST .gz files are"

Status = Literal["downloaded", "present", "extracted", "repaired"]
Location = Path | str


@dataclass(frozen=True)
class FileResult:
    """One published file. `bytes` and `sha256` are the .gz's; `source` is where it came from."""

    name: str
    bytes: int
    sha256: str
    source: str
    status: Status


@dataclass(frozen=True)
class DownloadResult:
    """What `download` did for each of the four files."""

    dataset: str
    data_dir: str
    files: tuple[FileResult, ...]


@dataclass(frozen=True)
class _Found:
    """A file from some location: decompressed, as .gz where the location had that, and its path."""

    raw: bytearray
    gz: bytearray | None
    source: str


def download(
    data_dir: Path, source: str | None = None, force: bool = False, reporter: Reporter = SILENT
) -> DownloadResult:
    """Put the four MNIST files, verified, into `data_dir`/MNIST/raw, as .gz and decompressed.

    What is there and intact stays as it is (`present`) unless `force`; an intact .gz that was
    never decompressed is `extracted`, what is damaged is `repaired`. `source` is a directory or a
    base URL (http, https, file); without one, copies lying flat in `data_dir` and then the public
    mirrors are tried in turn.
    Each file is replaced in one step, so downloads into one directory don't disturb each other.
    Raises DataError where no location has an intact file or `data_dir` can't be written.
    """
    folder = folders(data_dir)[0]
    locations: list[Location] = [data_dir, *MIRRORS] if source is None else [_parse(source)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep_temporary(folder, STALE_SECONDS)
    except OSError as error:
        raise _write_error(folder, error) from error
    files = tuple(_provide(file, folder, locations, force, reporter) for file in FILES)
    return DownloadResult("mnist", str(data_dir), files)


def _parse(source: str) -> Location:
    """A directory as a Path, a place on the network as a base URL that ends in `/`."""
    if source.startswith(("http://", "https://")):
        return source if source.endswith("/") else f"{source}/"
    is_url = source.startswith("file://")
    path = Path(urllib.request.url2pathname(source.removeprefix("file://")) if is_url else source)
    if not os.path.isdir(path):
        raise DataError(f"{source} is neither a directory nor an http(s) URL", hint=FROM_HINT)
    return path


def _provide(
    file: MnistFile, folder: Path, locations: list[Location], force: bool, reporter: Reporter
) -> FileResult:
    gz_path, raw_path = folder / file.gz.name, folder / file.raw.name
    gz, gz_damaged = _inspect(gz_path, file.gz)
    raw, raw_damaged = _inspect(raw_path, file.raw)
    status: Status
    if raw and not gz_damaged and not force:
        # A good decompressed copy is enough: people clear away the .gz.
        source, status = str(gz_path if gz else raw_path), "present"
    elif gz and not force:
        _write(raw_path, decompress(gz), file.raw)
        source, status = str(gz_path), "repaired" if raw_damaged else "extracted"
    else:
        found = _obtain(file, locations, reporter)
        if found.gz:
            _write(gz_path, found.gz, file.gz)
        elif gz_damaged:
            with contextlib.suppress(OSError):
                gz_path.unlink()
        _write(raw_path, found.raw, file.raw)
        source, status = found.source, "repaired" if gz_damaged or raw_damaged else "downloaded"
    return FileResult(file.gz.name, file.gz.bytes, file.gz.sha256, source, status)


def _inspect(path: Path, blob: Blob) -> tuple[bytearray | None, bool]:
    """The content of `path` if it is intact, and whether something else is there."""
    try:
        return read_blob(path, blob), False
    except DataError:
        return None, True


def _obtain(file: MnistFile, locations: list[Location], reporter: Reporter) -> _Found:
    """`file` from the first location that has it, which then moves to the front of the list."""
    problems = []
    for location in list(locations):
        try:
            found = _take(file, location, reporter)
        except FetchError as error:
            problems.append(f"{location} ({error})")
            continue
        # The next file starts here and not at mirrors that just failed.
        locations.remove(location)
        locations.insert(0, location)
        return found
    hint = FROM_HINT
    if len(locations) > 1:
        hint = (
            "mnistctl download --from DIR_OR_URL takes the files from elsewhere; "
            "mnistctl train --dataset synthetic needs none"
        )
    raise DataError(f"can't get {file.gz.name}; tried {', '.join(problems)}", hint=hint)


def _take(file: MnistFile, location: Location, reporter: Reporter) -> _Found:
    if isinstance(location, str):
        url = location + file.gz.name
        gz = fetch(url, file.gz, reporter)
        return _Found(decompress(gz), gz, url)
    any_damaged = False
    for folder in folders(location):
        gz_path, raw_path = folder / file.gz.name, folder / file.raw.name
        copy, gz_damaged = _inspect(gz_path, file.gz)
        if copy:
            return _Found(decompress(copy), copy, str(gz_path))
        raw, raw_damaged = _inspect(raw_path, file.raw)
        if raw:
            return _Found(raw, None, str(raw_path))
        any_damaged |= gz_damaged or raw_damaged
    raise FetchError("damaged: not the published file" if any_damaged else "not there")


def _write(path: Path, content: bytearray, blob: Blob) -> None:
    try:
        with replacing(path) as stream:
            stream.write(content)
    except PermissionError as error:
        # Windows refuses while somebody reads `path`. If a twin put the file there: fine.
        if not _inspect(path, blob)[0]:
            raise _write_error(path, error) from error
    except OSError as error:
        raise _write_error(path, error) from error


def _write_error(path: Path, error: OSError) -> DataError:
    return DataError(
        f"can't write {path}: {reason(error)}",
        hint="make room there, or choose another place: mnistctl download --data-dir DIR",
    )
