"""The checkpoint file: one `.pt` that plain torch reads, sealed with a SHA-256 over its bytes."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistctl.errors import CheckpointError
from mnistctl.files import explained, write_atomic
from mnistctl.store.archive import (
    EXPECTED,
    MAX_BYTES,
    RETRAIN,
    Archive,
    read_archive,
    seal,
    with_tensors,
)
from mnistctl.store.config import RunConfig
from mnistctl.store.metrics import ROOM_HINT
from mnistctl.store.validate import TensorClaim
from mnistctl.text import brief

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "mnistctl-checkpoint"
VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds. Tensors are on the CPU."""

    weights: "dict[str, Tensor]"
    """The network's state dict; of an ensemble those of all members (`models.ensemble`)."""
    config: RunConfig | None = None
    """None for a bare state dict, which doesn't say."""
    run: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """The record of the epoch that it was saved after."""
    training: Mapping[str, Any] | None = None
    """What a run needs to resume (`engine.training.state`)."""
    scales: "Mapping[str, Tensor]" = field(default_factory=dict)
    """In a file, of weights quantised to int8: a factor for each output channel, float32.

    Output channels are the first dimension. Once loaded there are none.
    """


def save(
    path: Path, checkpoint: Checkpoint, before_replace: Callable[[], None] | None = None
) -> None:
    """Write `checkpoint` sealed and atomically to `path`.

    `before_replace` is called when the new bytes are on the disk and `path` is still the old file.
    Raises CheckpointError when the disk won't take it, or it would be too large to be read; a file
    that was there is then untouched.
    """
    assert checkpoint.config is not None
    document = {
        "format": FORMAT,
        "version": VERSION,
        "run": checkpoint.run,
        "config": checkpoint.config.to_dict(),
        "metrics": dict(checkpoint.metrics),
        "weights": checkpoint.weights,
    }
    if checkpoint.training is not None:
        document["training"] = dict(checkpoint.training)
    if checkpoint.scales:
        document["scales"] = dict(checkpoint.scales)
    content = seal(_serialise(document))
    if len(content) > MAX_BYTES:
        raise CheckpointError(
            f"can't save {path}: it would have {len(content) >> 20:,} MiB,"
            f" and files of more than {MAX_BYTES >> 20} are never read",
            "train a smaller network",
        )
    with explained(f"can't save {path}", CheckpointError, ROOM_HINT):
        write_atomic(path, content, before_replace)


def load(path: Path) -> Checkpoint:
    """The verified checkpoint that `save` wrote, or a bare state dict.

    No unpickler ever runs, no more memory is used than a few times the file's size.
    Raises CheckpointError, naming the file, when it is missing, damaged, hostile or too new, or
    holds numbers that are not finite.
    """
    archive = read_archive(path)
    found = _described(path, archive)
    keys = ("weights", "metrics", "training", "scales")
    parts = {key: getattr(found, key) for key in keys}
    return _dequantised(path, replace(found, **with_tensors(path, parts, archive.storages)))


def quantised(weights: "Mapping[str, Tensor]") -> "tuple[dict[str, Tensor], dict[str, Tensor]]":
    """Weights of two and more dimensions quantised to int8, symmetrically, and their scales.

    The scale of an output channel is its largest absolute value over 127, so that a weight is off
    by at most half of that. Weights of one dimension are as they were.
    """
    import torch

    scales = {
        name: tensor.float().flatten(1).abs().amax(1).clamp_min(1e-30) / 127
        for name, tensor in weights.items()
        if tensor.dim() > 1
    }
    small = {
        name: (tensor / _by_channel(scales[name], tensor)).round().to(torch.int8)
        for name, tensor in weights.items()
        if name in scales
    }
    return dict(weights) | small, scales


def inspect(path: Path) -> Checkpoint:
    """What is in the file, with a TensorClaim in place of each tensor: needs no torch.

    Quantised weights are as they are stored, with their scales.

    Raises CheckpointError as `load` does, but for numbers that are not finite.
    """
    return _described(path, read_archive(path))


def _dequantised(path: Path, found: Checkpoint) -> Checkpoint:
    """`found` with float32 weights. Raises CheckpointError where one would be infinite."""
    weights = dict(found.weights)
    for name, scale in found.scales.items():
        if not bool((128 * scale).isfinite().all()):
            raise CheckpointError(
                f"{path} is refused: numbers in '{brief(name)}' are not finite", RETRAIN
            )
        weights[name] = weights[name].float().mul_(_by_channel(scale, weights[name]))
    return replace(found, weights=weights, scales={})


def _by_channel(scale: "Tensor", tensor: "Tensor") -> "Tensor":
    """`scale`, (channels,), so that it broadcasts over `tensor`, (channels, ...)."""
    return scale.view(-1, *[1] * (tensor.dim() - 1))


def _serialise(document: Mapping[str, Any]) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(dict(document), buffer)
    return buffer.getvalue()


def _described(path: Path, archive: Archive) -> Checkpoint:
    if "format" not in archive.claimed:
        return Checkpoint(_bare(path, archive.claimed))
    _check_header(path, archive.claimed, archive.sealed)
    return _own(path, archive.claimed)


def _check_header(path: Path, header: Mapping[str, Any], sealed: bool) -> None:
    version = header.get("version")
    if header["format"] != FORMAT or type(version) is not int:
        raise CheckpointError(f"{path} is not a checkpoint of this tool", EXPECTED)
    if version > VERSION:
        raise CheckpointError(
            f"{path} was made by a newer mnistctl (format {version},"
            f" this one reads up to {VERSION})",
            "upgrade mnistctl, or train again",
        )
    if not sealed:
        raise CheckpointError(f"{path} is damaged: its SHA-256 seal is missing", RETRAIN)


def _own(path: Path, document: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint in `document`; refuses what the rest of the program could stumble over."""
    try:
        config = RunConfig.from_dict(document["config"])
        run, metrics, weights = document["run"], document["metrics"], document["weights"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} lacks what a checkpoint needs: {brief(error)}",
            "made by another version of this tool",
        ) from error
    training, scales = document.get("training"), document.get("scales", {})
    mappings = isinstance(metrics, dict) and isinstance(training, dict | None)
    states = _is_state_dict(weights) and _is_state_dict(scales)
    if not (states and mappings and isinstance(run, str)):
        raise CheckpointError(f"{path} is refused: its contents are of the wrong kinds", RETRAIN)
    _check_scales(path, scales, weights)
    return Checkpoint(weights, config, run, metrics, training, scales)


def _check_scales(
    path: Path, scales: Mapping[str, TensorClaim], weights: Mapping[str, TensorClaim]
) -> None:
    """Refuse scales of what is not quantised, and weights that would grow by more than 4 times.

    Each quantised tensor is the whole of a storage of its own.
    """
    storages: set[str] = set()
    for name, scale in scales.items():
        own = weights.get(name)
        if own is None or not _fits(scale, own) or own.storage.key in storages:
            raise CheckpointError(
                f"{path} is refused: '{brief(name)}' is not int8 with a scale per channel", RETRAIN
            )
        storages.add(own.storage.key)


def _fits(scale: TensorClaim, own: TensorClaim) -> bool:
    """Whether `scale` has a factor for each output channel of quantised weights."""
    kinds = (own.storage.kind, scale.storage.kind)
    whole = own.nbytes == own.storage.nbytes
    channels = bool(own.size) and scale.size == own.size[:1]
    return kinds == ("CharStorage", "FloatStorage") and whole and channels


def _bare(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The state dict in `document`, or under one of the usual keys in it."""
    state = document
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state.get(key), dict):
            state = state[key]
    if not state or not _is_state_dict(state):
        raise CheckpointError(
            f"{path} is neither a checkpoint of this tool nor a bare state dict", EXPECTED
        )
    return state


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(item, TensorClaim) for key, item in value.items()
    )
