"""Layers that compute the same whether a batch is on one process or spread over several.

`torch.nn.Dropout` draws a mask for the images it is given; here one is drawn for the whole
global batch, from a stream that every process shares, and cut to the shard that is present.
Likewise batch normalisation takes the statistics of the global batch.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

FLOATS_ONLY = ("mps",)
"""Devices that draw no random integers over a type's whole range."""


@dataclass(frozen=True)
class Shard:
    """Which images of a global batch one process has."""

    ranges: tuple[tuple[int, int], ...]
    """First and end of each part of them, in the order in which the process has them."""
    total: int
    """Images of all processes together."""

    def of(self, values: Tensor) -> Tensor:
        """The rows of `values`, (total, ...), that are this shard's."""
        return torch.cat([values[first:end] for first, end in self.ranges])


class Dropout(nn.Module):
    """Dropout (Srivastava et al., JMLR 2014) with masks drawn for the global batch.

    `channelwise` zeroes whole feature maps (Tompson et al., arXiv:1411.4280) of inputs of shape
    (n, channels, height, width). `shard`: which images of the global batch are given; None: all.
    `p` is taken to the nearest 256th.
    """

    def __init__(self, p: float, channelwise: bool = False) -> None:
        super().__init__()
        self.p = p
        self.channelwise = channelwise
        self.shard: Shard | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Input and output of one float shape (n, ...); identity in evaluation mode."""
        if not self.training:
            return x
        total = self.shard.total if self.shard else len(x)
        if x.dim() == 4:
            # Drawn in (n, height, width, channels) order, the layout of channels_last activations.
            n, c, h, w = total, *x.shape[1:]
            size = (n, 1, 1, c) if self.channelwise else (n, h, w, c)
            mask = self._mask(size, x).permute(0, 3, 1, 2)
        else:
            mask = self._mask((total, *x.shape[1:]), x)
        return x * (self.shard.of(mask) if self.shard else mask)

    def _mask(self, size: tuple[int, ...], like: Tensor) -> Tensor:
        """Zeros and what keeps the mean, from a random byte each: a twelfth of the time of floats.

        Every byte is exact also as a bfloat16.
        """
        dropped = round(256 * self.p)
        kept = _random_bytes(size, like.device).to(like.dtype).ge_(dropped)
        return kept.mul_(256 / (256 - dropped))


def _random_bytes(size: tuple[int, ...], device: torch.device) -> Tensor:
    """Whole numbers, 0..255, each as likely: uint8, or float32 on devices of `FLOATS_ONLY`."""
    if device.type in FLOATS_ONLY:
        return torch.rand(size, device=device).mul_(256).floor_()
    count = math.prod(size)
    words = torch.empty(-(-count // 8), dtype=torch.int64, device=device)
    return words.random_(-(2**63), None).view(torch.uint8)[:count].view(size)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe and Szegedy, arXiv:1502.03167) over the global batch.

    On one process it is `torch.nn.BatchNorm2d`. Where `shard` says that the batch is spread over
    processes, mean and variance are those of all its images: one exchange forward, one backward.
    `torch.nn.SyncBatchNorm` does this on GPUs only.
    """

    shard: Shard | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Input and output (n, channels, height, width)."""
        if not self.training or self.shard is None:
            plain: Tensor = super().forward(x)
            return plain
        count = self.shard.total * x.shape[2] * x.shape[3]
        mean, variance = _statistics(x.detach().float(), count)
        self._track(mean, variance * (count / (count - 1)))
        scale = (variance + self.eps).rsqrt()
        result: Tensor = _Normalised.apply(x, self.weight, self.bias, mean, scale, count)
        return result

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Fold a batch's statistics (channels,) into the running ones, as `nn.BatchNorm2d` does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)


def _statistics(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (channels,) of `count` values a channel, spread over processes.

    One exchange: of every process its number, mean and sum of squared deviations, combined as
    by Chan, Golub and LeVeque (1979). A sum of plain squares would lose digits in float32.
    """
    own = values.numel() // values.shape[1]
    mean = values.sum((0, 2, 3)) / max(own, 1)
    deviations = (values - mean[:, None, None]).square().sum((0, 2, 3))
    world_size, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    parts = values.new_zeros(world_size, 3, len(mean))
    parts[rank] = torch.stack([torch.full_like(mean, own), mean, deviations])
    torch.distributed.all_reduce(parts)
    shares, means, squares = parts[:, 0] / count, parts[:, 1], parts[:, 2]
    mean = (shares * means).sum(0)
    return mean, squares.sum(0) / count + (shares * (means - mean).square()).sum(0)


class _Normalised(torch.autograd.Function):
    """(x - mean) * scale * weight + bias, where mean and scale are those of all processes' x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor, count: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.count = count
        normal = (x.float() - mean[:, None, None]) * scale[:, None, None]
        return (normal * weight[:, None, None] + bias[:, None, None]).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        gradient = gradients[0].float()
        normal = (x.float() - mean[:, None, None]) * scale[:, None, None]
        own = torch.stack([(gradient * normal).sum((0, 2, 3)), gradient.sum((0, 2, 3))])
        total = own.clone()
        torch.distributed.all_reduce(total)
        along, level = (total / ctx.count)[:, :, None, None]
        back = (gradient - normal * along - level) * (weight * scale)[:, None, None]
        return back.to(x.dtype), own[0], own[1], None, None, None


def set_shard(model: nn.Module, shard: Shard | None) -> None:
    """Tell every layer of `model` that needs it which part of the global batch comes next."""
    for module in model.modules():
        if isinstance(module, Dropout | BatchNorm):
            module.shard = shard


def log_probabilities(logits: Tensor, rejects: bool) -> Tensor:
    """Of logits (n, classes), float32: (n, classes), and with `rejects` one more column.

    That is the class of outliers, none of the others, whose logit is always 0.
    """
    return (pad(logits, (0, 1)) if rejects else logits).log_softmax(1)


def mean_of_answers(logits: list[Tensor], rejects: bool) -> Tensor:
    """Logits of the mean probabilities of several float32 logits (n, classes).

    With `rejects` that of outliers counts among them, see `log_probabilities`.
    """
    shares = [log_probabilities(own, rejects) for own in logits]
    mean = torch.stack(shares).logsumexp(0) - math.log(len(shares))
    return mean[:, :-1] - mean[:, -1:] if rejects else mean


def prepare_layout(model: nn.Module) -> nn.Module:
    """Channels-last weights: the layout in which convolutions of all devices here are fastest."""
    return model.to(memory_format=torch.channels_last)
