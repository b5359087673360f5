"""One image, its prediction, and the probability of every class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group, RenderableType

from mnistctl.draw import terminal
from mnistctl.draw.grid import TILE_GAP, thumbnail, tiles
from mnistctl.draw.style import (
    OTHER,
    RIGHT,
    SMALL,
    WRONG,
    draw_image,
    new_figure,
    open_frame,
)
from mnistctl.draw.types import Axes, Figure, Pixels
from mnistctl.text import percent
from mnistctl.visualize import sources
from mnistctl.visualize.number import COLOURS, NumberView, read_number
from mnistctl.visualize.registry import kind

if TYPE_CHECKING:
    from mnistctl.engine.inference.predict import Prediction

STEP_SIDE, LEAST_STEP = 28, 10
"""Largest and least side of a step's image in the terminal, columns."""


@kind("prediction", "--index 7", "--image photo.png -o steps.png", "--image number.png --multi")
def prediction(
    model: sources.Model,
    image: sources.Image,
    multi: Annotated[
        bool, typer.Option("--multi", help="With --image: a box around each digit found.")
    ] = False,
) -> "PredictionView | NumberView":
    """One image, its prediction, and every class's probability.

    Of an image file also each step from the file to what the network sees, or with --multi
    where each digit is.
    """
    from mnistctl.engine.inference.predict import predict_prepared

    if multi:
        return read_number(model, image)
    loaded, shown = image.load_with(model)
    (answer,) = predict_prepared(loaded.predictor, [(0, shown.name, shown.prepared)])
    return PredictionView(loaded, shown, answer)


@dataclass(frozen=True)
class PredictionView:
    """An image and what `predict` says of it."""

    model: sources.LoadedModel
    shown: sources.OneImage
    answer: "Prediction"

    @property
    def of_file(self) -> bool:
        """Whether the image is from a file: then its label is unknown, and it may show no class."""
        return self.shown.label is None

    @property
    def verdict(self) -> str:
        """right or wrong where the label is known, else accepted, uncertain or rejected."""
        if not self.of_file:
            return "right" if self.answer.class_index == self.shown.label else "wrong"
        return self.answer.standing

    @property
    def title(self) -> str:
        shown, answer = self.shown, self.answer
        if self.verdict == "rejected":
            reasons = f": {'; '.join(answer.warnings)}" if answer.warnings else ""
            return f"{shown.name}: {answer.verdict.replace('-', ' ')}{reasons}"
        verb = "misclassified" if self.verdict == "wrong" else "predicted"
        text = f"{shown.caption}: {verb} as {answer.class_name} ({percent(answer.confidence)})"
        return f"{text} - uncertain" if self.verdict == "uncertain" else text

    def to_dict(self) -> dict[str, Any]:
        """Of a file also what `predict` says."""
        answer = self.answer
        document = {
            **sources.model_document(self.model),
            **self.shown.origin,
            "prediction": answer.class_index,
            "class_name": answer.class_name,
            "confidence": answer.confidence,
            "probabilities": answer.probabilities,
        }
        if self.of_file:
            document |= {key: answer.to_dict()[key] for key in ("verdict", "warnings", "box")}
            document["steps"] = [name for name, _ in self.steps]
        return document

    @property
    def steps(self) -> list[tuple[str, Pixels]]:
        """Named images of the way from the file to the network, the last what the network sees."""
        return [*self.shown.prepared.steps, ("28x28", self.shown.pixels)]

    def figure(self) -> Figure:
        """The image, or every step to it above, and bars of the probabilities."""
        if not self.of_file:
            figure = new_figure(7.2, 3.6, self.title)
            left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
            draw_image(left, self.shown.pixels)
            self._draw_bars(right)
            return figure
        figure = new_figure(max(6.0, 2.2 * len(self.steps)), 5.8, self.title)
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.25))[:, 0]
        panels = above.subplots(1, len(self.steps), squeeze=False)[0]
        for axes, (name, pixels) in zip(panels, self.steps, strict=True):
            draw_image(axes, pixels, name)
        self._draw_bars(below.subplots())
        return figure

    def _draw_bars(self, axes: Axes) -> None:
        """The prediction's bar tells by its colour whether it is the label, which is named."""
        classes, label = self.model.predictor.classes, self.shown.label
        shown = terminal.bars_shown(self.answer.probabilities, label)
        values = [self.answer.probabilities[k] for k in shown]
        hit = {**COLOURS, "right": RIGHT, "wrong": WRONG}[self.verdict]
        colours = [hit if k == self.answer.class_index else OTHER for k in shown]
        axes.barh(range(len(shown)), values, color=colours)
        names = [classes[k] + (" (label)" if k == label else "") for k in shown]
        axes.set_yticks(range(len(shown)), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.18)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        axes.set_xlabel("probability")
        open_frame(axes)
        axes.spines["bottom"].set_bounds(0, 1)
        for row, value in enumerate(values):
            axes.text(value + 0.01, row, percent(value), va="center", fontsize=SMALL)

    def panel(self, console: Console) -> RenderableType:
        panel = terminal.prediction_panel(
            self.shown.pixels,
            None if self.verdict == "rejected" else self.answer.class_name,
            self.answer.probabilities,
            self.model.predictor.classes,
            console,
            self.shown.label,
            self.verdict,
        )
        names, images = zip(*self.steps, strict=True)
        if len(images) == 1:
            return panel
        side = min(STEP_SIDE, (console.width + TILE_GAP) // (len(images) - 1) - TILE_GAP)
        if console.is_terminal:  # all of it on one screen where that is high enough
            side = min(side, max(LEAST_STEP, 2 * (console.height - 19)))
        small = [_stretched(thumbnail(pixels, side)) for pixels in images[:-1]]
        return Group(tiles(small, names[:-1], console, len(small), side), panel)


def _stretched(pixels: Pixels) -> Pixels:
    """With 255 for the brightest: thin strokes fade when they are made small."""
    brightest = max(1, int(pixels.max()))
    return (pixels * (255 / brightest)).round().astype("uint8")
