"""What a checkpoint's pickle claims to hold, learned before torch builds any of it.

`torch.load(weights_only=True)` runs no code, but it allocates whatever it is asked for: 400 bytes
of pickle are enough for a bytearray of a terabyte, a stored size may exceed its record, a shape
its storage. So the pickle is read once with inert stand-ins for the few things a state dict needs;
everything else is refused. Source of the format: PyTorch, torch/serialization.py, `_save`.
"""

import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

MAX_PICKLE_BYTES = 4 << 20
MAX_OPCODES = 300_000
"""Enough for ten thousand epochs of metrics; bounds the memory of all containers."""
MAX_DEPTH = 32
MAX_SHARING = 4
"""Tensors may share storage (weights and training weights do): bytes claimed per byte stored."""

# What torch.save writes for tensors and built-in types; the C unpickler's other opcodes can ask
# for memory (LONG_BINPUT of a huge index, too, hence its check) or reach more of Python.
_OPCODES = re.compile(
    "PROTO|GLOBAL|(LONG_)?BIN(PUT|GET)|MARK|EMPTY_(DICT|LIST|TUPLE)|TUPLE[123]?|BINUNICODE"
    "|BININT[12]?|LONG1|BINFLOAT|NONE|NEW(TRUE|FALSE)|APPENDS?|SETITEMS?|REDUCE|BUILD|BINPERSID"
    "|STOP"
)
_ITEM_BYTES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}


class Refused(ValueError):
    """Why a pickle is not read; the text completes the sentence `FILE is refused: it ...`."""


@dataclass(frozen=True)
class _Dtype:
    name: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * _ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class TensorClaim:
    """A tensor as the pickle describes it."""

    storage: _Storage
    numel: int

    @property
    def nbytes(self) -> int:
        """Bytes that a contiguous copy takes."""
        return self.numel * _ITEM_BYTES[self.storage.dtype]


class _OrderedDict(OrderedDict[Any, Any]):
    """Takes the one attribute that `nn.Module.state_dict` adds, and no other."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict) or set(state) - {"_metadata"}:
            raise Refused("gives a dict attributes of its own")


def validate(pickled: bytes, records: Mapping[str, int]) -> Any:
    """The pickled document with every tensor replaced by a TensorClaim.

    `records` holds the stored bytes of each storage by its key. Every claim has been checked
    against them, no tensor reaches outside its storage, and all together take no more than
    MAX_SHARING times what is stored. Raises Refused.
    """
    _check_opcodes(pickled)
    try:
        document = _InertUnpickler(BytesIO(pickled)).load()
    except Refused:
        raise
    except Exception as error:  # a pickle that makes no sense: any kind
        raise Refused(f"can't be unpickled ({type(error).__name__})") from error
    _check_claims(document, records)
    return document


def _check_opcodes(pickled: bytes) -> None:
    if len(pickled) > MAX_PICKLE_BYTES:
        raise Refused("describes its contents in more than 4 MiB")
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
            if not _OPCODES.fullmatch(opcode.name):
                raise Refused(f"uses the pickle operation {opcode.name}")
            if count > MAX_OPCODES:
                raise Refused("describes too many values")
            number = argument if isinstance(argument, int) else 0
            if opcode.name == "LONG_BINPUT" and number > MAX_OPCODES:
                raise Refused("numbers its values too high")
            if abs(number) >> 64:
                raise Refused("holds a number of more than 64 bits")
    except Refused:
        raise
    except Exception as error:  # genops raises ValueError and more on bytes that are no pickle
        raise Refused("holds no readable pickle") from error


class _InertUnpickler(pickle.Unpickler):
    """Knows five names, none of which does anything."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name. Raises Refused."""
        if (module, name) == ("collections", "OrderedDict"):
            return _new_ordered_dict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _claim_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _claim_parameter
        if module == "torch" and name in _ITEM_BYTES:
            return _Dtype(name)
        raise Refused(f"asks for {module}.{name}, more than tensors and plain values")

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that `pid` describes. Raises Refused."""
        kind, dtype, key, _, numel = pid
        well_formed = kind == "storage" and isinstance(dtype, _Dtype) and isinstance(key, str)
        if not well_formed or not key.isdecimal() or not _is_size(numel):
            raise Refused("describes a storage wrongly")
        return _Storage(dtype.name, key, numel)


def _new_ordered_dict() -> _OrderedDict:
    return _OrderedDict()


def _claim_parameter(tensor: TensorClaim, requires_grad: bool, hooks: Any) -> TensorClaim:
    if not isinstance(tensor, TensorClaim):
        raise Refused("describes a parameter wrongly")
    return tensor


def _claim_tensor(
    storage: _Storage, offset: int, size: Any, stride: Any, grad: bool, hooks: Any, meta: Any = None
) -> TensorClaim:
    shaped = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)
    if not isinstance(storage, _Storage) or not shaped or len(size) > 8:
        raise Refused("describes a tensor wrongly")
    if not all(map(_is_size, (offset, *size, *stride))):
        raise Refused("holds a tensor of a negative or absurd size")
    numel = math.prod(size)
    extent = 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if numel else 0
    if offset + extent > storage.numel:
        raise Refused("holds a tensor that is larger than its storage")
    return TensorClaim(storage, numel)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _check_claims(document: Any, records: Mapping[str, int]) -> None:
    """Walk the document as a tree: what is shared counts each time, so loops are found, too."""
    storages: dict[str, _Storage] = {}
    values = claimed = 0
    waiting = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        values += 1
        if values > MAX_OPCODES or depth > MAX_DEPTH:
            raise Refused("is nested too deeply or endlessly")
        if isinstance(value, TensorClaim):
            storage, claimed = value.storage, claimed + value.nbytes
            if storages.setdefault(storage.key, storage) != storage:
                raise Refused(f"describes storage {storage.key} in two ways")
            if records.get(storage.key) != storage.nbytes:
                raise Refused(f"claims {storage.nbytes:,} bytes for storage {storage.key}")
        elif isinstance(value, dict):
            waiting += [(item, depth + 1) for pair in value.items() for item in pair]
        elif isinstance(value, list | tuple):
            waiting += [(item, depth + 1) for item in value]
        elif not isinstance(value, str | int | float | None):
            raise Refused("holds more than tensors and plain values")
    if claimed > MAX_SHARING * sum(records.values()):
        raise Refused(f"holds tensors that claim {claimed:,} bytes")
