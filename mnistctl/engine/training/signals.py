"""Stopping in good order: the first Ctrl-C or SIGTERM asks, the second one ends at once."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from mnistctl.errors import Interrupted, MnistctlError, Terminated


class StopRequest:
    """Whether a signal asked to stop, and which."""

    def __init__(self) -> None:
        self.requested = False
        self.signal: int = signal.SIGINT

    def error(self, message: str, hint: str) -> MnistctlError:
        """The error that ends the run: its exit code tells SIGTERM (143) from Ctrl-C (130)."""
        kind = Terminated if self.signal == signal.SIGTERM else Interrupted
        return kind(message, hint)


@contextlib.contextmanager
def stop_on_signals(debounce: float = 0.0) -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one has its usual effect.

    Signals within `debounce` seconds of the first count as one: a scheduler signals all processes
    of a job, and torchrun passes its own signal on.
    Outside the main thread Python delivers no signals, and the request never comes.
    """
    request = StopRequest()
    asked_at = 0.0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        if request.requested and time.monotonic() - asked_at < debounce:
            return
        if request.requested:
            _as_usual(number, frame)
        asked_at = time.monotonic()
        request.requested, request.signal = True, number

    with _handling((signal.SIGINT, signal.SIGTERM), on_signal):
        yield request


def _as_usual(number: int, frame: FrameType | None) -> None:
    """What the signal does to a Python program: at Ctrl-C KeyboardInterrupt, else its end."""
    if number == signal.SIGINT:
        signal.default_int_handler(number, frame)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


@contextlib.contextmanager
def sigterm_as_error() -> Iterator[None]:
    """Raise Terminated at SIGTERM, as Python raises KeyboardInterrupt at Ctrl-C."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise Terminated("terminated")

    with _handling((signal.SIGTERM,), on_signal):
        yield


@contextlib.contextmanager
def _handling(
    kinds: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Have `handler` called for signals of `kinds`; in another than the main thread do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What Python doesn't know it couldn't set again.
    known = [kind for kind in kinds if signal.getsignal(kind) is not None]
    before = [signal.signal(kind, handler) for kind in known]
    try:
        yield
    finally:
        for kind, old in zip(known, before, strict=True):
            signal.signal(kind, old)
