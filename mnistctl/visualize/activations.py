"""What the convolutional layers answer to one image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mnistctl.engine.inference.activations import feature_maps, need_conv_layers
from mnistctl.engine.inference.predictor import pixels_to_input
from mnistctl.engine.inference.subject import Subject
from mnistctl.visualize.one_image import OneImage, asked_image
from mnistctl.visualize.request import ViewRequest

DEFAULT_COUNT = 16


@dataclass(frozen=True)
class LayerMaps:
    """The channels of a layer that answer most, strongest first."""

    name: str
    num_channels: int
    channels: list[int]
    maps: NDArray[np.float32]
    """(n, height, width), 0 and above."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return vars(self) | {"maps": np.round(self.maps, 4).tolist()}


@dataclass(frozen=True)
class ActivationsView:
    """An image and every layer's feature maps."""

    subject: Subject
    shown: OneImage
    layers: list[LayerMaps]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            **self.subject.document(),
            **self.shown.document(),
            "layers": [layer.to_dict() for layer in self.layers],
        }


def view_activations(request: ViewRequest) -> ActivationsView:
    """Raises UsageError, ImageError, CheckpointError, DataError, DeviceError.

    MnistctlError where the network has no convolutions.
    """
    subject, shown = asked_image(request)
    network = subject.network()
    layers = need_conv_layers(network, "activations", "see its first layer: visualize filters")
    inputs = pixels_to_input(shown.tensor.to(subject.hardware.device), subject.loaded.recipe)
    maps = feature_maps(layers, network, inputs)
    count = request.count or DEFAULT_COUNT
    strongest = [
        _strongest(layer.name, own, count) for layer, own in zip(layers, maps, strict=True)
    ]
    return ActivationsView(subject, shown, strongest)


def _strongest(name: str, maps: Tensor, count: int) -> LayerMaps:
    order = maps.sum((1, 2)).argsort(descending=True, stable=True)[:count]
    return LayerMaps(name, len(maps), order.tolist(), maps[order].numpy())
