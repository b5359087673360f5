"""Servers that mean harm: on 127.0.0.1, spoken to over a bare socket."""

import contextlib
import gzip
import hashlib
import io
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from itertools import repeat
from typing import Any

import pytest
from idx_made import TEST_LABELS, only, with_mirrors
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.data import fetch as module
from mnistctl.data.fetch import FetchError, fetch
from mnistctl.data.images import Blob
from mnistctl.data.registry import download
from mnistctl.events import Reporter

CONTENT = bytes(range(256)) * 20
BLOB = Blob("numbers.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
HEADER = b"HTTP/1.1 200 OK\r\n"

Script = Callable[[str], Iterator[bytes]]
"""From the path that was asked for to the pieces that are sent."""


class Mirror:
    """Sends what a script says, piece by piece; counts requests and bytes."""

    def __init__(self, script: Script, pause: float = 0.0) -> None:
        self.script, self.pause = script, pause
        self.requests, self.sent = 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/{BLOB.name}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            path = connection.recv(4096).split(b" ")[1].decode()
            self.requests += 1
            for piece in self.script(path):
                connection.sendall(piece)
                self.sent += len(piece)
                time.sleep(self.pause)


@pytest.fixture
def mirror() -> Iterator[Callable[..., Mirror]]:
    made: list[Mirror] = []

    def make(script: Script, pause: float = 0.0) -> Mirror:
        made.append(Mirror(script, pause))
        return made[-1]

    yield make
    for own in made:
        own.listener.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 2.0)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives a slow server up soon. Elsewhere a busy machine's pause is no fault of a server's."""
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.3)


def refused(mirror: Mirror) -> str:
    """The reason with which the mirror is given up, within seconds."""
    started = time.monotonic()
    with pytest.raises(FetchError) as caught:
        fetched(mirror.url)
    assert time.monotonic() - started < 30
    return str(caught.value)


def fetched(url: str) -> bytes:
    target = io.BytesIO()
    fetch(url, BLOB, target, Reporter())
    return target.getvalue()


def in_pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def good(path: str = "") -> Iterator[bytes]:
    yield HEADER + b"Content-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT


def redirect(to: str) -> bytes:
    return b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + to.encode() + b"\r\n\r\n"


def test_a_server_that_means_well(mirror: Callable[..., Mirror]) -> None:
    assert fetched(mirror(good).url) == CONTENT


def slow_body(path: str) -> Iterator[bytes]:
    yield HEADER + b"\r\n"
    yield from in_pieces(CONTENT, 1)


def slow_headers(path: str) -> Iterator[bytes]:
    yield from in_pieces(HEADER + b"X-Padding: " + b"x" * 5000, 1)


def slow_chunks(path: str) -> Iterator[bytes]:
    yield HEADER + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from repeat(b"1;" + b"x" * 3, 5000)


@pytest.mark.usefixtures("in_a_hurry")
@pytest.mark.parametrize("script", [slow_body, slow_headers, slow_chunks])
def test_a_byte_now_and_then_is_given_up_at_once(
    script: Script, mirror: Callable[..., Mirror]
) -> None:
    slow = mirror(script, pause=0.02)
    assert "bytes per second" in refused(slow)
    assert slow.requests == 1  # another mirror is a better bet


def test_a_slow_line_may_take_its_time(
    mirror: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    def steady(path: str) -> Iterator[bytes]:
        yield HEADER + b"\r\n"
        yield from in_pieces(CONTENT, 400)

    monkeypatch.setattr(module, "SLOW_SECONDS", 1.0)
    started = time.monotonic()
    assert fetched(mirror(steady, pause=0.3).url) == CONTENT
    assert time.monotonic() - started > 3 * module.SLOW_SECONDS


def continues(path: str) -> Iterator[bytes]:
    yield from repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def headers(path: str) -> Iterator[bytes]:
    yield HEADER
    yield from repeat(b"X-More: and more\r\n" * 1000)


def one_long_header(path: str) -> Iterator[bytes]:
    yield HEADER + b"X-More: "
    yield from repeat(b"x" * 10_000)


def long_body(path: str) -> Iterator[bytes]:
    yield HEADER + b"\r\n"
    yield from repeat(bytes(10_000))


def long_redirect(path: str) -> Iterator[bytes]:
    yield b"HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n"
    yield from repeat(bytes(10_000))


def chunks_of_nothing(path: str) -> Iterator[bytes]:
    yield HEADER + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from repeat(b"1;" + b"x" * 10_000 + b"\r\n0\r\n")


ENDLESS = [continues, headers, one_long_header, long_body, long_redirect, chunks_of_nothing]


@pytest.mark.parametrize("script", ENDLESS)
def test_what_never_ends_is_cut_off(script: Script, mirror: Callable[..., Mirror]) -> None:
    endless = mirror(script)
    refused(endless)
    assert endless.sent < 64 << 20  # sockets buffer a few MB an attempt


@pytest.mark.parametrize(
    "length", [b"9" * 5000, b"-1", b"1e3", b"\xb2", b"0x14", b"99999999999999999999"]
)
def test_absurd_content_lengths(length: bytes, mirror: Callable[..., Mirror]) -> None:
    def script(path: str) -> Iterator[bytes]:
        yield HEADER + b"Content-Length: " + length + b"\r\n\r\n" + CONTENT

    assert fetched(mirror(script).url) == CONTENT


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x1b[2J\x1b]0;owned\x07\r\n\r\n", r"\x1b[2J"),
        (b"x" * 60_000 + b"\r\n\r\n", "x" * 50),
        (b"HTTP/1.1 \x1b[2J \x1b[2J\r\n\r\n", "HTTP/1.1"),
        (b"HTTP/1.1 999999 OK\r\n\r\n", "HTTP/1.1 999999"),
        (b"HTTP/1.1 404 \x1b[2J\r\n\r\n", "HTTP 404"),
        (b"", "closed connection"),
    ],
    ids=range(6),
)
def test_the_words_of_a_server_are_harmless(
    answer: bytes, reason: str, mirror: Callable[..., Mirror]
) -> None:
    url = mirror(lambda path: iter([answer])).url.rpartition("/")[0]
    result = CliRunner().invoke(app, ["download", "--from", url])
    assert result.exit_code == 1
    assert reason in result.stderr
    assert result.stderr.replace("\n", "").isprintable()
    assert max(map(len, result.stderr.splitlines())) < 500


def test_redirects_are_followed(mirror: Callable[..., Mirror]) -> None:
    def script(path: str) -> Iterator[bytes]:
        return good() if path == "/moved" else iter([redirect("/moved")])

    assert fetched(mirror(script).url) == CONTENT


def test_redirects_in_a_circle_end(mirror: Callable[..., Mirror]) -> None:
    circle = mirror(lambda path: iter([redirect(path)]))
    assert "redirects in a circle" in refused(circle)
    endless = mirror(lambda path: iter([redirect(f"{path}x")]))
    assert "redirects in a circle" in refused(endless)
    assert circle.requests + endless.requests < 25


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/", "//[bad/", "https:"]
)
def test_redirects_to_other_places_than_the_network(to: str, mirror: Callable[..., Mirror]) -> None:
    elsewhere = mirror(lambda path: iter([redirect(to)]))
    refused(elsewhere)
    assert elsewhere.requests == 1


def test_a_public_host_sends_nobody_into_this_network(
    mirror: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = mirror(good)
    port = inner.listener.getsockname()[1]
    outer = mirror(lambda path: iter([redirect(f"http://localhost:{port}/")]))
    monkeypatch.setattr(module, "_is_local", lambda host: host == "localhost")
    assert "localhost, which is no public host" in refused(outer)
    assert inner.requests == 0


def test_what_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module._is_local("localhost")
    assert not module._is_local("no.such.host")
    addresses: list[str] = []
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", (own, 0)) for own in addresses]
    )
    for own in ("127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "::1", "fe80::1%eth0"):
        addresses[:] = ["8.8.8.8", own]
        assert module._is_local("a.name"), own
    addresses[:] = ["8.8.8.8", "2606:4700::1111"]
    assert not module._is_local("a.name")


def test_no_redirect_to_a_weaker_scheme() -> None:
    def redirected(old: str, new: str) -> Any:
        request = urllib.request.Request(old)
        handler = module._Redirects()
        return handler.redirect_request(request, None, 302, "", Message(), new)  # type: ignore[arg-type]

    with pytest.raises(FetchError, match="from https to http"):
        redirected("https://8.8.8.8/x", "http://8.8.8.8/x")
    assert redirected("http://8.8.8.8/x", "https://8.8.8.8/x").full_url == "https://8.8.8.8/x"


@pytest.mark.parametrize("encoding", [b"", b"Content-Encoding: gzip\r\n"])
@pytest.mark.parametrize("size", [1 << 10, 1 << 26])
def test_a_gzip_bomb_is_never_unpacked(
    size: int, encoding: bytes, mirror: Callable[..., Mirror]
) -> None:
    bomb = gzip.compress(bytes(size))
    for content in (bomb, bomb[: len(bomb) // 2]):
        lying = mirror(lambda path, content=content: iter([HEADER + encoding + b"\r\n" + content]))
        assert "broke off" in (reason := refused(lying)) or "something other" in reason


@pytest.mark.usefixtures("in_a_hurry")
def test_another_mirror_stands_in_for_a_slow_one(
    mirror: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch, mnist_dir: Any, tmp_path: Any
) -> None:
    content = (mnist_dir / TEST_LABELS.gz.name).read_bytes()
    fast = mirror(lambda path: iter([HEADER + b"\r\n" + content]))
    slow = mirror(slow_body, pause=0.02)
    urls = tuple(own.url.rpartition("/")[0] + "/" for own in (slow, fast))
    with_mirrors(monkeypatch, *urls)
    only(monkeypatch, TEST_LABELS)
    result = download(tmp_path)
    assert result.files[0].source.startswith(urls[1])
    assert (slow.requests, fast.requests) == (1, 1)
