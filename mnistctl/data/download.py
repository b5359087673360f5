"""Getting data sets from mirrors, a URL or a directory into torchvision's layout, verified."""

import contextlib
import hashlib
import io
import os
import urllib.request
import zipfile
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from mnistctl.data.fetch import ROOM_HINT, FetchError, fetch
from mnistctl.data.images import SPLITS, Blob, Dataset, IdxFile
from mnistctl.data.mnist import (
    SUMS_NAME,
    Copy,
    check_header,
    checksum,
    decompress,
    find_copy,
    folders,
    read_blob,
    read_sums,
)
from mnistctl.errors import DataError, UsageError
from mnistctl.events import Reporter
from mnistctl.files import explained, open_regular, replacing, sweep_temporary, write_atomic

STALE_SECONDS = 3600.0
"""Younger temporary files may belong to a download that is running."""
FROM_HINT = "mnistctl download --from DIR_OR_URL, where the published files are"

Status = Literal["downloaded", "present", "extracted", "repaired"]
Location = Path | str
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class FileResult:
    """A published file, the .gz where there is one. `source` is where it came from."""

    name: str
    bytes: int
    sha256: str
    source: str
    status: Status


@dataclass(frozen=True)
class DownloadResult:
    """What `download` did for each file of a data set."""

    dataset: str
    data_dir: str
    files: tuple[FileResult, ...]


def download_files(
    row: Dataset, data_dir: Path, source: str | None, force: bool, reporter: Reporter
) -> DownloadResult:
    """Put the files of a data set, verified, where torchvision looks for them in `data_dir`.

    What is there and intact stays as it is (`present`) unless `force`; an intact .gz that was
    never decompressed is `extracted`, what is damaged is `repaired`. `source` is a directory or a
    base URL (http, https, file); without one, copies lying flat in `data_dir` and then the public
    mirrors are tried in turn.
    Each file is replaced in one step, so downloads into one directory don't disturb each other.
    Raises DataError where no location has an intact file or `data_dir` can't be written, and
    UsageError for a data set that has no files.
    """
    if row.published is None:
        raise UsageError(f"'{row.name}' needs no download: {row.summary}")
    return _Download(row, data_dir, source, force, reporter).run()


class _Download:
    """A data set on the way into its folder."""

    def __init__(
        self, row: Dataset, data_dir: Path, source: str | None, force: bool, reporter: Reporter
    ) -> None:
        assert row.published is not None
        self.row, self.published = row, row.published
        self.data_dir, self.force, self.reporter = data_dir, force, reporter
        self.folder = data_dir / self.published.folder
        self.locations: list[Location] = [*([] if force else [data_dir]), *self.published.mirrors]
        if source is not None:
            self.locations = [_parse(source)]
        self.known = read_sums(self.folder)
        self.sums: dict[str, str] = {}
        """Name -> SHA-256 of this data set's files, as they are in the end."""
        self.verified: set[Path] = set()
        """Archives."""

    def run(self) -> DownloadResult:
        """Provide every file. Raises DataError."""
        with _told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep_temporary(self.folder, STALE_SECONDS)
        files = [self._provide(file) for split in SPLITS for file in self.published.files[split]]
        known = read_sums(self.folder)  # others may have been added meanwhile
        if self.sums.items() - known.items():
            sums = sorted((known | self.sums).items())
            lines = [f"{sha256}  {name}\n" for name, sha256 in sums]
            path = self.folder / SUMS_NAME
            with _told(path):
                write_atomic(path, "".join(lines).encode())
        return DownloadResult(self.row.name, str(self.data_dir), tuple(files))

    def _provide(self, file: IdxFile) -> FileResult:
        gz_path, raw_path = self.folder / file.gz.name, self.folder / file.raw.name
        gz, gz_damaged = self._inspect(gz_path, file.gz)
        if gz and not self._knows(file.gz) and not file.gz.md5:
            gz, gz_damaged = None, True  # of unknown origin: only the archive has a known sum
        raw, raw_damaged = self._inspect(raw_path, file.raw)
        if raw and not self._knows(file.raw):
            # Decompressed by another program, which left no sum: the .gz can vouch for it.
            raw_damaged = gz is not None and not _fits(raw, gz, file, raw_path)
            raw = raw if gz else None
        status: Status
        if raw and not raw_damaged and not gz_damaged and not self.force:
            # A good decompressed copy is enough: people clear away the .gz.
            copy, status = Copy(raw, gz, str(gz_path if gz else raw_path)), "present"
        elif gz and not self.force:
            copy = Copy(decompress(gz, file, gz_path), gz, str(gz_path))
            status = "repaired" if raw_damaged else "extracted"
            self._write(raw_path, copy.raw, file.raw)
        else:
            copy = self._obtain(file)
            if copy.gz:
                self._write(gz_path, copy.gz, file.gz)
            elif gz_damaged:
                with contextlib.suppress(OSError):
                    gz_path.unlink()
            self._write(raw_path, copy.raw, file.raw)
            status = "extracted" if copy.source.endswith(".zip") else "downloaded"
            status = "repaired" if gz_damaged or raw_damaged else status
        return self._result(file, copy, status)

    def _result(self, file: IdxFile, copy: Copy, status: Status) -> FileResult:
        for blob, content in ((file.raw, copy.raw), (file.gz, copy.gz)):
            if content and not blob.sha256:
                self.sums[blob.name] = hashlib.sha256(content).hexdigest()
        shown, size = file.raw, len(copy.raw)
        if copy.gz:
            shown, size = file.gz, len(copy.gz)
        sha256 = shown.sha256 or self.sums[shown.name]
        return FileResult(shown.name, size, sha256, copy.source, status)

    def _knows(self, blob: Blob) -> str:
        """The SHA-256 of a file, from the data set's row or from when it was downloaded."""
        return blob.sha256 or self.known.get(blob.name, "")

    def _inspect(self, path: Path, blob: Blob) -> tuple[bytearray | None, bool]:
        """The content of `path` if it is intact, and whether something else is there."""
        known = replace(blob, sha256=self._knows(blob))
        try:
            return read_blob(path, known), False
        except DataError:
            return None, True

    def _obtain(self, file: IdxFile) -> Copy:
        """`file` from the first location that has it, which then moves to the front of the list."""
        problems = []
        for location in list(self.locations):
            try:
                copy = self._take(file, location)
            except FetchError as error:
                problems.append(f"{location} ({error})")
                continue
            # The next file starts here and not at mirrors that just failed.
            self.locations.remove(location)
            self.locations.insert(0, location)
            return copy
        hint = FROM_HINT
        if len(self.locations) > 1:
            hint = (
                "mnistctl download --from DIR_OR_URL takes the files from elsewhere; "
                "mnistctl train --dataset synthetic needs none"
            )
        name = self.published.archive.name if self.published.archive else file.gz.name
        raise DataError(f"can't get {name}; tried {', '.join(problems)}", hint)

    def _take(self, file: IdxFile, location: Location) -> Copy:
        archive = self.published.archive
        if isinstance(location, str):
            if archive:
                return self._extract(self._fetch_archive(location, archive), archive, file)
            content = io.BytesIO()
            fetch(location + file.gz.name, file.gz, content, self.reporter)
            gz = bytearray(content.getbuffer())
            return Copy(decompress(gz, file, location + file.gz.name), gz, location + file.gz.name)
        copy, problems = find_copy(self.published, file, location, to_keep=True)
        if copy:
            return copy
        for folder in folders(self.published, location) if archive else ():
            assert archive is not None
            if (folder / archive.name).exists():
                return self._extract(folder / archive.name, archive, file)
        raise FetchError("damaged: not the published file" if problems else "not there")

    def _fetch_archive(self, location: str, archive: Blob) -> Path:
        """Where the archive is in the data set's folder, fetched once."""
        path = self.folder / archive.name
        if path not in self.verified and (self.force or not _is_intact(path, archive)):
            with _told(path), replacing(path) as target:
                fetch(location + archive.name, archive, target, self.reporter)
        self.verified.add(path)
        return path

    def _extract(self, path: Path, archive: Blob, file: IdxFile) -> Copy:
        """A member of the archive, which is verified first. Raises FetchError."""
        try:
            with open_regular(path, archive.limit) as stream:
                if path not in self.verified:
                    _verify(stream, archive)
                    self.verified.add(path)
                raw = _read_member(stream, file, path)
        except (DataError, OSError, *_ZIP_ERRORS) as error:
            raise FetchError(f"{path.name} is damaged: {error}") from error
        return Copy(raw, None, str(path))

    def _write(self, path: Path, content: bytearray, blob: Blob) -> None:
        try:
            with _told(path), replacing(path) as stream:
                stream.write(content)
        except DataError as error:
            # Windows refuses while somebody reads `path`. If a twin put the file there: fine.
            refused = isinstance(error.__cause__, PermissionError)
            if not refused or self._inspect(path, blob)[0] != content:
                raise


def _parse(source: str) -> Location:
    """A directory as a Path, a place on the network as a base URL that ends in `/`."""
    if source.startswith(("http://", "https://")):
        return source if source.endswith("/") else f"{source}/"
    is_url = source.startswith("file://")
    path = Path(urllib.request.url2pathname(source.removeprefix("file://")) if is_url else source)
    if not os.path.isdir(path):
        raise DataError(f"{source} is neither a directory nor an http(s) URL", hint=FROM_HINT)
    return path


def _fits(raw: bytearray, gz: bytearray, file: IdxFile, path: Path) -> bool:
    """Whether a decompressed copy without a sum is what the .gz holds."""
    try:
        check_header(raw, file, path)
        return raw == decompress(gz, file, path)
    except DataError:
        return False


def _is_intact(path: Path, archive: Blob) -> bool:
    try:
        with open_regular(path, archive.limit) as stream:
            _verify(stream, archive)
    except (DataError, OSError):
        return False
    return True


def _verify(stream: BinaryIO, archive: Blob) -> None:
    digest, expected = checksum(archive)
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    if digest.hexdigest() != expected:
        raise DataError("not the published file")


def _read_member(stream: BinaryIO, file: IdxFile, path: Path) -> bytearray:
    """The IDX bytes of `file` from a zip that holds it as .gz, in a folder or not.

    Nothing is written, so no name in the zip reaches the file system; what is read is bounded.
    """
    with zipfile.ZipFile(stream) as archive:
        names = [name for name in archive.namelist() if name.split("/")[-1] == file.gz.name]
        if not names:
            raise DataError(f"no {file.gz.name} in it")
        with archive.open(names[0]) as member:
            content = member.read(file.gz.limit + 1)
    raw = decompress(content, file, path)
    check_header(raw, file, path)
    return raw


def _told(path: Path) -> AbstractContextManager[None]:
    return explained(f"can't write {path}", DataError, ROOM_HINT)
