"""Networks that no recipe has yet, by name: candidates for `python -m tests.bench folds`."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from mnistctl.models.layers import BatchNorm
from mnistctl.models.registry import Builder, network


class Unpadded(nn.Module):
    """Convolutions without padding or pooling, batch-normalised, and one linear layer.

    Nothing but the kernels' edges reduces the resolution: 28x28 pixels become 8x8 after five 5x5
    convolutions, as An et al. (arXiv:2008.10400) have it with two to six times the channels.
    """

    def __init__(self, num_classes: int, kernel: int, channels: Sequence[int]) -> None:
        super().__init__()
        inputs = 1
        for number, outputs in enumerate(channels, 1):
            self.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, kernel, bias=False))
            self.add_module(f"bn{number}", BatchNorm(outputs))
            inputs = outputs
        self.num_convolutions = len(channels)
        side = 28 - len(channels) * (kernel - 1)
        self.fc1 = nn.Linear(inputs * side * side, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, num_classes)."""
        for number in range(1, self.num_convolutions + 1):
            x = self.get_submodule(f"conv{number}")(x)
            x = relu(self.get_submodule(f"bn{number}")(x), inplace=True)
        logits: Tensor = self.fc1(x.permute(0, 2, 3, 1).flatten(1))
        return logits


def register_candidates() -> None:
    """Make the candidates known by their names."""
    for name, builder in CANDIDATES.items():
        network(name)(builder)


CANDIDATES: dict[str, Builder] = {
    "unpadded-3x3": lambda n: Unpadded(n, 3, (16, 32, 32, 32, 64, 64, 64, 64, 64, 64)),
    "unpadded-5x5": lambda n: Unpadded(n, 5, (32, 32, 64, 64, 96)),
    "unpadded-7x7": lambda n: Unpadded(n, 7, (16, 32, 64, 128)),
}
"""Of 267,898, 395,626 and 548,602 parameters."""
