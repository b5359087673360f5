"""Downloads: every source, every kind of damage, and servers that misbehave (on 127.0.0.1)."""

import contextlib
import errno
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from idx_made import FILES as ALL_FILES
from idx_made import TEST_IMAGES, TEST_LABELS, only, published, with_mirrors

from mnistctl.data import download as module
from mnistctl.data import fetch, mnist
from mnistctl.data.registry import DATASETS, download, get_dataset
from mnistctl.errors import DataError
from mnistctl.events import Reporter

pytestmark = pytest.mark.mnist
RAW = Path("MNIST") / "raw"
WHOLE = DATASETS["mnist"]
IMAGES, LABELS = FILES = TEST_IMAGES, TEST_LABELS


@dataclass
class Server:
    """A mirror of a directory. `faults` are used up, one a request, before it behaves."""

    files: Path
    url: str = ""
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    sent: int = 0


def _answer(server: Server, handler: http.server.BaseHTTPRequestHandler) -> None:
    name = handler.path.rsplit("/", 1)[1]
    server.requests.append(name)
    server.agents.add(handler.headers["User-Agent"])
    fault = server.faults.pop(0) if server.faults else ""
    content = (server.files / name).read_bytes()
    if fault.isdecimal():
        handler.send_error(int(fault))
        return
    if fault == "hang":
        time.sleep(2 * fetch.TIMEOUT_SECONDS)
        return
    if fault == "garbage":
        content = b"<html>sign in to the guest network</html>"
    if fault == "altered":
        content = content[:-1] + bytes([content[-1] ^ 1])
    handler.send_response(200)
    if fault == "endless":
        handler.end_headers()
        while server.sent < 1 << 28:
            server.sent += handler.wfile.write(bytes(1 << 16))
        return
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2] if fault == "truncated" else content)


@pytest.fixture
def server(mnist_dir: Path) -> Iterator[Server]:
    state = Server(mnist_dir)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(ConnectionError):
                _answer(state, self)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        state.url = f"http://127.0.0.1:{httpd.server_port}/mirror"
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield state
        httpd.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(fetch, "TIMEOUT_SECONDS", 10.0)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the test split, a sixth of the bytes, where a test doesn't ask for all four files."""
    only(monkeypatch, *FILES)


class Listener(Reporter):
    def __init__(self) -> None:
        self.begun: list[tuple[str, int | None, str]] = []
        self.done: list[int] = []
        self.warnings: list[str] = []
        self.ended = 0

    def begin(self, task: str, total: int, unit: str) -> None:
        self.begun.append((task, total, unit))

    def advance(self, done: int) -> None:
        self.done.append(done)

    def end(self) -> None:
        self.ended += 1

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def statuses(result: module.DownloadResult) -> list[str]:
    return [file.status for file in result.files]


def leftovers(data_dir: Path) -> list[str]:
    return [path.name for path in (data_dir / RAW).iterdir() if path.name.startswith(".")]


def only_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are the same for every file; the smallest keeps these tests quick."""
    only(monkeypatch, LABELS)


# From where


def test_all_four_files(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "mnist", WHOLE)
    result = download(tmp_path, source=server.url)
    assert result.dataset == "mnist"
    assert result.data_dir == str(tmp_path)
    assert [(f.name, f.bytes, f.sha256, f.status) for f in result.files] == [
        (file.gz.name, file.gz.bytes, file.gz.sha256, "downloaded") for file in ALL_FILES
    ]
    assert get_dataset("mnist").load("train", tmp_path, Reporter()).labels[:3].tolist() == [
        5,
        0,
        4,
    ]


@pytest.mark.parametrize("form", ["path", "torchvision layout", "raw files", "file URL"])
def test_from_a_directory(mnist_dir: Path, mnist_data_dir: Path, tmp_path: Path, form: str) -> None:
    source = str(mnist_dir)
    if form == "torchvision layout":
        source = str(mnist_data_dir)
    if form == "file URL":
        source = mnist_dir.as_uri()
    if form == "raw files":
        flat = tmp_path / "flat"
        flat.mkdir()
        for file in FILES:
            os.link(mnist_data_dir / RAW / file.raw.name, flat / file.raw.name)
        source = str(flat)
    result = download(tmp_path / "data", source=source)
    assert statuses(result) == ["downloaded"] * 2
    written = [file.raw if form == "raw files" else file.gz for file in FILES]
    assert [file.name for file in result.files] == [blob.name for blob in written]
    assert [file.sha256 for file in result.files] == [blob.sha256 for blob in written]
    assert get_dataset("mnist").load("test", tmp_path / "data", Reporter()).labels[:3].tolist() == [
        7,
        2,
        1,
    ]
    for file in FILES:
        assert mnist.read_blob(tmp_path / "data" / RAW / file.raw.name, file.raw)
        assert (tmp_path / "data" / RAW / file.gz.name).exists() == (form != "raw files")
    assert statuses(download(tmp_path / "data")) == ["present"] * 2
    assert leftovers(tmp_path / "data") == []


def test_from_a_url_with_progress(server: Server, tmp_path: Path) -> None:
    listener = Listener()
    result = download(tmp_path / "data", source=server.url, reporter=listener)
    assert statuses(result) == ["downloaded"] * 2
    assert [file.source for file in result.files] == [
        f"{server.url}/{file.gz.name}" for file in FILES
    ]
    assert listener.begun == [
        (f"Downloading {file.gz.name}", file.gz.bytes, "bytes") for file in FILES
    ]
    assert listener.ended == 2
    assert max(listener.done) == IMAGES.gz.bytes
    assert len(listener.done) > 20
    assert server.agents == {f"mnistctl/{fetch.__version__}"}
    server.requests.clear()
    assert statuses(download(tmp_path / "data", source=server.url)) == ["present"] * 2
    assert server.requests == []


def test_flat_files_in_the_data_dir_are_used_offline(mnist_dir: Path, tmp_path: Path) -> None:
    for file in FILES:
        (tmp_path / file.gz.name).write_bytes((mnist_dir / file.gz.name).read_bytes())
    result = download(tmp_path)
    assert result.files[0].source == str(tmp_path / IMAGES.gz.name)
    assert (tmp_path / RAW / IMAGES.raw.name).is_file()


def test_mirrors_in_turn(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_mirrors(monkeypatch, "http://127.0.0.1:9/", f"{server.url}/")
    attempts: list[str] = []
    real = fetch._request

    def counting(url: str, *rest: object) -> bytearray:
        attempts.append(url)
        return real(url, *rest)

    monkeypatch.setattr(fetch, "_request", counting)
    download(tmp_path / "data")
    # The dead mirror is asked once, not once a file.
    assert [url for url in attempts if ":9/" in url] == [f"http://127.0.0.1:9/{IMAGES.gz.name}"]


def test_force_fetches_again(server: Server, own_data_dir: Path) -> None:
    assert statuses(download(own_data_dir, source=server.url, force=True)) == ["downloaded"] * 2
    assert len(server.requests) == 2


def test_force_passes_over_what_is_in_the_data_dir(
    server: Server, own_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mirrors(monkeypatch, f"{server.url}/")
    assert statuses(download(own_data_dir, force=True)) == ["downloaded"] * 2
    assert len(server.requests) == 2


# What is on disk


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("damage", ["altered", "truncated", "empty", "longer"])
def test_damage_is_repaired(mnist_dir: Path, own_data_dir: Path, damage: str, suffix: str) -> None:
    path = own_data_dir / RAW / (IMAGES.raw.name + suffix)
    good = path.read_bytes()
    bad = bytearray(good)
    bad[1_000_000] ^= 4
    path.write_bytes(
        {"altered": bad, "truncated": good[:-9], "empty": b"", "longer": good + b"x"}[damage]
    )
    result = download(own_data_dir, source=str(mnist_dir))
    assert statuses(result) == ["repaired", "present"]
    assert path.read_bytes() == good


def test_a_missing_decompressed_copy_needs_no_network(own_data_dir: Path) -> None:
    path = own_data_dir / RAW / IMAGES.raw.name
    path.unlink()
    result = download(own_data_dir)
    assert statuses(result) == ["extracted", "present"]
    assert result.files[0].source == f"{path}.gz"
    assert mnist.read_blob(path, IMAGES.raw)


def test_decompressed_copies_alone_are_enough(own_data_dir: Path) -> None:
    for file in FILES:
        (own_data_dir / RAW / file.gz.name).unlink()
    assert statuses(download(own_data_dir)) == ["present"] * 2


def test_a_damaged_gz_beside_a_good_copy_is_removed_offline(own_data_dir: Path) -> None:
    path = own_data_dir / RAW / LABELS.gz.name
    path.write_bytes(b"half")
    assert statuses(download(own_data_dir)) == ["present", "repaired"]
    assert not path.exists()


def test_stale_temporary_files_go_and_young_ones_stay(own_data_dir: Path) -> None:
    old = own_data_dir / RAW / ".mnistctl-0123456789ab.tmp"
    young = own_data_dir / RAW / ".mnistctl-4567456745ab.tmp"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    users = own_data_dir / RAW / f".{LABELS.raw.name}.tmp"
    users.write_bytes(b"mine")
    for path in (old, users):
        os.utime(path, (0, 0))
    download(own_data_dir)
    assert sorted(leftovers(own_data_dir)) == [young.name, users.name]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_what_is_no_file_is_not_waited_for(
    mnist_dir: Path, own_data_dir: Path, kind: str, suffix: str
) -> None:
    path = own_data_dir / RAW / (LABELS.raw.name + suffix)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
        with pytest.raises(DataError, match="can't write .*: Is a directory"):
            download(own_data_dir, source=str(mnist_dir))
        return
    assert statuses(download(own_data_dir, source=str(mnist_dir))) == ["present", "repaired"]
    assert mnist.read_blob(path, LABELS.gz if suffix else LABELS.raw)


def test_a_source_whose_files_are_pipes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for file in FILES:
        os.mkfifo(source / file.gz.name)
    with pytest.raises(DataError, match="damaged: not the published file"):
        download(tmp_path / "data", source=str(source))


# Servers that misbehave


@pytest.mark.parametrize("fault", ["503", "429", "500", "truncated", "hang"])
def test_passing_faults_are_retried(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    only_labels(monkeypatch)
    server.faults = [fault, fault]
    if fault == "hang":
        monkeypatch.setattr(fetch, "TIMEOUT_SECONDS", 1.0)
    listener = Listener()
    assert statuses(download(tmp_path, source=server.url, reporter=listener)) == ["downloaded"]
    assert len(server.requests) == 3
    assert len(listener.warnings) == 2
    assert listener.ended == 3


@pytest.mark.parametrize(
    ("fault", "requests", "reason"),
    [
        ("404", 1, "HTTP 404"),
        ("403", 1, "HTTP 403"),
        ("503", 3, "HTTP 503"),
        ("garbage", 1, "sent something other than the published file"),
        ("altered", 1, "sent something other than the published file"),
        ("endless", 1, "sent something other than the published file"),
        ("truncated", 3, "broke off after 2,271 of 4,542 bytes"),
        ("hang", 3, "no answer in 1 s|closed connection"),
    ],
)
def test_lasting_faults_are_named_and_leave_nothing(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    requests: int,
    reason: str,
) -> None:
    only_labels(monkeypatch)
    server.faults = [fault] * 9
    if fault == "hang":
        monkeypatch.setattr(fetch, "TIMEOUT_SECONDS", 1.0)
    with pytest.raises(DataError, match=reason) as caught:
        download(tmp_path, source=server.url)
    assert len(server.requests) == requests
    assert server.url in caught.value.message
    assert caught.value.hint.startswith("mnistctl download --from ")
    assert list((tmp_path / RAW).iterdir()) == []
    # Sockets buffer a few MB; reading on would have taken 256.
    assert server.sent < 64 << 20


def test_a_bad_source_never_replaces_what_is_there(
    server: Server, own_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_labels(monkeypatch)
    server.faults = ["altered"] * 9
    path = own_data_dir / RAW / LABELS.gz.name
    before = path.read_bytes()
    with pytest.raises(DataError):
        download(own_data_dir, source=server.url, force=True)
    assert path.read_bytes() == before


def test_offline_names_the_mirrors_and_both_ways_on(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        download(tmp_path)
    assert time.monotonic() - started < 20
    for mirror in published().mirrors:
        assert f"{mirror} (Name or service not known)" in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint
    assert "mnistctl download --from DIR_OR_URL" in caught.value.hint
    assert "mnistctl train --dataset synthetic" in caught.value.hint


# Bad input and bad disks


@pytest.mark.parametrize(
    "source", ["nowhere", "ftp://example.org/mnist", "file:///nowhere", "C:\\nowhere", "file"]
)
def test_a_source_that_is_no_directory(tmp_path: Path, source: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is neither a directory nor an http") as caught:
        download(tmp_path / "data", source=source)
    assert "DIR_OR_URL" in caught.value.hint
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("source", ["http://[bad", "http://127.0.0.1:x/", "https://", "http:// /"])
def test_an_unusable_address(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match="tried http") as caught:
        download(tmp_path / "data", source=source)
    assert "DIR_OR_URL" in caught.value.hint


def test_a_source_directory_without_the_files(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"tried .*empty \(not there\)"):
        download(tmp_path / "data", source=str(tmp_path / "empty"))


def test_a_source_directory_with_damaged_files(own_data_dir: Path, tmp_path: Path) -> None:
    for name in (IMAGES.gz.name, IMAGES.raw.name):
        (own_data_dir / RAW / name).write_bytes(b"half")
    with pytest.raises(DataError, match=r"own \(damaged: not the published file\)"):
        download(tmp_path / "data", source=str(own_data_dir))


def test_a_data_dir_that_is_a_file(mnist_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")
    with pytest.raises(DataError, match="can't write") as caught:
        download(tmp_path / "data", source=str(mnist_dir))
    assert "mnistctl download --data-dir DIR" in caught.value.hint


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses(
    mnist_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DataError, match=os.strerror(code)):
        download(tmp_path, source=str(mnist_dir))
    assert list((tmp_path / RAW).iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_read_only_data_dir(mnist_dir: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="Permission denied"):
        download(tmp_path / "data", source=str(mnist_dir))


def test_a_twin_that_holds_the_file_open_as_on_windows(
    mnist_dir: Path, own_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Access is denied")

    monkeypatch.setattr(os, "replace", refuse)
    download(own_data_dir, source=str(mnist_dir), force=True)
    (own_data_dir / RAW / LABELS.raw.name).write_bytes(b"half")
    with pytest.raises(DataError, match="Access is denied"):
        download(own_data_dir, source=str(mnist_dir))


def test_two_downloads_at_once(server: Server, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from mnistctl.data.registry import DATASETS, download; "
        "DATASETS['mnist'].published.files['train'] = (); "
        "download(Path(sys.argv[1]), source=sys.argv[2], force=True)"
    )
    data_dir = tmp_path / "data"
    command = [sys.executable, "-c", code, str(data_dir), server.url]
    environment = os.environ | {"PYTHONPATH": str(Path(module.__file__).parents[2])}
    twins = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [twin.wait(timeout=300) for twin in twins] == [0, 0]
    assert len(server.requests) == 4
    assert statuses(download(data_dir)) == ["present"] * 2
    assert leftovers(data_dir) == []


def test_downloading_needs_no_torch() -> None:
    code = "import sys, mnistctl.data.download; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(module.__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
