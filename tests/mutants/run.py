"""Run tests on a copy of the program with a fault in it."""

import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from tests.mutants.faults import ROOT, Fault

COPIED = ("mnistctl", "tests", ".github", "pyproject.toml", "README.md", "CHANGELOG.md")
DATA = ("data", "../shared")
"""Where tests look for MNIST's files, from the root of the repository."""
NOTICED, TIMED_OUT, UNNOTICED, UNSOUND = "noticed", "timed out", "unnoticed", "unsound"
"""Unsound: the test fails without the fault, too, and so has noticed nothing."""
SLOW_IMPORTS = (
    "torch",
    "torchvision.transforms.v2",
    "scipy.ndimage",
    "scipy.stats",
    "skimage.filters",
    "matplotlib.backends.backend_agg",
    "typer.testing",
    "rich.progress",
    "pytest",
)
"""Imported once: the tests of each fault run in a fork, which saves them seconds."""
SOUND_SECONDS = 3600.0
POLL_SECONDS = 0.05
_OPTIONS = ("-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", "-n", "0")
_FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(\S+?\.py(?:::.*?)?)(?: - .*)?$", re.M)


@dataclass(frozen=True)
class Result:
    """What became of a fault."""

    status: str
    test: str = ""
    """That failed."""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


class Copy:
    """A copy of the program and its tests, to put faults into."""

    def __init__(self, directory: Path) -> None:
        for name in SLOW_IMPORTS:
            import_module(name)
        self.root = directory / "tree"
        self.root.mkdir()
        for name in COPIED:
            source, target = ROOT / name, self.root / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        for place in DATA:
            if (ROOT / place).is_dir():
                (self.root / place).symlink_to((ROOT / place).resolve())

    def try_fault(self, fault: Fault, likely: str) -> Result:
        """Run the test that is `likely` to notice, "": none is, then the fault's others.

        Raises NotApplicable.
        """
        path = self.root / "mnistctl" / fault.file
        source = path.read_text(encoding="utf-8")
        started = time.monotonic()
        try:
            _write(path, fault.applied(source))
            status, test = self._first_failure(fault, likely)
        finally:
            _write(path, source)
        return Result(status, test, round(time.monotonic() - started, 1))

    def unsound(self, tests: Iterable[str]) -> set[str]:
        """Those of `tests` that fail without any fault."""
        names = sorted(set(tests))
        if not names:
            return set()
        code, output = self._pytest(names, SOUND_SECONDS)
        if code not in (0, 1):
            raise RuntimeError(f"pytest ended with {code}:\n{output}")
        return set(_FAILED.findall(output))

    def _first_failure(self, fault: Fault, likely: str) -> tuple[str, str]:
        end, done = time.monotonic() + fault.seconds, list[str]()
        for test in filter(None, (likely, *fault.tests)):
            ignored = [f"--ignore=tests/{name}" for name in done]
            code, output = self._pytest([test], end - time.monotonic(), "-x", *ignored)
            failed = _FAILED.search(output)
            if code is None:
                return TIMED_OUT, test
            if code in (1, 2) and failed:
                return NOTICED, failed[1]
            if code < 0:  # it has crashed
                return NOTICED, test
            if test == likely:  # perhaps it is there no more
                continue
            if code and not (code == 5 and done):  # 5: nothing is left to run
                raise RuntimeError(f"pytest {test} ended with {code}:\n{output}")
            done.append(test)
        return UNNOTICED, ""

    def _pytest(self, tests: list[str], seconds: float, *options: str) -> tuple[int | None, str]:
        """Exit code, None: the time was over, and output. Nothing of it runs afterwards."""
        arguments = [*_OPTIONS, *options, *(f"tests/{test}" for test in tests)]
        with tempfile.TemporaryFile() as output:
            child = os.fork()
            if child == 0:
                self._become_pytest(arguments, output)
            try:
                code = _wait(child, seconds)
            finally:
                _kill_group(child)
            output.seek(0)
            return code, output.read().decode(errors="replace")

    def _become_pytest(self, arguments: list[str], output: BinaryIO) -> None:
        """The life of a fork: nothing that it imports from here on is of this tree."""
        code = 3
        try:
            os.setsid()
            # What is started in the background ignores Ctrl-C, also that of the tests.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.chdir(self.root)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
                del sys.modules[name]
            sys.path[:] = [str(self.root), *(p for p in sys.path if p and Path(p) != ROOT)]
            os.environ["PYTHONPATH"] = str(self.root)
            code = int(sys.modules["pytest"].main(arguments))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def keys_of(fault: Fault) -> tuple[str, str]:
    """SHA-256 of what a fault is, and of that and of all that its result depends on."""
    own = hashlib.sha256("\0".join((fault.file, fault.text, fault.replacement)).encode())
    digest, files = own.copy(), [ROOT / "mnistctl" / fault.file]
    for test in fault.tests:
        path = ROOT / "tests" / test.partition("::")[0]
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
        digest.update(test.encode())
    for path in files:
        digest.update(path.read_bytes())
    return own.hexdigest(), digest.hexdigest()


def _wait(child: int, seconds: float) -> int | None:
    """The exit code of a process, negative: a signal; None where it still runs in the end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _kill_group(leader: int) -> None:
    """End what the tests of a fork have left running."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _write(path: Path, source: str) -> None:
    """Also drop what was compiled before: Python tells versions by seconds and sizes alone."""
    path.write_text(source, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
