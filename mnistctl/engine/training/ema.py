"""An average of a network's weights over its training, in place of the last ones."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mnistctl.engine.inference.predictor import autocast
from mnistctl.models.layers import BatchNorm, set_shard


class Average:
    """Exponential moving average of a network's parameters (Polyak and Juditsky, 1992).

    `decay` is that of one step; it grows towards its value in the first steps, so that the
    initial weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def update(self, model: nn.Module, steps: int) -> None:
        """Take in the parameters after the `steps`th step, counted from 1."""
        weight = 1.0 - min(self.decay, steps / (steps + 10.0))
        torch._foreach_lerp_(self.values, list(model.parameters()), weight)

    def load(self, values: list[Tensor]) -> None:
        """Take over saved `values`. Raises ValueError when they don't fit."""
        for own, saved in zip(self.values, values, strict=True):
            if own.shape != saved.shape:
                raise ValueError("the average of the weights has another shape")
            own.copy_(saved)

    @torch.no_grad()
    def network(
        self, model: nn.Module, batches: Iterable[Tensor], precision: str = "fp32"
    ) -> nn.Module:
        """A copy of `model` with the averaged parameters, its batch statistics taken anew.

        Batch normalisation's running means belong to the weights they were measured with; here
        they are the mean over all images of `batches`, network inputs (n, 1, 28, 28) as in
        training (Izmailov et al., arXiv:1803.05407, section 3.2).
        """
        network = copy.deepcopy(model)
        set_shard(network, None)
        for parameter, value in zip(network.parameters(), self.values, strict=True):
            parameter.copy_(value)
        layers = [layer for layer in network.modules() if isinstance(layer, BatchNorm)]
        momenta = [layer.momentum for layer in layers]
        for layer in layers:
            layer.reset_running_stats()
        network.train()
        seen = 0
        for batch in batches if layers else ():
            seen += len(batch)
            for layer in layers:
                layer.momentum = len(batch) / seen  # a short batch counts for as much as it has
            with autocast(batch.device, precision):
                network(batch)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        return network.eval()
