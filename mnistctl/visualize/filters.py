"""What the first layer looks for: its weights as images."""

from dataclasses import dataclass
from typing import Annotated, Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from mnistctl.draw.grid import ImageGrid
from mnistctl.draw.style import SIGNED
from mnistctl.draw.terminal import has_colours
from mnistctl.draw.types import Figure, Values
from mnistctl.text import counted
from mnistctl.visualize import sources
from mnistctl.visualize.registry import kind

DEFAULT_COUNT = 32


@kind("filters", "", "-c best --count 16 --output filters.png")
def filters(
    model: sources.Network,
    count: Annotated[int | None, sources.count_option("Filters to show [default: 32].")] = None,
) -> "FiltersView":
    """The weights of a network's first layer."""
    from mnistctl.engine.inference.activations import first_filters

    loaded = model.load()
    layer, weights = first_filters(model.inside(loaded))
    return FiltersView(loaded, layer, weights.numpy(), count)


@dataclass(frozen=True)
class FiltersView:
    """Filters of a layer, float32 (n, height, width), signed; `count` are shown, None: 32."""

    model: sources.LoadedModel
    layer: str
    filters: Values
    count: int | None = None

    @property
    def shown(self) -> Values:
        """The first ones."""
        return self.filters[: self.count or DEFAULT_COUNT]

    @property
    def title(self) -> str:
        shown, number = len(self.shown), len(self.filters)
        of = f"{shown} of " if shown < number else ""
        which = f"{of}{counted(number, 'filter')}"
        return f"{self.model.predictor.name}: {which} of the first layer, {self.layer}"

    def to_dict(self) -> dict[str, Any]:
        return {
            **sources.model_document(self.model),
            "layer": self.layer,
            "num_filters": len(self.filters),
            "filters": self.shown.tolist(),
        }

    def _grid(self) -> ImageGrid:
        captions = [str(number) for number in range(len(self.shown))]
        return ImageGrid(self.shown, captions, SIGNED, inches=0.8, fit=self.count is None)

    def figure(self) -> Figure:
        """Red above 0, blue below."""
        return self._grid().figure(self.title, scale="weight")

    def panel(self, console: Console) -> RenderableType:
        key = "the brighter, the farther from 0"
        if has_colours(console):
            key = "red: weights above 0, blue: below"
        return Group(self._grid().panel(console), Text(key))
