"""The one image that a view is about: of a data set by its index, or from a picture file."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnistctl.data.names import SPLIT_SIZES
from mnistctl.engine.inference.subject import Subject
from mnistctl.errors import ImageError, UsageError
from mnistctl.imaging.files import read_bounded, read_image
from mnistctl.imaging.image_paths import STDIN
from mnistctl.imaging.ink import Invert
from mnistctl.imaging.prepare import prepare
from mnistctl.visualize.request import ViewRequest

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class OneImage:
    """An image as the network sees it, uint8 (28, 28), ink 255 on 0."""

    name: str
    pixels: Pixels
    label: int | None = None
    index: int | None = None
    image: str | None = None
    """The file it came from; then `steps` are named pictures of the way here."""
    doubt: str | None = None
    warnings: tuple[str, ...] = ()
    box: tuple[int, int, int, int] | None = None
    steps: tuple[tuple[str, Pixels], ...] = ()

    @property
    def tensor(self) -> Tensor:
        """uint8 (1, 28, 28)."""
        return torch.from_numpy(self.pixels.copy()).unsqueeze(0)

    def document(self) -> dict[str, Any]:
        """Which image it is, for JSON."""
        if self.image is not None:
            return {"image": self.image}
        return {"index": self.index, "label": self.label}


def check_index(request: ViewRequest) -> None:
    """Raise UsageError unless the split has an image of the index asked for."""
    size = SPLIT_SIZES[request.split]
    if not 0 <= request.index < size:
        raise UsageError(
            f"--index {request.index}: the {request.split} split has images 0 to {size - 1}"
        )


def asked_image(request: ViewRequest) -> tuple[Subject, OneImage]:
    """The network and the image asked for.

    Raises UsageError (index out of range), ImageError, CheckpointError, DataError or DeviceError.
    """
    if request.image is not None:
        own = image_of_file(request.image, request.invert)
        return request.subject(), own
    check_index(request)
    subject = request.subject()
    data = subject.load_data()
    index = request.index
    name = f"{subject.dataset} {subject.split} image {index}"
    return subject, OneImage(name, data.images[index].numpy(), int(data.labels[index]), index)


def image_of_file(file: str, invert: Invert) -> OneImage:
    """A picture brought to MNIST's form, with every step. Raises ImageError."""
    if file == STDIN and sys.stdin is None:
        raise ImageError("standard input is closed")
    picture = read_image(read_bounded(sys.stdin.buffer) if file == STDIN else Path(file))
    found = prepare(picture, invert, keep_steps=True)
    steps = found.steps or (("image", picture.pixels),)
    return OneImage(
        name="standard input" if file == STDIN else Path(file).name,
        pixels=found.pixels,
        image=file,
        doubt=found.doubt,
        warnings=found.warnings,
        box=found.box,
        steps=(*steps, ("28x28", found.pixels)),
    )
