"""All digits of one image: where each is, what the network sees of it, and its class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console, Group, RenderableType

from mnistctl.draw.grid import ImageGrid, thumbnail, tiles
from mnistctl.draw.style import ORANGE, RIGHT, SMALL, WRONG, bare, new_figure
from mnistctl.draw.types import Figure, Pixels
from mnistctl.errors import UsageError
from mnistctl.text import percent
from mnistctl.visualize import sources

if TYPE_CHECKING:
    from mnistctl.engine.inference.predict import Prediction
    from mnistctl.imaging.files import Picture
    from mnistctl.imaging.ink import Invert

COLOURS = {"accepted": RIGHT, "uncertain": ORANGE, "rejected": WRONG}
WIDTH, MAX_HEIGHT = 7.2, 5.0
"""Of the image in a figure, inches."""
SIDE = 72
"""Largest side of the image in the terminal, pixels."""


def read_number(model: sources.Model, image: sources.Image) -> "NumberView":
    """All digits of an image file. Raises UsageError, ImageError, CheckpointError, DeviceError."""
    from mnistctl.engine.inference.predict import asking, check_multi, predict_prepared
    from mnistctl.imaging.files import read_argument
    from mnistctl.imaging.prepare import prepare_digits

    if image.image is None:
        raise UsageError("--multi is about an image file: give --image FILE")
    picture = read_argument(image.image)
    loaded = model.load()
    check_multi(loaded)
    invert = cast("Invert", image.invert)
    found = prepare_digits(picture, invert, asking(loaded.predictor))
    answers = predict_prepared(loaded.predictor, [(0, image.image, own) for own in found], True)
    return NumberView(loaded, image.image, picture, list(answers))


@dataclass(frozen=True)
class NumberView:
    """An image and what `predict --multi` says of it, in reading order."""

    model: sources.LoadedModel
    name: str
    picture: "Picture"
    answers: list["Prediction"]

    @property
    def title(self) -> str:
        from mnistctl.engine.inference.predict import reading

        doubts = sum(map(bool, map(_doubt, self.answers)))
        doubtful = f" - {doubts:,} uncertain" if doubts else ""
        return f"{sources.shown_name(self.name)}: {reading(self.answers)}{doubtful}"

    def to_dict(self) -> dict[str, Any]:
        return {
            **sources.model_document(self.model),
            "image": self.name,
            "predictions": [own.to_dict() for own in self.answers],
        }

    @property
    def _inputs(self) -> ImageGrid:
        captions = [f"{own.shown}  {percent(own.confidence)}{_doubt(own)}" for own in self.answers]
        return ImageGrid([own.pixels for own in self.answers], captions)

    def figure(self) -> Figure:
        """The image with a box around each digit, in the colour of its verdict, over the inputs."""
        picture, grid = self.picture, self._inputs
        tall = min(WIDTH * picture.height / picture.width, MAX_HEIGHT)
        below = grid.size[1]
        figure = new_figure(WIDTH, tall + below, self.title)
        image, inputs = figure.subplots(2, 1, height_ratios=(tall, below))
        extent = (0, picture.width, picture.height, 0)
        image.imshow(picture.pixels, cmap="gray", vmin=0, vmax=255, extent=extent)
        bare(image)
        for own in self.answers:
            left, top, right, bottom = own.box
            colour = COLOURS[own.standing]
            outline = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
            image.plot(*zip(*outline, strict=True), color=colour, linewidth=1.2)
            image.text(left, top, own.shown, color=colour, va="bottom", fontsize=SMALL + 2)
        grid.draw(inputs)
        return figure

    def panel(self, console: Console) -> RenderableType:
        """The image with the boxes above the inputs."""
        side = min(console.width, SIDE)
        return Group(
            tiles([self._boxed(side)], [""], console, 1, side), self._inputs.panel(console)
        )

    def _boxed(self, side: int) -> Pixels:
        """The image, RGB and no larger than `side` either way, with the boxes drawn on it."""
        import numpy as np
        from PIL import Image, ImageDraw

        image = Image.fromarray(thumbnail(self.picture.pixels, side)).convert("RGB")
        scale = image.width / self.picture.width
        draw = ImageDraw.Draw(image)
        for own in self.answers:
            left, top, right, bottom = (round(edge * scale) for edge in own.box)
            corner = max(left, right - 1), max(top, bottom - 1)  # a box may become a line
            draw.rectangle((left, top, *corner), outline=COLOURS[own.standing])
        return np.asarray(image)


def _doubt(answer: "Prediction") -> str:
    return " uncertain" if answer.standing == "uncertain" else ""
