"""The networks by name, and recognising one in a bare `state_dict`.

A family of networks is a file in this package; a decorator registers each of its networks.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from torch import Tensor, device, nn

from mnistctl import models
from mnistctl.errors import CheckpointError

Builder = Callable[[int], nn.Module]
"""From the number of classes to a new network."""
B = TypeVar("B", bound=Builder)
WRAPPER_PREFIXES = ("module.", "_orig_mod.")
_registered: dict[str, Builder] = {}


def network(name: str) -> Callable[[B], B]:
    """Register the decorated class or function as the network called `name`."""

    def register(builder: B) -> B:
        _registered[name] = builder
        return builder

    return register


def networks() -> Mapping[str, Builder]:
    """All networks of the families in this package, and whatever else was registered."""
    _import_families()
    return _registered


@cache
def _import_families() -> None:
    for module in iter_modules(models.__path__):
        import_module(f"{models.__name__}.{module.name}")


def build(name: str, num_classes: int) -> nn.Module:
    """A new network with PyTorch's default initialisation, drawn from torch's global generator.

    Raises CheckpointError for a name that no network has.
    """
    if name not in networks():
        raise CheckpointError(f"unknown network '{name}'", "made by another version of this tool?")
    return networks()[name](num_classes)


def num_parameters(name: str, num_classes: int) -> int:
    """Number of trainable scalars of a network."""
    with device("meta"):
        return sum(p.numel() for p in build(name, num_classes).parameters())


def shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in a state dict."""
    return {name: tuple(value.shape) for name, value in state.items()}


def expected_shapes(name: str, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in the state dict of a network."""
    with device("meta"):
        return shapes(build(name, num_classes).state_dict())


def recognise(state: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor], int]:
    """The network that a bare state dict belongs to, its weights, and its number of classes.

    Names and shapes must be a network's own; the prefixes of DataParallel and `torch.compile`
    are taken off. Layers of other names (an `nn.Sequential` numbers them) are accepted when
    the shapes, in order, are exactly those of one network.
    Raises CheckpointError that says what was expected.
    """
    plain = {_strip(name): value for name, value in state.items()}
    found = shapes(plain)
    last = list(found.values())[-1]
    num_classes = max((1, *last[:1]))  # no network ends in a scalar or an empty tensor
    expected = {name: expected_shapes(name, num_classes) for name in networks()}
    for name, wanted in expected.items():
        if found == wanted:
            return name, plain, num_classes
    for name, wanted in expected.items():
        if list(found.values()) == list(wanted.values()):
            return name, dict(zip(wanted, plain.values(), strict=True)), num_classes
    layers = ", ".join(f"{name} {list(shape)}" for name, shape in list(found.items())[:4])
    more = ", ..." if len(found) > 4 else ""
    raise CheckpointError(
        f"no known network has these layers: {layers}{more}",
        f"expected the state dict of one of: {', '.join(map(_outline, networks()))}",
    )


def _strip(name: str) -> str:
    for prefix in WRAPPER_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _outline(name: str) -> str:
    weights = [s for key, s in expected_shapes(name, 10).items() if key.endswith("weight")]
    return f"{name} ({len(weights)} layers, first {list(weights[0])})"
