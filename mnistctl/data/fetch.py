"""One file over HTTP: bounded, verified, with timeouts, and asked for again where that may help."""

import http.client
import time
import urllib.error
import urllib.request

from mnistctl import __version__
from mnistctl.data.mnist import Blob, matches
from mnistctl.events import Reporter

ATTEMPTS = 3
BACKOFF_SECONDS = 0.5
TIMEOUT_SECONDS = 10.0
CHUNK_BYTES = 1 << 16


class FetchError(Exception):
    """A file that could not be had; `transient` where asking again may help."""

    def __init__(self, reason: str, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


def fetch(url: str, blob: Blob, reporter: Reporter) -> bytearray:
    """The bytes of `blob` from `url`, verified by SHA-256. Progress is reported in bytes.

    A server that is busy or breaks off is asked up to `ATTEMPTS` times with growing pauses; one
    that can't be reached, or sends something else, only once. Raises FetchError with the reason.
    """
    attempt = 1
    while True:
        reporter.begin(f"Downloading {blob.name}", blob.bytes, "bytes")
        try:
            return _request(url, blob, reporter)
        except FetchError as error:
            if not error.transient or attempt == ATTEMPTS:
                raise
            reporter.warn(f"{url}: {error}; trying again")
        finally:
            reporter.end()
        time.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))
        attempt += 1


def _request(url: str, blob: Blob, reporter: Reporter) -> bytearray:
    content = bytearray()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": f"mnistctl/{__version__}"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length", "")
            # One byte over the published size shows that a file is too long; more is never read.
            while chunk := response.read(min(CHUNK_BYTES, blob.bytes + 1 - len(content))):
                content += chunk
                reporter.advance(min(len(content), blob.bytes))
    except urllib.error.HTTPError as error:
        error.close()
        transient = error.code in (408, 429) or error.code >= 500
        raise FetchError(f"HTTP {error.code}", transient) from error
    except urllib.error.URLError as error:
        # Nobody there: another mirror is a better bet than the same one again.
        raise FetchError(_reason(error.reason)) from error
    except ValueError as error:
        raise FetchError(f"not a usable address: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(_reason(error), transient=True) from error
    expected = min(int(length), blob.bytes) if length.isdecimal() else blob.bytes
    if len(content) < expected:
        raise FetchError(f"broke off after {len(content):,} of {blob.bytes:,} bytes", True)
    if not matches(content, blob):
        raise FetchError("sent something other than the published file")
    return content


def _reason(error: str | BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {TIMEOUT_SECONDS:g} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
