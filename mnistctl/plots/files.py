"""Writing a figure: the format by the file's ending, the old file replaced in one step."""

from pathlib import Path
from typing import TYPE_CHECKING

from mnistctl.errors import MnistctlError, UsageError
from mnistctl.files import reason, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
DPI = 150
# No date and no random names inside, so that the same picture is the same file.
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def check_format(path: Path) -> Path:
    """`path` if a figure can be written under its ending. Raises UsageError when not."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"can't tell the picture format of '{path}'",
            f"end the name in one of: {', '.join(FORMATS)}",
        )
    return path


def save_figure(figure: "Figure", path: Path) -> Path:
    """Write `figure` as `path`, replacing a file that is there atomically.

    Raises UsageError for an unknown ending, MnistctlError when the path can't be written.
    """
    from matplotlib import rc_context

    ending = check_format(path).suffix.lower()
    try:
        with rc_context({"svg.hashsalt": "mnistctl"}), replacing(path) as file:
            figure.savefig(file, format=ending[1:], dpi=DPI, metadata=_METADATA[ending])
    except OSError as error:
        raise MnistctlError(f"can't write {path}: {reason(error)}") from error
    return path
