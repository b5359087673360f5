"""Writing a figure: the format by the file's ending, the old file replaced in one step."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from mnistctl.draw.style import show_names_as_text
from mnistctl.errors import UsageError
from mnistctl.files import explained, replacing, try_place

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
DPI = 150
# No date and no random names inside, so that the same picture is the same file.
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def check_output(path: Path) -> None:
    """See before a long computation that a figure can be written as `path`.

    Raises UsageError for an unknown ending, MnistctlError for a place that can't be written to.
    """
    _ending(path)
    with explained(f"can't write {path}"):
        try_place(path)


def save_figure(figure: "Figure", path: Path) -> Path:
    """Write `figure` as `path`, replacing a file that is there atomically.

    Raises what `check_output` raises.
    """
    from matplotlib import rc_context

    ending = _ending(path)
    show_names_as_text(figure)
    with explained(f"can't write {path}"), replacing(path) as file, warnings.catch_warnings():
        # A file's name may have letters that the font lacks: it is drawn with boxes for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        with rc_context({"svg.hashsalt": "mnistctl"}):
            figure.savefig(file, format=ending[1:], dpi=DPI, metadata=_METADATA[ending])
    return path


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise UsageError(
            f"can't tell the figure's format from '{path}'",
            f"end the name in one of: {', '.join(FORMATS)}",
        )
    return ending
