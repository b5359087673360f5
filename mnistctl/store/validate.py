"""What a checkpoint's pickle claims to hold, learned without running any unpickler.

An unpickler, even `torch.load(weights_only=True)`, does what it is told: 400 bytes of pickle are
enough for a bytearray of a terabyte, 550 for a key whose hash takes longer than anyone lives. So
a small stack machine reads the operations one by one. It knows those that torch.save writes for
tensors and built-in types, hashes nothing but text and whole numbers, follows no nesting, and
refuses everything else. Source of the format: PyTorch, torch/serialization.py, `_save`.
"""

import math
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mnistctl.text import brief

MAX_PICKLE_BYTES = 4 << 20
MAX_OPCODES = 300_000
"""Enough for ten thousand epochs of metrics; bounds the memory of all containers."""
MAX_DEPTH = 32
MAX_SHARING = 4
"""Tensors may share storage (weights and training weights do): bytes claimed per byte stored."""

DTYPES = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}
"""torch's class of a storage -> the dtype's name in torch, and its bytes."""


class Refused(ValueError):
    """Why a pickle is not read; the text completes the sentence `FILE is refused: it ...`."""


@dataclass(frozen=True)
class Storage:
    """Numbers in a record of their own. `kind` is one of DTYPES, `key` the record's name."""

    kind: str
    key: str
    numel: int

    @property
    def nbytes(self) -> int:
        """Bytes that the record must have."""
        return self.numel * DTYPES[self.kind][1]


@dataclass(frozen=True)
class TensorClaim:
    """A tensor as the pickle describes it, within its storage. Strides count elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that a contiguous copy takes."""
        return math.prod(self.size) * DTYPES[self.storage.kind][1]


@dataclass(frozen=True)
class _Name:
    """A class or function that the pickle asks for; nothing is ever imported."""

    name: str


def validate(pickled: bytes, records: Mapping[str, bytes]) -> Any:
    """The pickled document: dicts, lists, tuples, text, numbers, and a TensorClaim a tensor.

    `records` holds the content of each storage by its key. Every claim has been checked against
    them, no tensor reaches outside its storage, and all together take no more than MAX_SHARING
    times what is stored. Raises Refused.
    """
    if len(pickled) > MAX_PICKLE_BYTES:
        raise Refused("describes its contents in more than 4 MiB")
    try:
        document = _interpret(pickled)
    except Refused:
        raise
    except Exception as error:  # operations that make no sense: genops and the stack raise any kind
        raise Refused(f"holds no readable pickle ({type(error).__name__})") from error
    _check_claims(document, records)
    return document


def _interpret(pickled: bytes) -> Any:
    """What the operations leave on the stack. Raises Refused, or anything on nonsense."""
    stack: list[Any] = []
    marked: list[list[Any]] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        nonlocal stack
        items, stack = stack, marked.pop()
        return items

    argument: Any
    for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        if count > MAX_OPCODES:
            raise Refused("describes too many values")
        match opcode.name:
            case "BINUNICODE" | "BINFLOAT":
                stack.append(argument)
            case "BININT" | "BININT1" | "BININT2" | "LONG1":
                stack.append(_bounded(argument))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
            case "MARK":
                marked.append(stack)
                stack = []
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                items = since_mark()
                stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(opcode.name[-1])
                stack[-size:] = [tuple(_top(stack, size))]
            case "APPEND":
                item = stack.pop()
                _expect(list, stack).append(item)
            case "APPENDS":
                items = since_mark()
                _expect(list, stack).extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set_items(_expect(dict, stack), [key, value])
            case "SETITEMS":
                items = since_mark()
                _set_items(_expect(dict, stack), items)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_known(argument))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                stack.append(_called(called, arguments))
            case "BUILD":
                _check_attributes(stack.pop())
                _expect(dict, stack)
            case "BINPERSID":
                stack.append(_claim_storage(stack.pop()))
            case "PROTO" | "STOP":
                pass
            case name:
                raise Refused(f"uses the pickle operation {name}")
    (document,) = stack
    return document


def _bounded(number: int) -> int:
    if abs(number) >> 64:
        raise Refused("holds a number of more than 64 bits")
    return number


def _top(stack: list[Any], size: int) -> list[Any]:
    if len(stack) < size:
        raise IndexError("an empty stack")
    return stack[-size:]


def _expect(kind: type, stack: list[Any]) -> Any:
    """What is on top of the stack, exactly of `kind`."""
    if type(stack[-1]) is not kind:
        raise TypeError(f"no {kind.__name__} to fill")
    return stack[-1]


def _set_items(target: dict[Any, Any], items: list[Any]) -> None:
    keys = items[::2]
    # Before anything is hashed: that of a tuple within tuples may take for ever.
    if any(type(key) not in (str, int) for key in keys):
        raise Refused("has keys that are neither text nor whole numbers")
    target.update(zip(keys, items[1::2], strict=True))


def _check_attributes(state: Any) -> None:
    """An ordered dict may get the one attribute that `nn.Module.state_dict` adds; it is dropped."""
    if type(state) is not dict or set(state) - {"_metadata"}:
        raise Refused("gives a dict attributes of its own")


def _known(argument: str) -> _Name:
    module, _, name = argument.partition(" ")
    if argument not in _CALLABLES and not (module == "torch" and name in DTYPES):
        raise Refused(f"asks for {brief(f'{module}.{name}')}, more than tensors and plain values")
    return _Name(argument)


def _called(called: Any, arguments: Any) -> Any:
    if (
        not isinstance(called, _Name)
        or called.name not in _CALLABLES
        or type(arguments) is not tuple
    ):
        raise Refused("calls what can't be called")
    return _CALLABLES[called.name](*arguments)


def _claim_storage(described: Any) -> Storage:
    kind, dtype, key, _, numel = described
    well_formed = kind == "storage" and isinstance(dtype, _Name) and isinstance(key, str)
    if not well_formed or dtype.name in _CALLABLES or not key.isdecimal() or not _is_size(numel):
        raise Refused("describes a storage wrongly")
    return Storage(dtype.name.removeprefix("torch "), key, numel)


def _claim_parameter(tensor: Any, requires_grad: Any, hooks: Any) -> TensorClaim:
    if not isinstance(tensor, TensorClaim):
        raise Refused("describes a parameter wrongly")
    return tensor


def _claim_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, meta: Any = None
) -> TensorClaim:
    shaped = type(size) is tuple and type(stride) is tuple and len(size) == len(stride) <= 8
    if not isinstance(storage, Storage) or not shaped:
        raise Refused("describes a tensor wrongly")
    if not all(map(_is_size, (offset, *size, *stride))):
        raise Refused("holds a tensor of a negative or absurd size")
    reach = sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if offset + (1 + reach if math.prod(size) else 0) > storage.numel:
        raise Refused("holds a tensor that is larger than its storage")
    return TensorClaim(storage, offset, size, stride)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _empty_dict() -> dict[Any, Any]:
    return {}


_CALLABLES: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _empty_dict,
    "torch._utils _rebuild_tensor_v2": _claim_tensor,
    "torch._utils _rebuild_parameter": _claim_parameter,
}


def _check_claims(document: Any, records: Mapping[str, bytes]) -> None:
    """Walk the document as a tree: what is shared counts each time, so loops are found, too."""
    storages: dict[str, Storage] = {}
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
                raise Refused(f"describes storage {brief(storage.key)} in two ways")
        elif isinstance(value, dict):
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(item, depth + 1) for item in value]
        elif not isinstance(value, str | int | float | None):
            raise Refused("holds more than tensors and plain values")
    for storage in storages.values():
        if storage.key not in records:
            raise Refused(f"lacks storage {brief(storage.key)}")
        _check_record(storage, records[storage.key])
    if claimed > MAX_SHARING * sum(map(len, records.values())):
        raise Refused(f"holds tensors that claim {claimed:,} bytes")


def _check_record(storage: Storage, record: bytes) -> None:
    if len(record) != storage.nbytes:
        raise Refused(f"claims {storage.nbytes:,} bytes for storage {brief(storage.key)}")
    if storage.kind == "BoolStorage" and record.strip(b"\0\1"):
        raise Refused("holds truth values other than true and false")
