"""A figure in a window of its own, where there is a display."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mnistctl.draw.style import show_names_as_text
from mnistctl.errors import MnistctlError
from mnistctl.text import escaped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def open_window() -> Any:
    """An empty window. Raises MnistctlError where there can be none."""
    hint = "--output FILE saves a file"
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise MnistctlError("no window: there is no display here (DISPLAY is not set)", hint)
    try:
        import tkinter

        import_module("matplotlib.backends.backend_tkagg")
    except ImportError as error:
        raise MnistctlError("no window: this Python has no tkinter", hint) from error
    try:
        root = tkinter.Tk(className="mnistctl")
    except tkinter.TclError as error:
        raise MnistctlError(f"no window: the display can't be used ({error})", hint) from error
    root.withdraw()
    return root


def show_in(root: Any, figure: "Figure", title: str) -> None:
    """Show `figure` in a window until that is closed.

    Matplotlib's Tk canvas in a plain window: no pyplot, no other toolkit to install.
    """
    backend: Any = import_module("matplotlib.backends.backend_tkagg")
    root.deiconify()
    root.title(escaped(title))
    show_names_as_text(figure)
    canvas = backend.FigureCanvasTkAgg(figure, master=root)
    backend.NavigationToolbar2Tk(canvas, root).update()
    canvas.get_tk_widget().pack(fill="both", expand=True)
    root.mainloop()
