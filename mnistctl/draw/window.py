"""A figure in a window of its own, where there is a display."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mnistctl.draw.style import show_names_as_text
from mnistctl.text import escaped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show_window(figure: "Figure", title: str) -> str | None:
    """Show `figure` until its window is closed; says why not where that can't be done.

    Matplotlib's Tk canvas in a plain window: no pyplot, no other toolkit to install.
    """
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return "there is no display here (DISPLAY is not set)"
    try:
        import tkinter

        backend: Any = import_module("matplotlib.backends.backend_tkagg")
    except ImportError:
        return "this Python has no tkinter to open windows with"
    try:
        root = tkinter.Tk(className="mnistctl")
    except tkinter.TclError as error:
        return f"the display can't be used ({error})"
    root.title(escaped(title))
    show_names_as_text(figure)
    canvas = backend.FigureCanvasTkAgg(figure, master=root)
    backend.NavigationToolbar2Tk(canvas, root).update()
    canvas.get_tk_widget().pack(fill="both", expand=True)
    root.mainloop()
    return None
