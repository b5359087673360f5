"""Layers that compute the same whether a batch is on one process or spread over several.

`torch.nn.Dropout` draws a mask for the images it is given; here one is drawn for the whole
global batch, from a stream that every process shares, and cut to the share that is present.
"""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout (Srivastava et al., JMLR 2014) with masks drawn for the global batch.

    `channelwise` zeroes whole feature maps (Tompson et al., arXiv:1411.4280) of inputs of shape
    (n, channels, height, width). `share` = (first, total): the n images given are those from
    `first` on in a global batch of `total`; None: they are the whole batch.
    """

    def __init__(self, p: float, channelwise: bool = False) -> None:
        super().__init__()
        self.p = p
        self.channelwise = channelwise
        self.share: tuple[int, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Input and output of one float shape (n, ...); identity in evaluation mode."""
        if not self.training:
            return x
        first, total = self.share or (0, len(x))
        keep = 1.0 - self.p
        if x.dim() == 4:
            # Drawn in (n, height, width, channels) order, the layout of channels_last activations.
            n, c, h, w = total, *x.shape[1:]
            size = (n, 1, 1, c) if self.channelwise else (n, h, w, c)
            mask = torch.empty(size, dtype=x.dtype, device=x.device)
            mask = mask.bernoulli_(keep).div_(keep).permute(0, 3, 1, 2)
        else:
            mask = torch.empty((total, *x.shape[1:]), dtype=x.dtype, device=x.device)
            mask = mask.bernoulli_(keep).div_(keep)
        return x * mask[first : first + len(x)]


def set_share(model: nn.Module, share: tuple[int, int] | None) -> None:
    """Tell every layer of `model` that needs it which part of the global batch comes next."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.share = share
