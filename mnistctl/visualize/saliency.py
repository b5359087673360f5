"""Which pixels of one image are evidence for or against a class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mnistctl.draw.grid import heat_pixels
from mnistctl.draw.style import MAGNITUDES, SIGNED, bare, draw_image, new_figure
from mnistctl.draw.terminal import image_text
from mnistctl.draw.types import Figure, Values
from mnistctl.errors import unknown
from mnistctl.text import percent
from mnistctl.visualize import sources
from mnistctl.visualize.registry import kind

if TYPE_CHECKING:
    from mnistctl.engine.inference.attribution import Attribution

METHODS = {"integrated-gradients": "integrated gradients", "gradcam": "Grad-CAM"}


@kind("saliency", "--index 7", "--image photo.png --class 3 -o why.png", "--method gradcam")
def saliency(
    model: sources.Network,
    image: sources.Image,
    class_name: Annotated[
        str | None,
        sources.class_option("The class to explain, a name or index [default: the prediction]."),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="NAME",
            help=f"One of: {', '.join(METHODS)}.",
            autocompletion=lambda: list(METHODS),
        ),
    ] = "integrated-gradients",
) -> "SaliencyView":
    """The evidence of each pixel for and against a class, by default the one predicted.

    Integrated gradients explain the logit of the class (for an ensemble, the logarithm of its
    mean probability) on the unshifted image; Grad-CAM looks into an ensemble's first member.
    """
    import torch

    from mnistctl.engine.inference.activations import need_conv_layers
    from mnistctl.engine.inference.attribution import grad_cam, integrated_gradients

    if method not in METHODS:
        raise unknown("method", method, tuple(METHODS))
    loaded, shown = image.load_with(model, class_name)
    predictor = loaded.predictor
    probabilities = predictor.probabilities(shown.tensor)[0]
    prediction = int(probabilities.argmax())
    index = prediction if class_name is None else sources.class_index(class_name, predictor.classes)
    confidence = float(probabilities[index])
    inputs = predictor.inputs(shown.tensor)
    if method == "gradcam":
        network = model.inside(loaded)
        last = need_conv_layers(network, "Grad-CAM", "use --method integrated-gradients")[-1]
        found = grad_cam(network, last.conv, last.norm, inputs, index)
    else:
        empty = predictor.inputs(torch.zeros_like(shown.tensor))
        found = integrated_gradients(predictor.network, inputs, empty, index)
    return SaliencyView(loaded, shown, method, index, prediction, confidence, found)


@dataclass(frozen=True)
class SaliencyView:
    """Each pixel's part in the score of the class `index`, whose probability is `confidence`."""

    model: sources.LoadedModel
    shown: sources.OneImage
    method: str
    index: int
    prediction: int
    confidence: float
    attribution: "Attribution"

    @property
    def title(self) -> str:
        name = self.model.predictor.classes[self.index]
        what = f"attribution for class {name} ({percent(self.confidence)})"
        return f"{self.shown.caption}: {what}, {METHODS[self.method]}"

    def to_dict(self) -> dict[str, Any]:
        return {
            **sources.model_document(self.model),
            **self.shown.origin,
            "method": self.method,
            **sources.class_document(self.index, self.model.predictor.classes),
            "prediction": self.prediction,
            "confidence": self.confidence,
            "score": self.attribution.score,
            "baseline_score": self.attribution.baseline,
            "attribution": self.attribution.values.tolist(),
        }

    @property
    def signed(self) -> bool:
        """Whether there is evidence against the class; Grad-CAM shows only evidence for it."""
        return self.method != "gradcam"

    @property
    def _values(self) -> tuple[Values, float, str]:
        """(28, 28), their largest size, and the colour map for them."""
        values: Values = self.attribution.values.numpy()
        return values, float(abs(values).max()) or 1.0, SIGNED if self.signed else MAGNITUDES

    def figure(self) -> Figure:
        """The image, the attribution, and this with the outline of what is drawn on the image.

        A signed attribution is red where a pixel is evidence for the class, blue where against.
        """
        pixels, (values, limit, colour_map) = self.shown.pixels, self._values
        figure = new_figure(8.4, 3.4, self.title)
        left, middle, right = figure.subplots(1, 3)
        draw_image(left, pixels, "image")
        low = -limit if self.signed else 0.0
        look: dict[str, Any] = {"cmap": colour_map, "vmin": low, "vmax": limit}
        for axes, name in ((middle, "attribution"), (right, "attribution and outline")):
            heat = axes.imshow(values, interpolation="nearest", **look)
            bare(axes)
            axes.set_xlabel(name)
        if pixels.min() < pixels.max():
            colour = "black" if self.signed else "white"
            right.contour(pixels, [127], colors=colour, linewidths=1)
        label = "evidence against / for" if self.signed else "evidence for"
        figure.colorbar(heat, ax=[left, middle, right], shrink=0.75, label=label)
        return figure

    def panel(self, console: Console) -> RenderableType:
        """Image and attribution side by side; without colours, the attribution's size in shades."""
        heat = heat_pixels(*self._values, console)
        grid = Table.grid(padding=(0, 3, 0, 0), pad_edge=False)
        grid.add_row(image_text(self.shown.pixels, console), image_text(heat, console))
        if not self.signed:
            meaning = "right: the brighter, the more evidence for the class"
        elif heat.ndim == 3:
            meaning = "right: red is evidence for the class, blue against it"
        else:
            meaning = "right: the brighter, the more evidence for or against the class"
        return Group(grid, Text(meaning))
