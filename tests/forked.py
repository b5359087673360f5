"""One process a case, forked from a warm one: what it ended with, how long it took, what memory.

A case can hang, crash or exhaust memory without harm to the rest; forking costs a millisecond.
"""

import gc
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 5
"""Of a processor; on a busy machine a case waits longer, at most WAITING."""
WAITING = 60
MEGABYTE = 1 << 20
FORBIDDEN = 99
_EVENTS = ("pickle.find_class", "import", "exec", "compile", "os.system", "os.exec", "os.fork")
_EVENTS += (
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "ctypes.dlopen",
    "shutil.rmtree",
)


@dataclass
class Summary:
    """Of all cases: how often each outcome came, and the worst of each measure."""

    outcomes: Counter[str] = field(default_factory=Counter)
    worst: list[int] = field(default_factory=list)
    """Numbers of the cases that ended badly."""
    seconds: float = 0.0
    """Processor time."""
    megabytes: float = 0.0
    """Peak resident memory of a child; the warm parent's is part of it."""

    def to_dict(self) -> dict[str, object]:
        """JSON form."""
        return {
            "cases": sum(self.outcomes.values()),
            "outcomes": dict(self.outcomes),
            "worst": self.worst[:20],
            "seconds": round(self.seconds, 3),
            "megabytes": round(self.megabytes),
        }


def _forbid() -> None:
    """From here on an import, a new process or a connection ends this process."""

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event in _EVENTS:
            os.write(2, f"{event} {arguments!r:.200}\n".encode())
            os._exit(FORBIDDEN)

    sys.addaudithook(refuse)


def run(
    cases: Iterable[bytes],
    judge: Callable[[bytes], str],
    max_megabytes: int,
    keep: Callable[[int, bytes, str], None] = lambda *_: None,
) -> Summary:
    """`judge` names what becomes of each case, in a process of its own.

    A child that hangs is killed after SECONDS or WAITING; one that asks for twice `max_megabytes`
    of address space beyond the parent's gets a MemoryError. `keep` is told number, case, outcome.
    """
    summary = Summary()
    gc.freeze()
    parent = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for number, case in enumerate(cases):
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(out)
            signal.alarm(WAITING)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            limit = parent + 2 * max_megabytes * MEGABYTE
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            _forbid()
            try:
                os.write(into, judge(case).encode())
            except BaseException as error:
                os.write(into, f"escaped {type(error).__name__}: {error}".encode()[:200])
            os._exit(0)
        os.close(into)
        _, status, usage = os.wait4(child, 0)
        said = os.read(out, 4096).decode(errors="replace")
        os.close(out)
        seconds = usage.ru_utime + usage.ru_stime
        megabytes = usage.ru_maxrss / 1024
        outcome = _outcome(status, said, megabytes > max_megabytes)
        summary.outcomes[outcome] += 1
        summary.seconds = max(summary.seconds, seconds)
        summary.megabytes = max(summary.megabytes, megabytes)
        if outcome.partition(" ")[0] not in ("read", "refused"):
            summary.worst.append(number)
        keep(number, case, outcome)
    return summary


def _outcome(status: int, said: str, too_large: bool) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hung = number in (signal.SIGALRM, signal.SIGPROF)
        return "hung" if hung else f"crashed {signal.Signals(number).name}"
    if os.WEXITSTATUS(status) == FORBIDDEN:
        return "executed"
    if os.WEXITSTATUS(status):
        return f"crashed {os.WEXITSTATUS(status)}"
    return "exceeded memory" if too_large else said
