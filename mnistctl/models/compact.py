"""Small batch-normalised networks for this package's own recipes."""

from collections.abc import Collection, Sequence

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from mnistctl.models.layers import BatchNorm
from mnistctl.models.registry import network


class Compact(nn.Module):
    """3x3 convolutions with batch normalisation and one linear layer.

    `channels` are the convolutions' outputs. Those whose 1-based numbers are in `pooled` are
    followed by a 2x2 maximum, those in `strided` move by two pixels. Layers are called
    conv1 bn1 conv2 bn2 ... fc1.

    With `fold` the image is folded 2x2 into four channels first (pixel unshuffle, as in Shi et
    al., arXiv:1609.05158, backwards): convolutions over one channel at full size take much time
    and do little of the work. Two pooled or strided layers then bring 14x14 down to 3x3; without
    `fold` three bring 28x28 there.
    """

    def __init__(
        self,
        num_classes: int,
        channels: Sequence[int],
        pooled: Collection[int],
        strided: Collection[int] = (),
        fold: bool = True,
    ) -> None:
        super().__init__()
        self.fold = fold
        inputs = 4 if fold else 1
        for number, outputs in enumerate(channels, 1):
            stride = 2 if number in strided else 1
            conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", BatchNorm(outputs))
            inputs = outputs
        self.pooled = pooled
        self.num_convolutions = len(channels)
        self.fc1 = nn.Linear(inputs * 3 * 3, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, num_classes)."""
        if self.fold:
            # `pixel_unshuffle` in channels_last layout, and for no images at all: a process whose
            # shard of a small batch is empty takes part all the same.
            x = x.reshape(-1, 14, 2, 14, 2).permute(0, 1, 3, 2, 4).flatten(3).permute(0, 3, 1, 2)
        for number in range(1, self.num_convolutions + 1):
            x = self.get_submodule(f"conv{number}")(x)
            if number in self.pooled:
                x = max_pool2d(x, 2)
            x = relu(self.get_submodule(f"bn{number}")(x), inplace=True)
        # In the order of the channels_last layout, so that flattening copies nothing.
        logits: Tensor = self.fc1(x.permute(0, 2, 3, 1).flatten(1))
        return logits


@network("compact-3")
def compact_3(num_classes: int) -> Compact:
    """Three convolutions, 29,610 parameters."""
    return Compact(num_classes, (16, 32, 64), pooled=(1, 3))


@network("compact-5")
def compact_5(num_classes: int) -> Compact:
    """Five convolutions, 108,810 parameters."""
    return Compact(num_classes, (32, 32, 64, 64, 64), pooled=(5,), strided=(3,))


@network("compact-7")
def compact_7(num_classes: int) -> Compact:
    """Seven convolutions, the first at full size, 265,434 parameters."""
    return Compact(
        num_classes, (16, 48, 48, 48, 96, 96, 96), pooled=(7,), strided=(2, 5), fold=False
    )


@network("compact-7-narrow")
def compact_7_narrow(num_classes: int) -> Compact:
    """As compact-7 with fewer channels, 224,322 parameters."""
    return Compact(
        num_classes, (16, 44, 44, 44, 88, 88, 88), pooled=(7,), strided=(2, 5), fold=False
    )
