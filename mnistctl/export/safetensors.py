"""Weights alone: safetensors, and the bare state dict of the tutorial networks."""

import io
from collections.abc import Mapping

import torch
from torch import Tensor

from mnistctl.engine.inference.predictor import Predictor
from mnistctl.errors import UsageError
from mnistctl.models import classic
from mnistctl.models.registry import networks


def safetensors_bytes(predictor: Predictor, metadata: Mapping[str, str]) -> bytes:
    """The network's state dict as a safetensors file; an ensemble's keys are `members.0.NAME`."""
    from safetensors.torch import save

    return save(_state(predictor), dict(metadata))


def state_dict_bytes(predictor: Predictor) -> bytes:
    """What `torch.save(network.state_dict(), ...)` writes, for the documents' own scripts.

    Raises UsageError for a network that is none of theirs, and for an ensemble.
    """
    documented = [name for name, own in networks().items() if own.__module__ == classic.__name__]
    network = predictor.recipe.network
    if network not in documented or predictor.num_members > 1:
        what = "an ensemble" if predictor.num_members > 1 else f"the network '{network}'"
        raise UsageError(
            f"a bare .pt is for one of the networks {', '.join(documented)}, and this is {what}",
            "export it as .onnx or .safetensors",
        )
    buffer = io.BytesIO()
    torch.save(_state(predictor), buffer)
    return buffer.getvalue()


def _state(predictor: Predictor) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in predictor.network.state_dict().items()}
