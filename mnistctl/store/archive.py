"""The zip archive that torch.save writes, read without torch, and the seal over its bytes.

`torch.load` ignores the zip's checksums, so a flipped bit would load silently. The digest stands
in the archive's comment, at the very end of the file: every byte before it is covered, and
`torch.load(path, weights_only=True)` reads the file anywhere, without this package.
"""

import hashlib
import io
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistctl.errors import CheckpointError
from mnistctl.files import read_regular, reason
from mnistctl.store.validate import DTYPES, Refused, TensorClaim, validate
from mnistctl.text import brief

if TYPE_CHECKING:
    from torch import Tensor

SEAL = b"mnistctl-sha256:"
DIGEST_LENGTH = 64
MAX_BYTES = 512 << 20
"""Larger files are refused before they are read; 100 of the largest network take 480 MB."""
MAX_RECORDS = 10_000

RETRAIN = "use another checkpoint of the run, or train again"
EXPECTED = "expected a file written by mnistctl train or torch.save(model.state_dict(), ...)"
_PICKLE, _BYTE_ORDER, _STORAGES = "data.pkl", "byteorder", "data/"
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True)
class Archive:
    """A verified archive: what it describes, the bytes of each storage, and whether it is sealed.

    `claimed` is a dict whose keys are text; it has a TensorClaim in place of each tensor.
    """

    claimed: dict[str, Any]
    storages: dict[str, bytes]
    sealed: bool


def read_archive(path: Path) -> Archive:
    """Read and verify a file of torch.save. Takes a few times the file's size in memory.

    Raises CheckpointError, naming the file, when it is missing, damaged or hostile.
    """
    raw = read_model_file(path)
    sealed = _check_seal(path, raw)
    records = _records(path, raw)
    if records.get(_BYTE_ORDER, b"little") != sys.byteorder.encode():
        raise CheckpointError(f"{path} was saved on a machine of another byte order", EXPECTED)
    names = [name for name in records if name.startswith(_STORAGES)]
    storages = {name.removeprefix(_STORAGES): records[name] for name in names}
    try:
        claimed = validate(records[_PICKLE], storages)
    except Refused as error:
        raise CheckpointError(f"{path} is refused: it {error}", EXPECTED) from error
    if not isinstance(claimed, dict) or not all(isinstance(key, str) for key in claimed):
        raise CheckpointError(f"{path} holds no dict of names to tensors", EXPECTED)
    return Archive(claimed, storages, sealed)


def read_model_file(path: Path) -> bytes:
    """The content of a file of at most MAX_BYTES. Raises CheckpointError, naming it."""
    try:
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {reason(error)}") from error


def seal(archive: bytes) -> bytes:
    """`archive` (zip bytes without a comment) with its SHA-256 as the zip's comment."""
    length = (len(SEAL) + DIGEST_LENGTH).to_bytes(2, "little")
    body = archive[:-2] + length + SEAL
    return body + hashlib.sha256(body).hexdigest().encode()


def with_tensors(path: Path, value: Any, storages: Mapping[str, bytes]) -> Any:
    """`value`, of what the archive `path` describes, with its tensors, on the CPU.

    Tensors of one storage share memory, as they did when they were saved.
    Raises CheckpointError, naming the tensor, where a number is infinite or none, or too large
    for float32, in which networks compute.
    """
    import torch

    memory: dict[str, torch.UntypedStorage] = {}

    def tensor(name: str, claim: TensorClaim) -> "Tensor":
        dtype = getattr(torch, DTYPES[claim.storage.kind][0])
        if (key := claim.storage.key) not in memory:
            content = bytearray(storages[key]) or bytearray(8)
            memory[key] = torch.frombuffer(content, dtype=torch.uint8).untyped_storage()
        own = torch.empty(0, dtype=dtype)
        own.set_(memory[key], claim.offset, claim.size, claim.stride)
        if own.is_floating_point() and not bool(own.float().isfinite().all()):
            raise CheckpointError(
                f"{path} is refused: numbers in '{brief(name)}' are not finite", RETRAIN
            )
        return own

    def filled(name: str, value: Any) -> Any:
        if isinstance(value, TensorClaim):
            return tensor(name, value)
        if isinstance(value, dict):
            return {key: filled(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(filled(name, item) for item in value)
        return value

    return filled("", value)


def _check_seal(path: Path, raw: bytes) -> bool:
    """True when the seal is there and fits, False when there is none."""
    body, digest = raw[:-DIGEST_LENGTH], raw[-DIGEST_LENGTH:]
    if not body.endswith(SEAL):
        return False
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CheckpointError(f"{path} is damaged: its bytes don't match their SHA-256", RETRAIN)
    return True


def _records(path: Path, raw: bytes) -> dict[str, bytes]:
    """The records of the zip by name, less the archive's own name, checksums verified.

    Refuses what is no plain zip, is damaged, or unpacks to more than it weighs.
    """
    if not raw:
        raise CheckpointError(f"{path} is empty", RETRAIN)
    if not raw.startswith(b"PK\x03\x04"):
        raise CheckpointError(
            f"{path} is not a PyTorch checkpoint (or was saved by PyTorch before 1.6)", EXPECTED
        )
    if raw.count(b"PK\x01\x02") > MAX_RECORDS:  # zipfile makes an object of each such entry
        raise CheckpointError(f"{path} is refused: it holds more than {MAX_RECORDS:,} records")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            _check_entries(path, entries, len(raw))
            records = {e.filename.partition("/")[2]: archive.read(e) for e in entries}
    except CheckpointError:
        raise
    except Exception as error:  # zipfile raises half a dozen kinds on hostile bytes
        raise CheckpointError(f"{path} is damaged or truncated: {brief(error)}", RETRAIN) from error
    if len(records) != len(entries):
        raise CheckpointError(f"{path} is refused: it holds two records of one name")
    if _PICKLE not in records:
        raise CheckpointError(f"{path} is not a PyTorch checkpoint: it lacks data.pkl", EXPECTED)
    return records


def _check_entries(path: Path, entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse what torch.save never writes, before any record is unpacked."""
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{path} is refused: torch.save never compresses", EXPECTED)
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(f"{path} is refused: it unpacks to more than its size")
    for entry, following in pairwise(sorted(entries, key=lambda entry: entry.header_offset)):
        end = entry.header_offset + _LOCAL_HEADER_BYTES + entry.file_size
        if following.header_offset < end:
            raise CheckpointError(f"{path} is refused: its records overlap")
