"""Exit codes and the errors a user can meet: what happened, and the next command."""

from collections.abc import Sequence
from difflib import get_close_matches
from enum import IntEnum
from importlib.util import find_spec

OTHER_WORDS = {"gpu": "cuda"}
"""What people say for a name that is spelled otherwise."""


class ExitCode(IntEnum):
    """What the process returns to the shell."""

    OK = 0
    ERROR = 1
    USAGE = 2
    GATE_FAILED = 3
    INTERRUPTED = 130
    TERMINATED = 143


class MnistctlError(Exception):
    """A known failure, shown as one or two lines without a traceback.

    `message` says what happened and what was tried, `hint` the way on (may be empty).
    """

    exit_code = ExitCode.ERROR

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MnistctlError):
    """An option or argument that can't be right, whatever the machine."""

    exit_code = ExitCode.USAGE


class DataError(MnistctlError):
    """A data set that is missing, altered or can't be fetched."""


class ImageError(MnistctlError):
    """A file that can't be read as an image."""


class CheckpointError(MnistctlError):
    """A checkpoint or run that is missing, damaged or of another kind."""


class LackOfMemory(MnistctlError):
    """A training for which there is not enough memory."""


class DeviceError(MnistctlError):
    """A device or precision that this machine doesn't have."""


class GateFailed(MnistctlError):
    """A result below the bar the caller set, e.g. `--min-accuracy`."""

    exit_code = ExitCode.GATE_FAILED


class Interrupted(MnistctlError):
    """Ctrl-C: stopped in good order, after saving."""

    exit_code = ExitCode.INTERRUPTED


class Terminated(MnistctlError):
    """SIGTERM: stopped in good order, after saving."""

    exit_code = ExitCode.TERMINATED


def unknown(what: str, name: str, known: tuple[str, ...], more: str = "") -> UsageError:
    """The error for a name that isn't among `known`, with the one it was probably meant to be."""
    hint = f"choose one of: {', '.join(known)}" + (f" ({more})" if more else "")
    return UsageError(f"unknown {what} '{name}'{did_you_mean(name, known)}", hint)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """`; did you mean 'fast-1'?`, or nothing where no name of `known` is close to `name`."""
    close = [OTHER_WORDS[name]] if OTHER_WORDS.get(name) in known else []
    close = close or get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def require_extra(extra: str, *modules: str) -> None:
    """Raise MnistctlError with the install command unless all modules of an extra are there."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise MnistctlError(
            f"this needs {' and '.join(missing)}",
            f"in the clone of mnistctl: pip install '.[{extra}]'",
        )
