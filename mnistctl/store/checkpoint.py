"""The checkpoint file: one `.pt` that plain torch reads, sealed with a SHA-256 over its bytes.

`torch.load` ignores the zip's checksums, so a flipped bit would load silently. The digest stands
in the zip archive's comment, at the very end of the file: every byte before it is covered, and
`torch.load(path, weights_only=True)` reads the file anywhere, without this package.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnistctl.errors import CheckpointError
from mnistctl.files import reason, write_atomic

FORMAT = "mnistctl-checkpoint"
VERSION = 1
SEAL = b"mnistctl-sha256:"
DIGEST_LENGTH = 64
MAX_BYTES = 1 << 30
"""Files above 1 GiB are refused before they are read; the largest network here takes 15 MB."""

_RETRAIN = "use another checkpoint of the run, or train again"


def save(path: Path, payload: Mapping[str, Any]) -> None:
    """Write `payload` (tensors and built-in types) sealed and atomically to `path`.

    Raises CheckpointError when the disk won't take it; a file that was there is then untouched.
    """
    document = {"format": FORMAT, "version": VERSION, **payload}
    try:
        write_atomic(path, seal(_serialise(document)))
    except OSError as error:
        raise CheckpointError(
            f"can't save {path}: {reason(error)}",
            "what was saved before is intact; free some space or choose another --store",
        ) from error


def load(path: Path) -> dict[str, Any]:
    """The verified payload of a checkpoint written by `save`, or of a bare state dict.

    A bare state dict comes back as it is: a dict of name -> tensor, without the "format" key.
    Tensors are on the CPU. Nothing beyond tensors and built-in types is ever unpickled, no more
    memory is used than a few times the file's size.
    Raises CheckpointError, naming the file, when it is missing, damaged, hostile or too new.
    """
    raw = _read(path)
    sealed = _check_seal(path, raw)
    _check_archive(path, raw)
    _refuse_large_tensors(path, raw)
    document = _unpickle(path, raw, "cpu")
    if "format" not in document:
        return document
    if document["format"] != FORMAT or not isinstance(document.get("version"), int):
        raise CheckpointError(f"{path} is not a checkpoint of this tool")
    if document["version"] > VERSION:
        raise CheckpointError(
            f"{path} was made by a newer mnistctl (format {document['version']}, "
            f"this one reads up to {VERSION})",
            "upgrade: pip install --upgrade mnistctl",
        )
    if not sealed:
        raise CheckpointError(f"{path} is damaged: its SHA-256 seal is missing", _RETRAIN)
    return document


def seal(archive: bytes) -> bytes:
    """`archive` (zip bytes without a comment) with its SHA-256 as the zip's comment."""
    length = (len(SEAL) + DIGEST_LENGTH).to_bytes(2, "little")
    body = archive[:-2] + length + SEAL
    return body + hashlib.sha256(body).hexdigest().encode()


def _serialise(document: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(document), buffer)
    return buffer.getvalue()


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            kind = "is a directory" if path.is_dir() else "is no regular file"
            raise CheckpointError(f"{path} {kind if path.exists() else 'does not exist'}")
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path} is larger than 1 GiB: no checkpoint of this tool")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {reason(error)}") from error


def _check_seal(path: Path, raw: bytes) -> bool:
    """True when the seal is there and fits, False when there is none."""
    body, digest = raw[:-DIGEST_LENGTH], raw[-DIGEST_LENGTH:]
    if not body.endswith(SEAL):
        return False
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CheckpointError(f"{path} is damaged: its bytes don't match their SHA-256", _RETRAIN)
    return True


def _check_archive(path: Path, raw: bytes) -> None:
    """Refuse what is no plain zip of torch's, is damaged, or unpacks to more than it weighs."""
    if not raw.startswith(b"PK\x03\x04"):
        raise CheckpointError(
            f"{path} is not a PyTorch checkpoint (or was saved by PyTorch before 1.6)",
            "expected a .pt file written by mnistctl train or torch.save(model.state_dict(), ...)",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise CheckpointError(f"{path} is refused: torch.save never compresses")
            if sum(entry.file_size for entry in entries) > len(raw):
                raise CheckpointError(f"{path} is refused: it unpacks to more than its size")
            bad = archive.testzip()
    except CheckpointError:
        raise
    except Exception as error:  # zipfile raises half a dozen kinds on hostile bytes
        raise CheckpointError(f"{path} is damaged or truncated: {error}", _RETRAIN) from error
    if bad is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of {bad} is wrong", _RETRAIN)


def _unpickle(path: Path, raw: bytes, device: str) -> dict[str, Any]:
    try:
        document = torch.load(io.BytesIO(raw), map_location=device, weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, KeyError, ...
        cause = str(error).strip().split("\n")[0].split(". ")[0]
        raise CheckpointError(
            f"{path} is refused: it holds more than tensors and plain values, or is damaged",
            f"torch says: {cause[:160]}",
        ) from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise CheckpointError(
            f"{path} holds no dict of names to tensors",
            "expected a file written by mnistctl train or torch.save(model.state_dict(), ...)",
        )
    return document


def _refuse_large_tensors(path: Path, raw: bytes) -> None:
    """Refuse shapes that need more memory than the file has bytes, before any is allocated."""
    document = _unpickle(path, raw, "meta")
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(document))
    # Tensors may share storage (weights and training weights do), hence the factor.
    if claimed > 4 * len(raw):
        raise CheckpointError(f"{path} is refused: its tensors claim {claimed:,} bytes")


def _tensors(document: Any) -> list[Tensor]:
    """All tensors in nested built-in containers; each container is entered once."""
    found: list[Tensor] = []
    seen: set[int] = set()
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, Mapping | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, Mapping) else value
    return found
