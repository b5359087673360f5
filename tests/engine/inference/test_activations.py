"""Layers are found by their kind, and what goes in and out of them is recorded."""

import pytest
import torch
from torch import Tensor, nn

from mnistctl.engine.inference.activations import (
    conv_layers,
    feature_maps,
    first_filters,
    need_conv_layers,
    penultimate,
    recorded,
)
from mnistctl.errors import MnistctlError
from mnistctl.models.registry import build, networks

CONVOLUTIONAL = [name for name in networks() if name != "mlp"]


def pixel(row: int, column: int) -> Tensor:
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, row, column] = 1
    return image


@pytest.mark.parametrize("name", networks())
def test_filters_are_the_answers_to_single_pixels(name: str) -> None:
    network = build(name, 10).eval()
    layer_name, filters = first_filters(network)
    layer = network.get_submodule(layer_name)
    with recorded({"first": layer}) as outputs:
        network(torch.zeros(1, 1, 28, 28))
        silence = outputs["first"][0]
        side = filters.shape[-1]
        # The unit that sees rows and columns `begin` to `begin + side` of the image.
        place, begin = _unit(layer, side)
        for row, column in ((0, 0), (1, 2), (side - 1, side - 2)):
            network(pixel(begin + row, begin + column))
            answer = outputs["first"][0] - silence
            got = answer if answer.dim() == 1 else answer[:, place, place]
            assert torch.allclose(got, filters[:, row, column], atol=1e-5)


def _unit(layer: nn.Module, side: int) -> tuple[int, int]:
    if not isinstance(layer, nn.Conv2d):
        return 0, 0
    fold = side // layer.kernel_size[0]
    place = 5
    return place, (place - int(layer.padding[0])) * fold


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_every_convolution_answers(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, 10).eval()
    layers = conv_layers(network)
    assert [layer.name for layer in layers] == [f"conv{k}" for k in range(1, len(layers) + 1)]
    assert all((layer.norm is not None) == name.startswith("compact") for layer in layers)
    maps = feature_maps(layers, network, torch.rand(1, 1, 28, 28))
    assert [len(own) for own in maps] == [layer.conv.out_channels for layer in layers]
    assert all(own.dim() == 3 and own.min() >= 0 and own.max() > 0 for own in maps)


def test_a_network_without_convolutions_is_said_to_have_none() -> None:
    with pytest.raises(MnistctlError, match="needs convolutions, and this network has none"):
        need_conv_layers(build("mlp", 10), "activations", "")
    with pytest.raises(MnistctlError, match="does not look at pixels"):
        first_filters(nn.Sequential(nn.Linear(3, 4)))
    with pytest.raises(MnistctlError, match="has none"), penultimate(nn.Conv2d(1, 1, 1)):
        pass


@pytest.mark.parametrize("name", networks())
def test_last_layer_maps_the_penultimate_to_the_logits(name: str) -> None:
    network = build(name, 10).eval()
    images = torch.rand(5, 1, 28, 28)
    with penultimate(network) as collected:
        logits = network(images)
    (features,) = collected
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    assert torch.allclose(last(features), logits, atol=1e-5)


def test_hooks_are_gone_afterwards() -> None:
    network = build("cnn-small", 10).eval()
    with recorded({"conv1": network.get_submodule("conv1")}) as outputs:
        pass
    with penultimate(network) as collected:
        pass
    network(torch.zeros(1, 1, 28, 28))
    assert not outputs
    assert not collected
