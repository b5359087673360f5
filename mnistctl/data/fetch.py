"""One file over HTTP: bounded, verified, with timeouts, and asked for again where that may help."""

import http.client
import io
import ipaddress
import socket
import time
import urllib.error
import urllib.request
from email.message import Message
from functools import partial
from typing import IO, Any, BinaryIO
from urllib.parse import urlsplit

from mnistctl import __version__
from mnistctl.data.images import Blob
from mnistctl.data.mnist import checksum
from mnistctl.errors import DataError
from mnistctl.events import Reporter
from mnistctl.files import explained

ATTEMPTS = 3
BACKOFF_SECONDS = 0.5
TIMEOUT_SECONDS = 10.0
"""For each answer of the network; a server that sends little at a time passes it for ever."""
SLOW_SECONDS = 30.0
SLOW_RATE = 1000.0
"""Bytes a second: a server slower than that for SLOW_SECONDS is given up for another."""
CHUNK_BYTES = 1 << 16
OVERHEAD_BYTES = 1 << 18
"""Headers, and the marks of chunks."""
ROOM_HINT = "make room there, or choose another place: mnistctl download --data-dir DIR"


class FetchError(Exception):
    """A file that could not be had; `transient` where asking again may help."""

    def __init__(self, reason: str, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


def fetch(url: str, blob: Blob, target: BinaryIO, reporter: Reporter) -> None:
    """Write `blob` from `url` to `target`, verified by its sum. Progress is reported in bytes.

    A server that is busy or breaks off is asked up to `ATTEMPTS` times with growing pauses; one
    that can't be reached, or sends something else, only once. Raises FetchError with the reason,
    and DataError where `target` can't be written.
    """
    attempt = 1
    while True:
        reporter.begin(f"Downloading {blob.name}", blob.bytes, "bytes")
        try:
            return _request(url, blob, target, reporter)
        except FetchError as error:
            if not error.transient or attempt == ATTEMPTS:
                raise
            reporter.warn(f"{url}: {error}; trying again")
        finally:
            reporter.end()
        time.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))
        attempt += 1


def _request(url: str, blob: Blob, target: BinaryIO, reporter: Reporter) -> None:
    digest, expected = checksum(blob)
    received = 0
    target.seek(0)
    target.truncate()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": f"mnistctl/{__version__}"})
        opener = _opener(2 * blob.limit + OVERHEAD_BYTES)
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length", "")
            # One byte over the limit shows that a file is too long; more is never read.
            while chunk := response.read(min(CHUNK_BYTES, blob.limit + 1 - received)):
                received += len(chunk)
                digest.update(chunk)
                # A full disk is not the server's fault, and no reason to ask it again.
                with explained("can't write the download", DataError, ROOM_HINT):
                    target.write(chunk)
                reporter.advance(min(received, blob.bytes))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code // 100 == 3:
            raise FetchError("redirects in a circle, or to no place on the network") from error
        transient = error.code in (408, 429) or error.code >= 500
        raise FetchError(f"HTTP {error.code}", transient) from error
    except urllib.error.URLError as error:
        # Nobody there: another mirror is a better bet than the same one again.
        raise FetchError(_reason(error.reason)) from error
    except ValueError as error:
        raise FetchError(f"not a usable address: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(_reason(error), transient=True) from error
    whole = blob.bytes if blob.sha256 else 0
    promised = int(length) if length.isdecimal() and len(length) < 16 else whole
    if received < min(promised, blob.limit):
        raise FetchError(f"broke off after {received:,} of {whole or promised:,} bytes", True)
    if digest.hexdigest() != expected:
        raise FetchError("sent something other than the published file")


class _Watched(io.RawIOBase):
    """What a server sends, headers included, while it comes fast enough and is not endless."""

    def __init__(self, source: io.RawIOBase, max_bytes: int) -> None:
        self._source, self._left = source, max_bytes
        self._since, self._received = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._source.readinto(buffer)
        self._left -= count or 0
        self._received += count or 0
        if self._left < 0:
            raise FetchError("sent more than the published file")
        waited = time.monotonic() - self._since
        if waited >= SLOW_SECONDS:
            if self._received < SLOW_RATE * waited:
                raise FetchError(f"sent {self._received / waited:,.0f} bytes per second")
            self._since, self._received = time.monotonic(), 0
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that is watched from its first byte: http.client bounds neither time nor 100s."""

    def __init__(self, *arguments: Any, max_bytes: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fp = io.BufferedReader(_Watched(self.fp.detach(), max_bytes))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to a weaker scheme, or from a public host to one of this network."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message
    ) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)  # type: ignore[arg-type]
        except BaseException:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("https", old.scheme):
            raise FetchError(f"redirects from {old.scheme} to {new.scheme}")
        if _is_local(new.hostname) and not _is_local(old.hostname):
            raise FetchError(f"redirects to {new.hostname}, which is no public host")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _is_local(host: str | None) -> bool:
    """Whether a host has an address that is not public; a proxy may know one that has none here."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return any(not ipaddress.ip_address(address[4][0]).is_global for address in found)


def _opener(max_bytes: int) -> urllib.request.OpenerDirector:
    """Opens addresses; no answer may have more than `max_bytes`, headers included."""

    def connect(kind: type[http.client.HTTPConnection], host: str, **options: Any) -> Any:
        connection = kind(host, **options)
        connection.response_class = partial(_Response, max_bytes=max_bytes)  # type: ignore[assignment]
        return connection

    class Http(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(partial(connect, http.client.HTTPConnection), req)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(partial(connect, http.client.HTTPSConnection), req)

    return urllib.request.build_opener(Http, Https, _Redirects)


def _reason(error: str | BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {TIMEOUT_SECONDS:g} s"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)[:200]
