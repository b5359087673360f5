"""A network's layers found by their kind, and what goes in and out of them."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, relu

from mnistctl.errors import MnistctlError
from mnistctl.imaging.normalize import SIDE


@dataclass(frozen=True)
class ConvLayer:
    """A convolution, with the batch normalisation behind it where there is one."""

    name: str
    conv: nn.Conv2d
    norm: nn.BatchNorm2d | None

    @property
    def last(self) -> nn.Module:
        """The module whose output goes into the activation function."""
        return self.norm or self.conv


def conv_layers(network: nn.Module) -> list[ConvLayer]:
    """The convolutional layers in the order in which they were declared."""
    leaves = [(name, m) for name, m in network.named_modules() if not any(m.children())]
    found = []
    for place, (name, module) in enumerate(leaves):
        if isinstance(module, nn.Conv2d):
            behind = leaves[place + 1][1] if place + 1 < len(leaves) else None
            norm = behind if isinstance(behind, nn.BatchNorm2d) else None
            found.append(ConvLayer(name, module, norm))
    return found


def need_conv_layers(network: nn.Module, what: str, instead: str) -> list[ConvLayer]:
    """The convolutional layers. Raises MnistctlError where there are none."""
    layers = conv_layers(network)
    if not layers:
        raise MnistctlError(f"{what} needs convolutions, and this network has none", instead)
    return layers


def first_filters(network: nn.Module) -> tuple[str, Tensor]:
    """Name of the first layer and its weights as pictures, float32 (n, height, width).

    A convolution over an image folded into r x r channels is unfolded again: its filters are r
    times as high and wide. Those of a linear layer over all pixels are 28x28.
    Raises MnistctlError where the first layer is of neither kind.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            fold = math.isqrt(module.in_channels)
            if fold * fold == module.in_channels:
                return name, pixel_shuffle(module.weight.detach().float().cpu(), fold)[:, 0]
        elif isinstance(module, nn.Linear) and module.in_features == SIDE * SIDE:
            return name, module.weight.detach().float().cpu().view(-1, SIDE, SIDE)
        elif not any(module.children()):
            break
    raise MnistctlError("this network's first layer can't be drawn: it does not look at pixels")


@contextmanager
def recorded(modules: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Copies of the modules' outputs, by name, of the forward passes made in the block.

    A copy, because an activation function that works in place would change the original.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            outputs[name] = output.clone()

        return hook

    with ExitStack() as hooks:
        for name, module in modules.items():
            hooks.enter_context(module.register_forward_hook(keep(name)))
        yield outputs


@torch.inference_mode()
def feature_maps(layers: list[ConvLayer], network: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Activations for one image, after ReLU: float32 (channels, height, width) of each layer."""
    with recorded({layer.name: layer.last for layer in layers}) as outputs:
        network(inputs)
    return [relu(outputs[layer.name][0]).float().cpu() for layer in layers]


def strongest_maps(maps: Tensor, count: int) -> tuple[list[int], Tensor]:
    """The `count` channels of feature maps (channels, height, width) with the largest sums.

    Their numbers, strongest first, and their maps in the same order.
    """
    order = maps.sum((1, 2)).argsort(descending=True, stable=True)[:count]
    return order.tolist(), maps[order]


@contextmanager
def penultimate(network: nn.Module) -> Iterator[list[Tensor]]:
    """What goes into the last linear layer, float32 (n, features), a tensor each forward pass.

    Raises MnistctlError where the network has none.
    """
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise MnistctlError("embedding needs a linear layer, and this network has none")
    collected: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        collected.append(inputs[0].float().cpu())

    with linear[-1].register_forward_pre_hook(keep):
        yield collected
