"""The feature maps of every convolutional layer for one image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from mnistctl.draw.grid import GAP, LINE, ImageGrid
from mnistctl.draw.style import MAGNITUDES, MARGIN, draw_image, new_figure
from mnistctl.draw.terminal import image_text
from mnistctl.draw.types import Figure, Values
from mnistctl.visualize import sources
from mnistctl.visualize.registry import kind

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_COUNT = 16
COLUMNS, INCHES = 16, 0.62


@kind("activations", "--index 7", "--image photo.png -o activations.png")
def activations(
    model: sources.Network,
    image: sources.Image,
    count: Annotated[
        int | None, sources.count_option("Channels of each layer [default: 16].")
    ] = None,
) -> "ActivationsView":
    """Feature maps of every convolution for one image."""
    from mnistctl.engine.inference.activations import feature_maps, need_conv_layers

    loaded, shown = image.load_with(model)
    network = model.inside(loaded)
    layers = need_conv_layers(network, "activations", "see its first layer: visualize filters")
    maps = feature_maps(layers, network, loaded.predictor.inputs(shown.tensor))
    pairs = zip(layers, maps, strict=True)
    strongest = [_strongest(layer.name, own, count or DEFAULT_COUNT) for layer, own in pairs]
    return ActivationsView(loaded, shown, strongest)


@dataclass(frozen=True)
class LayerMaps:
    """The channels of a layer that are most active, strongest first."""

    name: str
    num_channels: int
    channels: list[int]
    maps: Values
    """(n, height, width), 0 and above."""

    @property
    def size(self) -> str:
        """Height and width of the maps."""
        return "{}x{}".format(*self.maps.shape[1:])

    def grid(self, columns: int) -> ImageGrid:
        """The maps in a scale of their own, from 0 to their largest value."""
        captions = [str(channel) for channel in self.channels]
        return ImageGrid(self.maps, captions, MAGNITUDES, columns, INCHES)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return vars(self) | {"maps": self.maps.astype(float).round(4).tolist()}


def _strongest(name: str, maps: "Tensor", count: int) -> LayerMaps:
    from mnistctl.engine.inference.activations import strongest_maps

    channels, strongest = strongest_maps(maps, count)
    return LayerMaps(name, len(maps), channels, strongest.numpy())


@dataclass(frozen=True)
class ActivationsView:
    """An image and every layer's feature maps."""

    model: sources.LoadedModel
    shown: sources.OneImage
    layers: list[LayerMaps]

    @property
    def title(self) -> str:
        return f"{self.model.predictor.name}: activations for {self.shown.caption}"

    def to_dict(self) -> dict[str, Any]:
        layers = [layer.to_dict() for layer in self.layers]
        return {**sources.model_document(self.model), **self.shown.origin, "layers": layers}

    def figure(self) -> Figure:
        """The image above rows of feature maps for each layer, brighter = stronger."""
        columns = min(COLUMNS, max(len(layer.channels) for layer in self.layers))
        rows = [-(-len(layer.channels) // columns) for layer in self.layers]
        heights = [1.9, *(count * (1 + 2 * GAP + LINE / INCHES) for count in rows)]
        width = max(6.0, columns * (1 + GAP) * INCHES + 1.2)
        between = 2 * MARGIN * len(heights)
        figure = new_figure(width, sum(heights) * INCHES + between + 0.6, self.title)
        image, *panels = figure.subplots(1 + len(self.layers), 1, height_ratios=heights)
        draw_image(image, self.shown.pixels)
        for axes, layer in zip(panels, self.layers, strict=True):
            layer.grid(columns).draw(axes)
        names = ["image", *(f"{layer.name}\n{layer.size}" for layer in self.layers)]
        for axes, name in zip((image, *panels), names, strict=True):
            axes.set_anchor("W")
            axes.set_ylabel(name, rotation=0, ha="right", va="center")
        return figure

    def panel(self, console: Console) -> RenderableType:
        """The image, then a row for each layer of as many channels as the console has room for."""
        parts: list[RenderableType] = [image_text(self.shown.pixels, console)]
        for layer in self.layers:
            parts.append(Text(f"{layer.name}, {layer.size}, strongest channels first"))
            parts.append(layer.grid(len(layer.channels)).panel(console, max_rows=1))
        return Group(*parts)
