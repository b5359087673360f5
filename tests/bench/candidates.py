"""Networks that no recipe has yet, by name: candidates for `python -m tests.bench folds`."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from mnistctl.models.layers import BatchNorm
from mnistctl.models.registry import Builder, build, network


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


class Staged(nn.Module):
    """Stages of 3x3 convolutions, batch-normalised, with a 2x2 pooling between stages.

    `stages` are the convolutions' channels. With `fold` the first stage has the image folded into
    four channels of 14x14, as Compact has it. Pooling takes the mean, of `average`, or the
    maximum. `squeeze` weighs the channels of each stage (Hu et al., arXiv:1709.01507), by an
    eighth of them; `residual` adds its input to each convolution that has as many outputs (He et
    al., arXiv:1512.03385). The linear layer has 3x3 places of the last stage's maxima; with
    `everywhere` the maximum and the mean of each channel (as Matuzas77/MNIST-0.17).
    """

    def __init__(
        self,
        num_classes: int,
        stages: Sequence[Sequence[int]],
        fold: bool = True,
        average: bool = False,
        squeeze: bool = False,
        residual: bool = False,
        everywhere: bool = False,
    ) -> None:
        super().__init__()
        self.fold, self.average, self.everywhere = fold, average, everywhere
        inputs = 4 if fold else 1
        parts: list[nn.Module] = []
        for channels in stages:
            convolutions: list[nn.Module] = []
            for outputs in channels:
                layer = Convolution(inputs, outputs, residual and inputs == outputs)
                convolutions.append(layer)
                inputs = outputs
            if squeeze:
                convolutions.append(Squeeze(inputs))
            parts.append(nn.Sequential(*convolutions))
        self.stages = nn.ModuleList(parts)
        self.fc1 = nn.Linear(inputs * (2 if everywhere else 9), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, num_classes)."""
        if self.fold:
            x = x.reshape(-1, 14, 2, 14, 2).permute(0, 1, 3, 2, 4).flatten(3).permute(0, 3, 1, 2)
        for number, stage in enumerate(self.stages):
            if number:
                x = avg_pool2d(x, 2) if self.average else max_pool2d(x, 2)
            x = stage(x)
        if self.everywhere:
            return self.fc1(torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1))  # type: ignore[no-any-return]
        return self.fc1(max_pool2d(x, 2).permute(0, 2, 3, 1).flatten(1))  # type: ignore[no-any-return]


class Erased(nn.Module):
    """A network that in training sees a rectangle of some images as black.

    Random erasing (Zhong et al., arXiv:1708.04896), of one image in three, sides of 3 to 10 pixels.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, num_classes)."""
        if self.training:
            sides = 3 + 7 * torch.rand(2, len(x), 1, device=x.device)
            starts = (28 - sides) * torch.rand_like(sides)
            pixels = torch.arange(28, device=x.device)
            down, across = (pixels >= starts.round()) & (pixels < (starts + sides).round())
            some = torch.rand(len(x), device=x.device) < 1 / 3
            hidden = (down[:, :, None] & across[:, None, :] & some[:, None, None])[:, None]
            x = x.where(~hidden, x.amin())
        logits: Tensor = self.network(x)
        return logits


class Convolution(nn.Module):
    """3x3, batch normalisation and ReLU; with `residual` plus its input."""

    def __init__(self, inputs: int, outputs: int, residual: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn = BatchNorm(outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, side, side) -> (n, outputs, side, side)."""
        own = relu(self.bn(self.conv(x)), inplace=True)
        return own + x if self.residual else own


class Squeeze(nn.Module):
    """Each channel times a number of 0..1 that is a function of all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // 8)
        self.fc2 = nn.Linear(channels // 8, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, side, side) -> the same."""
        weights = self.fc2(relu(self.fc1(x.mean((2, 3))))).sigmoid()
        return x * weights[:, :, None, None]


def register_candidates() -> None:
    """Make the candidates known by their names."""
    for name, builder in CANDIDATES.items():
        network(name)(builder)


STANDARD = (32, 32), (64, 64, 64)
"""The channels of `standard`."""
UNFOLDED = (16, 16), *STANDARD
"""At 28x28 pixels before."""
ACCURATE = (48, 48, 48), (96, 96, 96)
"""Those of `accurate`, but for its first convolution."""
FULL = (16, 16), *ACCURATE
"""At 28x28 pixels before."""
CANDIDATES: dict[str, Builder] = {
    "unpadded-3x3": lambda n: Unpadded(n, 3, (16, 32, 32, 32, 64, 64, 64, 64, 64, 64)),
    "unpadded-5x5": lambda n: Unpadded(n, 5, (32, 32, 64, 64, 96)),
    "unpadded-7x7": lambda n: Unpadded(n, 7, (16, 32, 64, 128)),
    "staged": partial(Staged, stages=STANDARD),
    "staged-average": partial(Staged, stages=STANDARD, average=True),
    "staged-unfolded": partial(Staged, stages=UNFOLDED, fold=False),
    "unfolded-average": partial(Staged, stages=UNFOLDED, fold=False, average=True),
    "unfolded-everywhere": partial(Staged, stages=UNFOLDED, fold=False, everywhere=True),
    "unfolded-squeeze": partial(Staged, stages=UNFOLDED, fold=False, squeeze=True),
    "unfolded-residual": partial(Staged, stages=UNFOLDED, fold=False, residual=True),
    "compact-5-erased": lambda n: Erased(build("compact-5", n)),
    "staged-full": partial(Staged, stages=FULL, fold=False),
    "full-average": partial(Staged, stages=FULL, fold=False, average=True),
}
