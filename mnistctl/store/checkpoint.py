"""The checkpoint file: one `.pt` that plain torch reads, sealed with a SHA-256 over its bytes.

`torch.load` ignores the zip's checksums, so a flipped bit would load silently. The digest stands
in the zip archive's comment, at the very end of the file: every byte before it is covered, and
`torch.load(path, weights_only=True)` reads the file anywhere, without this package.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnistctl.errors import CheckpointError
from mnistctl.files import reason, write_atomic
from mnistctl.store.config import RunConfig
from mnistctl.store.validate import Refused, validate

FORMAT = "mnistctl-checkpoint"
VERSION = 1
SEAL = b"mnistctl-sha256:"
DIGEST_LENGTH = 64
MAX_BYTES = 512 << 20
"""Larger files are refused before they are read; 100 of the largest network take 480 MB."""
MAX_RECORDS = 10_000

_RETRAIN = "use another checkpoint of the run, or train again"
_EXPECTED = "expected a file written by mnistctl train or torch.save(model.state_dict(), ...)"
_PICKLE = "data.pkl"
_STORAGES = "data/"
_PASSED_ON = ("version", "byteorder", ".format_version")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds. Tensors are on the CPU."""

    weights: dict[str, Tensor]
    """The network's state dict; of an ensemble those of all members (`models.ensemble`)."""
    config: RunConfig | None = None
    """None for a bare state dict, which doesn't say."""
    run: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """The record of the epoch that it was saved after."""
    training: Mapping[str, Any] | None = None
    """What a run needs to resume (`engine.training.state`)."""


def save(
    path: Path, checkpoint: Checkpoint, before_replace: Callable[[], None] | None = None
) -> None:
    """Write `checkpoint` sealed and atomically to `path`.

    `before_replace` is called when the new bytes are on the disk and `path` is still the old file.
    Raises CheckpointError when the disk won't take it; a file that was there is then untouched.
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
    try:
        write_atomic(path, seal(_serialise(document)), before_replace)
    except OSError as error:
        raise CheckpointError(
            f"can't save {path}: {reason(error)}",
            "what was saved before is intact; make room, then continue it with --resume",
        ) from error


def load(path: Path) -> Checkpoint:
    """The verified checkpoint that `save` wrote, or a bare state dict.

    Nothing beyond tensors and built-in types is ever unpickled, no more memory is used than a few
    times the file's size.
    Raises CheckpointError, naming the file, when it is missing, damaged, hostile or too new.
    """
    raw = read_bounded(path)
    sealed = _check_seal(path, raw)
    records = _read_archive(path, raw)
    del raw
    try:
        claimed = validate(records[_PICKLE], _stored_bytes(records))
    except Refused as error:
        raise CheckpointError(f"{path} is refused: it {error}", _EXPECTED) from error
    if not isinstance(claimed, dict) or not all(isinstance(key, str) for key in claimed):
        raise CheckpointError(f"{path} holds no dict of names to tensors", _EXPECTED)
    own = "format" in claimed
    if own:
        _check_header(path, claimed, sealed)
    document = _unpickle(path, records)
    return _own(path, document) if own else Checkpoint(_bare(path, document))


def read_bounded(path: Path) -> bytes:
    """The bytes of a file of at most MAX_BYTES. Raises CheckpointError, naming it."""
    try:
        if not path.is_file():
            kind = "is a directory" if path.is_dir() else "is no regular file"
            raise CheckpointError(f"{path} {kind if path.exists() else 'does not exist'}")
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {reason(error)}") from error
    except ValueError as error:  # a NUL in the path
        raise CheckpointError(f"{str(path)!r} can't name a file") from error
    if len(raw) > MAX_BYTES:
        raise CheckpointError(
            f"{path} is refused: larger than {MAX_BYTES >> 20} MiB, no checkpoint of this tool"
        )
    return raw


def seal(archive: bytes) -> bytes:
    """`archive` (zip bytes without a comment) with its SHA-256 as the zip's comment."""
    length = (len(SEAL) + DIGEST_LENGTH).to_bytes(2, "little")
    body = archive[:-2] + length + SEAL
    return body + hashlib.sha256(body).hexdigest().encode()


def _serialise(document: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(document), buffer)
    return buffer.getvalue()


def _check_seal(path: Path, raw: bytes) -> bool:
    """True when the seal is there and fits, False when there is none."""
    body, digest = raw[:-DIGEST_LENGTH], raw[-DIGEST_LENGTH:]
    if not body.endswith(SEAL):
        return False
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CheckpointError(f"{path} is damaged: its bytes don't match their SHA-256", _RETRAIN)
    return True


def _read_archive(path: Path, raw: bytes) -> dict[str, bytes]:
    """The records of torch's zip by name, less the archive's own name, checksums verified.

    Refuses what is no plain zip, is damaged, or unpacks to more than it weighs.
    """
    if not raw:
        raise CheckpointError(f"{path} is empty", _RETRAIN)
    if not raw.startswith(b"PK\x03\x04"):
        raise CheckpointError(
            f"{path} is not a PyTorch checkpoint (or was saved by PyTorch before 1.6)", _EXPECTED
        )
    if raw.count(b"PK\x01\x02") > MAX_RECORDS:  # zipfile makes an object of each such entry
        raise CheckpointError(f"{path} is refused: it holds more than {MAX_RECORDS:,} records")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise CheckpointError(f"{path} is refused: torch.save never compresses", _EXPECTED)
            if sum(entry.file_size for entry in entries) > len(raw):
                raise CheckpointError(f"{path} is refused: it unpacks to more than its size")
            records = {e.filename.partition("/")[2]: archive.read(e) for e in entries}
    except CheckpointError:
        raise
    except Exception as error:  # zipfile raises half a dozen kinds on hostile bytes
        raise CheckpointError(f"{path} is damaged or truncated: {error}", _RETRAIN) from error
    if len(records) != len(entries):
        raise CheckpointError(f"{path} is refused: it holds two records of one name")
    if _PICKLE not in records:
        raise CheckpointError(f"{path} is not a PyTorch checkpoint: it lacks data.pkl", _EXPECTED)
    return records


def _stored_bytes(records: Mapping[str, bytes]) -> dict[str, int]:
    names = [name for name in records if name.startswith(_STORAGES)]
    return {name.removeprefix(_STORAGES): len(records[name]) for name in names}


def _check_header(path: Path, header: Mapping[str, Any], sealed: bool) -> None:
    version = header.get("version")
    if header["format"] != FORMAT or type(version) is not int:
        raise CheckpointError(f"{path} is not a checkpoint of this tool", _EXPECTED)
    if version > VERSION:
        raise CheckpointError(
            f"{path} was made by a newer mnistctl (format {version},"
            f" this one reads up to {VERSION})",
            "upgrade: pip install --upgrade mnistctl",
        )
    if not sealed:
        raise CheckpointError(f"{path} is damaged: its SHA-256 seal is missing", _RETRAIN)


def _unpickle(path: Path, records: Mapping[str, bytes]) -> dict[str, Any]:
    """What torch makes of `records`, in an archive written anew.

    So torch sees what was checked here, even where its zip reader would read the file otherwise.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in records.items():
            if name == _PICKLE or name in _PASSED_ON or name.startswith(_STORAGES):
                archive.writestr(f"archive/{name}", content)
    buffer.seek(0)
    try:
        document = torch.load(buffer, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, KeyError, ...
        cause = str(error).strip().split("\n")[0].split(". ")[0]
        raise CheckpointError(
            f"{path} is refused: it holds more than tensors and plain values, or is damaged",
            f"torch says: {cause[:160]}",
        ) from error
    assert isinstance(document, dict)  # as validated
    return document


def _own(path: Path, document: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint in `document`; refuses what the rest of the program could stumble over."""
    try:
        config = RunConfig.from_dict(document["config"])
        run, metrics, weights = document["run"], document["metrics"], document["weights"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} lacks what a checkpoint needs: {error}", "made by another version of this tool"
        ) from error
    training = document.get("training")
    mappings = isinstance(metrics, dict) and isinstance(training, dict | None)
    if not (_is_state_dict(weights) and mappings and isinstance(run, str)):
        raise CheckpointError(f"{path} is refused: its contents are of the wrong kinds", _RETRAIN)
    return Checkpoint(weights, config, run, metrics, training)


def _bare(path: Path, document: dict[str, Any]) -> dict[str, Tensor]:
    """The state dict in `document`, or under one of the usual keys in it."""
    state = document
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state.get(key), dict):
            state = state[key]
    if not state or not _is_state_dict(state):
        raise CheckpointError(
            f"{path} is neither a checkpoint of this tool nor a bare state dict", _EXPECTED
        )
    return state


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in value.items()
    )
