"""What the views find in networks: layers by their kind, directions, members of an ensemble."""

from pathlib import Path

import pytest
import torch
from mnistctl.engine.inference.subject import Hardware, Subject
from torch import Tensor, nn

from mnistctl.engine.inference.activations import (
    conv_layers,
    feature_maps,
    first_filters,
    need_conv_layers,
    penultimate,
    recorded,
)
from mnistctl.engine.inference.loading import LoadedModel
from mnistctl.errors import MnistctlError
from mnistctl.events import NullReporter
from mnistctl.models.ensemble import Ensemble
from mnistctl.models.registry import NETWORK_CLASSES, build
from mnistctl.recipes import RECIPES
from mnistctl.visualize.embedding import principal_components

CONVOLUTIONAL = [name for name in NETWORK_CLASSES if name != "mlp"]


def pixel(row: int, column: int) -> Tensor:
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, row, column] = 1
    return image


@pytest.mark.parametrize("name", NETWORK_CLASSES)
def test_filters_are_the_answers_to_single_pixels(name: str) -> None:
    network = build(name).eval()
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
    network = build(name).eval()
    layers = conv_layers(network)
    assert [layer.name for layer in layers] == [f"conv{k}" for k in range(1, len(layers) + 1)]
    assert all((layer.norm is not None) == name.startswith("compact") for layer in layers)
    maps = feature_maps(layers, network, torch.rand(1, 1, 28, 28))
    assert [len(own) for own in maps] == [layer.conv.out_channels for layer in layers]
    assert all(own.dim() == 3 and own.min() >= 0 and own.max() > 0 for own in maps)


def test_a_network_without_convolutions_is_said_to_have_none() -> None:
    with pytest.raises(MnistctlError, match="needs convolutions, and this network has none"):
        need_conv_layers(build("mlp"), "activations", "")
    with pytest.raises(MnistctlError, match="does not look at pixels"):
        first_filters(nn.Sequential(nn.Linear(3, 4)))
    with pytest.raises(MnistctlError, match="has none"), penultimate(nn.Conv2d(1, 1, 1)):
        pass


@pytest.mark.parametrize("name", NETWORK_CLASSES)
def test_last_layer_maps_the_penultimate_to_the_logits(name: str) -> None:
    network = build(name).eval()
    images = torch.rand(5, 1, 28, 28)
    with penultimate(network) as collected:
        logits = network(images)
    (features,) = collected
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    assert torch.allclose(last(features), logits, atol=1e-5)


def test_hooks_are_gone_afterwards() -> None:
    network = build("cnn-small").eval()
    with recorded({"conv1": network.get_submodule("conv1")}) as outputs:
        pass
    with penultimate(network) as collected:
        pass
    network(torch.zeros(1, 1, 28, 28))
    assert not outputs
    assert not collected


def test_principal_components_are_those_of_the_full_decomposition() -> None:
    generator = torch.Generator().manual_seed(0)
    widths = torch.tensor([9.0, 5.0, *[1.0] * 38])
    turn, _ = torch.linalg.qr(torch.randn(40, 40, generator=generator))
    features = torch.randn(500, 40, generator=generator) * widths @ turn + 3
    state = torch.get_rng_state()
    points, shares = principal_components(features)
    assert torch.equal(state, torch.get_rng_state())
    left, values, _ = torch.linalg.svd(features - features.mean(0), full_matrices=False)
    expected = (left * values)[:, :2]
    assert torch.allclose(points.abs(), expected.abs(), atol=1e-2)
    assert shares == pytest.approx((values[:2] ** 2 / (values**2).sum()).tolist(), rel=1e-3)
    again, _ = principal_components(features)
    assert torch.equal(points, again)


def test_components_of_images_that_are_all_alike() -> None:
    points, shares = principal_components(torch.ones(4, 3))
    assert points.shape == (4, 2)
    assert shares == (0.0, 0.0)


def test_of_an_ensemble_the_first_member_is_looked_at() -> None:
    class Listener(NullReporter):
        said = ""

        def say(self, text: str) -> None:
            self.said += text

    members = [build("cnn-small"), build("cnn-small")]
    loaded = LoadedModel(Ensemble(members), RECIPES["cnn-small"], None, Path("x.pt"), "x", "run x")
    hardware, listener = Hardware(torch.device("cpu"), "fp32"), Listener()
    subject = Subject(loaded, hardware, "mnist", "test", Path("data"), listener)
    assert subject.network() is members[0]
    assert listener.said == "Looking into the first of the 2 members"
    assert subject.name == "x"
