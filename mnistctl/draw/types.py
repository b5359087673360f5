"""Types of what is drawn, for annotations: importing them imports no numpy, matplotlib, rich."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure
    from numpy.typing import NDArray
    from rich.console import Console as Console
    from rich.console import RenderableType as RenderableType

    Pixels = NDArray[np.uint8]
    Values = NDArray[np.floating]
else:
    Axes = Console = Figure = Pixels = RenderableType = Values = Any
