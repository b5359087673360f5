"""Isolation: every test in a directory of its own, without the user's settings or a network."""

import ipaddress
import os
import shlex
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_data
from idx_made import FILES
from program import Server, steady_rates

from mnistctl.data.registry import DATASETS, download

USER_SETTINGS = (
    "MNISTCTL_DATA",
    "MNISTCTL_STORE",
    "MNISTCTL_PRECISION",
    "NO_COLOR",
    "FORCE_COLOR",
)
# Nothing listens there: what a test starts as a process of its own meets a refused connection.
NO_PROXY_THERE = "http://127.0.0.1:9"
ROOT = Path(__file__).parents[1]
NO_MNIST = "needs the files of MNIST"


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary working directory and an environment without the user's settings.

    --precision auto is fp32 on every machine.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnistctl.device.cpu_rates", steady_rates)
    for name in USER_SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections and lookups fail as they do offline, but for the machine itself."""
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise OSError(101, "Network is unreachable")
        connect(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_local(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


def _is_local(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False


@pytest.fixture
def offline_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that a test starts reach no mirror either: their proxy refuses."""
    monkeypatch.setenv("http_proxy", NO_PROXY_THERE)
    monkeypatch.setenv("https_proxy", NO_PROXY_THERE)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def small_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every data set is the small stand-in."""
    rows = dict(DATASETS)
    small_data.install(rows)
    for name, row in rows.items():
        monkeypatch.setitem(DATASETS, name, row)


@pytest.fixture
def few_outliers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`robust` draws what it trains against in no time."""
    few = {"NUM_SIGNS": 60, "NUM_DRAWN": 60, "NUM_BROKEN": 20, "NUM_REDRAWN": 100}
    for name, number in few.items():
        monkeypatch.setattr(f"mnistctl.engine.training.batches.{name}", number)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program, ready to be started and killed many times."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


def find_mnist() -> Path | None:
    """The directory of the four published .gz files, in torchvision's layout or flat.

    MNISTCTL_TEST_MNIST alone if it is set, else ./data of the repository, else ../shared/mnist.
    """
    named = os.environ.get("MNISTCTL_TEST_MNIST")
    places = [Path(named)] if named else [ROOT / "data", ROOT.parent / "shared" / "mnist"]
    for place in (path for own in places for path in (own / "MNIST" / "raw", own)):
        if all((place / file.gz.name).is_file() for file in FILES):
            return place.resolve()
    return None


MNIST_DIR = find_mnist()  # before a test changes the working directory


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The four published .gz files, to read only. Skips where there are none."""
    if MNIST_DIR is None:
        pytest.skip(NO_MNIST)
    return MNIST_DIR


def pytest_configure() -> None:
    """Ctrl-C interrupts, also where a shell has begun the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which tests were skipped for want of MNIST or a browser, and the command that gets it."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    number = sum(isinstance(why, tuple) and why[2] == f"Skipped: {NO_MNIST}" for why in skipped)
    if number:
        tests = "test was" if number == 1 else "tests were"
        place = os.environ.get("MNISTCTL_TEST_MNIST") or str(ROOT / "data")
        terminalreporter.section("real MNIST not found", yellow=True)
        terminalreporter.write_line(f"{number} {tests} skipped. To run them, get MNIST first:")
        terminalreporter.write_line(f"  mnistctl download --data-dir {shlex.quote(place)}")
    for why in skipped:
        if isinstance(why, tuple) and why[2].startswith("Skipped: browser tests need"):
            terminalreporter.section("tests of the page skipped", yellow=True)
            terminalreporter.write_line(why[2].removeprefix("Skipped: "))


@pytest.fixture(scope="session")
def mnist_data_dir(mnist_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real MNIST in torchvision's layout, as `--data-dir`. Shared: tests must not change it."""
    data_dir = tmp_path_factory.mktemp("mnist")
    download(data_dir, source=str(mnist_dir))
    return data_dir


@pytest.fixture
def own_data_dir(mnist_data_dir: Path, tmp_path: Path) -> Path:
    """A copy of the test split in `mnist_data_dir` for one test to damage."""
    data_dir = tmp_path / "own"
    shutil.copytree(mnist_data_dir, data_dir, ignore=shutil.ignore_patterns("train-*"))
    return data_dir
