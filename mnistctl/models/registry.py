"""The networks by name, and recognising one in a bare `state_dict`."""

from collections.abc import Callable, Mapping

from torch import Tensor, device, nn

from mnistctl.errors import CheckpointError
from mnistctl.models import compact
from mnistctl.models.classic import MLP, CNNDropout, CNNSmall, CNNWide

NETWORK_CLASSES: dict[str, Callable[[], nn.Module]] = {
    "mlp": MLP,
    "cnn-small": CNNSmall,
    "cnn-wide": CNNWide,
    "cnn-dropout": CNNDropout,
    "compact-3": compact.compact_3,
    "compact-5": compact.compact_5,
    "compact-6": compact.compact_6,
    "compact-7": compact.compact_7,
}

WRAPPER_PREFIXES = ("module.", "_orig_mod.")


def build(network: str) -> nn.Module:
    """A new network with PyTorch's default initialisation, drawn from torch's global generator.

    Raises KeyError for a name that is not in NETWORK_CLASSES.
    """
    return NETWORK_CLASSES[network]()


def num_parameters(network: str) -> int:
    """Number of trainable scalars of a network."""
    with device("meta"):
        return sum(p.numel() for p in build(network).parameters())


def shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in a state dict."""
    return {name: tuple(value.shape) for name, value in state.items()}


def expected_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in the state dict of `network`."""
    with device("meta"):
        return shapes(build(network).state_dict())


def recognise(state: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """The network a bare state dict belongs to, and the state dict under that network's names.

    Names and shapes must be a network's own; the prefixes of DataParallel and `torch.compile`
    are taken off. Layers of other names (an `nn.Sequential` numbers them) are accepted when
    the shapes, in order, are exactly those of one network.
    Raises CheckpointError that says what was expected.
    """
    plain = {_strip(name): value for name, value in state.items()}
    found = shapes(plain)
    for network in NETWORK_CLASSES:
        expected = expected_shapes(network)
        if found == expected:
            return network, plain
    for network in NETWORK_CLASSES:
        expected = expected_shapes(network)
        if list(found.values()) == list(expected.values()):
            return network, dict(zip(expected, plain.values(), strict=True))
    layers = ", ".join(f"{name} {list(shape)}" for name, shape in list(found.items())[:4])
    more = ", ..." if len(found) > 4 else ""
    raise CheckpointError(
        f"no known network has these layers: {layers}{more}",
        f"expected the state dict of one of: {', '.join(map(_outline, NETWORK_CLASSES))}",
    )


def _strip(name: str) -> str:
    for prefix in WRAPPER_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _outline(network: str) -> str:
    weights = [s for name, s in expected_shapes(network).items() if name.endswith("weight")]
    return f"{network} ({len(weights)} layers, first {list(weights[0])})"
