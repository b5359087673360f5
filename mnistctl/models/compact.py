"""Small batch-normalised networks for this package's own recipes.

The image is folded 2x2 into four channels first (pixel unshuffle, as in Shi et al.,
arXiv:1609.05158, backwards): convolutions over one channel at full size would take most of the
time and do little of the work.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pixel_unshuffle, relu

from mnistctl.models.layers import BatchNorm


class Compact(nn.Module):
    """3x3 convolutions with batch normalisation, two of them pooled, and one linear layer.

    `channels` are the convolutions' outputs; those whose 1-based numbers are in `pooled` halve
    the height and width. Layers are called conv1 bn1 conv2 bn2 ... fc1.
    """

    def __init__(self, channels: Sequence[int], pooled: tuple[int, int]) -> None:
        super().__init__()
        inputs = 4
        for number, outputs in enumerate(channels, 1):
            conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", BatchNorm(outputs))
            inputs = outputs
        self.pooled = pooled
        self.num_convolutions = len(channels)
        self.fc1 = nn.Linear(inputs * 3 * 3, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, 10)."""
        x = pixel_unshuffle(x, 2)
        for number in range(1, self.num_convolutions + 1):
            x = self.get_submodule(f"conv{number}")(x)
            if number in self.pooled:
                x = max_pool2d(x, 2)
            x = relu(self.get_submodule(f"bn{number}")(x), inplace=True)
        # In the order of the channels_last layout, so that flattening copies nothing.
        logits: Tensor = self.fc1(x.permute(0, 2, 3, 1).flatten(1))
        return logits


def fast() -> Compact:
    """Three convolutions, 62,538 parameters."""
    return Compact((32, 64, 64), pooled=(1, 3))
