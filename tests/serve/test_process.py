"""The command as a process: it says when it answers, and ends when told to."""

import json
import queue
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.serve import server


@contextmanager
def serving(*words: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """`mnistctl serve` on a free port, and its JSON document."""
    command = [sys.executable, "-m", "mnistctl", "serve", "--port", "0", "--json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    try:
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            text += line
        yield process, json.loads(text)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_once_it_says_so_and_ends_in_order(number: signal.Signals) -> None:
    with serving() as (process, document):
        assert document.keys() == {"url", "checkpoint"}
        assert document["checkpoint"].endswith("shipped.pt")
        with urllib.request.urlopen(document["url"]) as page:
            assert b"Draw a digit" in page.read()
        foreign = urllib.request.Request(document["url"], headers={"Host": "evil.example"})
        with pytest.raises(urllib.request.HTTPError, match="403"):
            urllib.request.urlopen(foreign)
        begun = time.monotonic()
        process.send_signal(number)
        assert process.wait(60) == 0
        assert time.monotonic() - begun < 8
        assert process.stdout
        assert process.stderr
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_beyond_the_loopback_it_warns_and_makes_a_token() -> None:
    with serving("--host", "0.0.0.0") as (process, document):
        url, _, token = document["url"].partition("?token=")
        assert len(token) > 20
        with pytest.raises(urllib.request.HTTPError, match="401"):
            urllib.request.urlopen(url)
        asked = urllib.request.Request(
            f"{url}api/health", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(asked) as answer:
            assert json.load(answer)["status"] == "ok"
        process.terminate()
        process.wait(60)
        assert process.stderr
        assert "--host 0.0.0.0: other machines can ask" in process.stderr.read()


def test_the_printed_address_works_with_any_token() -> None:
    token = "q8+Zk/0w==&a#b%41"
    client = httpx.Client(follow_redirects=True)
    with serving("--port", "0", "--token", token) as (_, document), client:
        assert client.get(document["url"]).status_code == 200
        assert client.get(f"{document['url'].partition('?')[0]}api/health").status_code == 200


def test_a_taken_port_names_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["serve", "--port", str(port)])
    assert done.exit_code == 1
    first, second = done.stderr.splitlines()
    assert first == f"error: port {port} is taken"
    assert int(second.split()[2].rstrip(",")) > port


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["--port", "65536"], 2, "--port 65536 is not between 0 and 65535"),
        (["--token", " "], 2, "--token must be of printable ASCII characters, and not empty"),
        (["--token", "ü"], 2, "--token must be of printable ASCII characters, and not empty"),
        (["--host", "no such host"], 2, "unknown host 'no such host'"),
        (["--port", "0", "--collect", "/dev/null/x"], 1, "can't make /dev/null/x: "),
        (["--port", "0", "--checkpoint", "nothing"], 1, "no checkpoint file and no run called"),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(words: list[str], code: int, error: str) -> None:
    done = CliRunner().invoke(app, ["serve", *words])
    assert done.exit_code == code
    assert done.stderr.startswith(f"error: {error}")


def test_the_page_is_opened_when_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = queue.Queue[str]()

    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(server, "serve", lambda app, listener, ready: ready())
    monkeypatch.setattr("webbrowser.open", opened.put)
    monkeypatch.setattr("os._exit", end)
    for words, number in ((["--open"], 1), ([], 0)):
        result = CliRunner().invoke(app, ["serve", "--port", "0", "-c", "shipped", *words])
        assert result.exit_code == 0, result.output
        if number:
            assert f"Page: {opened.get(timeout=60)} (" in result.stdout
    assert opened.empty()


def test_without_the_extra_it_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnistctl.errors.find_spec", lambda name: name != "uvicorn" or None)
    done = CliRunner().invoke(app, ["serve"])
    assert done.exit_code == 1
    assert done.stderr == (
        "error: this needs uvicorn\n  in the clone of mnistctl: pip install '.[serve]'\n"
    )
