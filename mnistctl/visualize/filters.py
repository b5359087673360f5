"""What the first layer looks for: its weights as pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistctl.engine.inference.activations import first_filters
from mnistctl.engine.inference.subject import Subject
from mnistctl.visualize.request import ViewRequest

DEFAULT_COUNT = 32


@dataclass(frozen=True)
class FiltersView:
    """The first filters of a layer of `num_filters`, float32 (n, height, width), signed."""

    subject: Subject
    layer: str
    num_filters: int
    filters: NDArray[np.float32]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "checkpoint": str(self.subject.loaded.path),
            "recipe": self.subject.loaded.recipe.name,
            "layer": self.layer,
            "num_filters": self.num_filters,
            "filters": self.filters.tolist(),
        }


def view_filters(request: ViewRequest) -> FiltersView:
    """Raises CheckpointError, DeviceError, or MnistctlError where the layer can't be drawn."""
    subject = request.subject()
    layer, filters = first_filters(subject.network())
    shown = filters[: request.count or DEFAULT_COUNT].numpy()
    return FiltersView(subject, layer, len(filters), shown)
