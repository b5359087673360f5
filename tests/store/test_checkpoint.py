"""No bad checkpoint is believed: every damage is refused by name, nothing hostile does anything."""

import contextlib
import hashlib
import io
import math
import os
import pickle
import random
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs_made import CONFIG, document_at, saved, sealed

from mnistctl.errors import CheckpointError
from mnistctl.models.registry import build
from mnistctl.store import archive as archive_module
from mnistctl.store import checkpoint
from mnistctl.store.archive import SEAL, read_archive, seal


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint of 90 KB with an optimiser's state, as training saves it."""
    torch.manual_seed(0)
    model = build("cnn-small", 10)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(2, 1, 28, 28)).sum().backward()
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    training = dict(saved().training or {}) | state
    path = tmp_path_factory.mktemp("good") / "good.pt"
    checkpoint.save(path, replace(saved(), weights=model.state_dict(), training=training))
    return path.read_bytes()


def test_what_would_be_too_large_to_read_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, saved())
    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, "MAX_BYTES", len(before) - 1)
    with pytest.raises(CheckpointError, match="can't save .*last.pt: it would have") as caught:
        checkpoint.save(path, saved())
    assert caught.value.hint == "train a smaller network"
    assert path.read_bytes() == before


def refusal(path: Path, raw: bytes) -> CheckpointError:
    """The error with which `raw` is refused; it names the file and takes little memory."""
    path.write_bytes(raw)
    with contextlib.suppress(OSError):  # Linux: the peak begins again at what is there now
        Path("/proc/self/clear_refs").write_text("5")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000 * (1024 if sys.platform == "darwin" else 1)
    assert path.name in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def archive(pickled: bytes, records: dict[str, bytes] | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", b"3\n")
        for name, content in (records or {}).items():
            file.writestr(f"archive/data/{name}", content)
    return buffer.getvalue()


def pickled(*operations: bytes) -> bytes:
    """A dict whose one value the operations leave on the stack."""
    return b"\x80\x02}X\x01\x00\x00\x00a" + b"".join(operations) + b"s."


def number(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tensor(
    numel: int = 4,
    offset: int = 0,
    size: tuple[int, ...] = (4,),
    stride: tuple[int, ...] = (1,),
    storage: str = "FloatStorage",
    key: str = "0",
) -> bytes:
    """The pickle operations with which torch.save describes a tensor."""
    sizes, strides = (b"(" + b"".join(map(number, part)) + b"t" for part in (size, stride))
    described = text("storage") + b"ctorch\n" + storage.encode() + b"\n" + text(key) + text("cpu")
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + described
        + number(numel)
        + b"tQ"
        + number(offset)
        + sizes
        + strides
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


SIXTEEN = {"0": bytes(16)}


def test_round_trip_is_exact_and_plain_torch_reads_it(good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(good)
    ours, theirs = checkpoint.load(path), torch.load(path, weights_only=True)
    assert {"format", "version", "run", "config", "metrics", "weights", "training"} == theirs.keys()
    assert ours.weights.keys() == theirs["weights"].keys()
    for name, value in theirs["weights"].items():
        assert torch.equal(value, ours.weights[name])
        assert value.stride() == ours.weights[name].stride()
    assert (ours.config, ours.run, ours.metrics) == (CONFIG, "x", {})
    assert theirs["config"] == CONFIG.to_dict()
    assert ours.training
    moments = ours.training["optimizer"]["state"]
    assert all(
        torch.equal(moments[index][name], value)
        for index, state in theirs["training"]["optimizer"]["state"].items()
        for name, value in state.items()
    )


def test_a_quantised_weight_is_off_by_half_a_step_of_its_channel(tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = torch.tensor([0.0, 1e-3, 1.0, 100.0])
    weights = {"conv": torch.randn(4, 3, 2, 2) * size.view(4, 1, 1, 1), "bias": torch.randn(4)}
    path = tmp_path / "small.pt"
    small, scales = checkpoint.quantised(weights)
    checkpoint.save(path, replace(saved(), weights=small, scales=scales))
    theirs = torch.load(path, weights_only=True)
    kinds = {name: own.dtype for name, own in theirs["weights"].items()}
    assert kinds == {"conv": torch.int8, "bias": torch.float32}
    loaded = checkpoint.load(path)
    assert loaded.scales == {}
    assert torch.equal(loaded.weights["bias"], weights["bias"])
    assert loaded.weights["conv"].dtype == torch.float32
    assert torch.equal(loaded.weights["conv"][0], torch.zeros(3, 2, 2))
    largest = weights["conv"].flatten(1).abs().amax(1)
    off = (loaded.weights["conv"] - weights["conv"]).flatten(1).abs().amax(1)
    assert bool((off <= largest / 127 * 0.501).all())
    assert bool((off[1:] > 0).all())


SMALL = torch.full((4, 2), 127, dtype=torch.int8)


@pytest.mark.parametrize(
    ("weights", "scales"),
    [
        ({"conv": SMALL}, {"conv": torch.ones(3)}),
        ({"conv": SMALL}, {"conv": torch.ones(4, 1)}),
        ({"conv": SMALL}, {"conv": torch.ones(4).double()}),
        ({"conv": SMALL}, {"other": torch.ones(4)}),
        ({"conv": SMALL[0, 0]}, {"conv": torch.ones(())}),
        ({"conv": SMALL.float()}, {"conv": torch.ones(4)}),
        ({"conv": SMALL > 0}, {"conv": torch.ones(4)}),
        ({"conv": SMALL[:1].expand(9, 2)}, {"conv": torch.ones(9)}),
        ({"a": SMALL, "b": SMALL}, {"a": torch.ones(4), "b": torch.ones(4)}),
    ],
)
def test_scales_that_fit_no_weights(
    weights: dict[str, torch.Tensor], scales: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    document = document_at() | {"weights": weights, "scales": scales}
    refused = refusal(tmp_path / "x.pt", sealed(document))
    assert f"'{list(scales)[-1]}' is not int8 with a scale per channel" in refused.message


@pytest.mark.parametrize("scale", [math.inf, 3e38, -3e38])
def test_weights_that_scales_would_make_infinite(scale: float, tmp_path: Path) -> None:
    document = document_at() | {
        "weights": {"conv": SMALL},
        "scales": {"conv": scale * torch.ones(4)},
    }
    said = refusal(tmp_path / "x.pt", sealed(document)).message
    assert "numbers in 'conv' are not finite" in said


@pytest.mark.parametrize("scales", [[torch.ones(4)], {"conv": 1.0}, None])
def test_scales_of_the_wrong_kind(scales: Any, tmp_path: Path) -> None:
    document = document_at() | {"weights": {"conv": SMALL}, "scales": scales}
    assert "of the wrong kinds" in refusal(tmp_path / "x.pt", sealed(document)).message


def test_channels_of_no_weights(tmp_path: Path) -> None:
    document = document_at() | {
        "weights": {"conv": torch.zeros(0, 3, dtype=torch.int8)},
        "scales": {"conv": torch.ones(0)},
    }
    path = tmp_path / "x.pt"
    path.write_bytes(sealed(document))
    assert checkpoint.load(path).weights["conv"].shape == (0, 3)


def test_the_digest_is_over_all_the_bytes_before_it(good: bytes) -> None:
    assert hashlib.sha256(good[:-64]).hexdigest().encode() == good[-64:]
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        assert file.comment == b"mnistctl-sha256:" + good[-64:]


def flipped(raw: bytes, place: int, bit: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :]


def test_flipped_bits(good: bytes, tmp_path: Path) -> None:
    draw = random.Random(1)
    places = draw.sample(range(len(good)), 200) + list(range(len(good) - 110, len(good)))
    for place in places:
        refusal(tmp_path / "flipped.pt", flipped(good, place, draw.randrange(8)))


@pytest.mark.slow
def test_every_fifth_byte_flipped(good: bytes, tmp_path: Path) -> None:
    for place in range(0, len(good), 5):
        refusal(tmp_path / "flipped.pt", flipped(good, place, place % 8))


def test_truncated(good: bytes, tmp_path: Path) -> None:
    for length in [*range(0, len(good), 4096), len(good) - 1, len(good) - 80, len(good) - 102]:
        refusal(tmp_path / "cut.pt", good[:length])


def test_swapped_pieces_and_bytes_after_the_end(good: bytes, tmp_path: Path) -> None:
    other = bytearray(good)
    other[40_000:41_000], other[50_000:51_000] = good[50_000:51_000], good[40_000:41_000]
    assert "SHA-256" in refusal(tmp_path / "swapped.pt", bytes(other)).message
    refusal(tmp_path / "longer.pt", good + b"\0")
    refusal(tmp_path / "doubled.pt", good + good[:-1])


def test_a_removed_seal_is_noticed(good: bytes, tmp_path: Path) -> None:
    body = good[: -len(SEAL) - 64]
    bare = body[:-2] + b"\0\0"
    assert "seal is missing" in refusal(tmp_path / "bare.pt", bare).message


def test_a_newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.pt"
    newer = refusal(path, sealed(document_at() | {"version": 2}))
    assert "made by a newer mnistctl (format 2, this one reads up to 1)" in newer.message
    checkpoint.save(path, saved())
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    assert checkpoint.load(path).config == CONFIG


def test_bare_state_dicts_are_read(tmp_path: Path) -> None:
    model = build("cnn-small", 10)
    documents: list[Any] = [
        model.state_dict(),
        dict(model.named_parameters()),
        {"epoch": 3, "loss": 0.5, "model_state_dict": model.state_dict()},
    ]
    for document in documents:
        torch.save(document, tmp_path / "bare.pth")
        loaded = checkpoint.load(tmp_path / "bare.pth")
        assert (loaded.config, loaded.training) == (None, None)
        assert loaded.weights.keys() == model.state_dict().keys()
        assert all(torch.equal(loaded.weights[k], v) for k, v in model.state_dict().items())


def test_saving_leaves_no_temporary_file(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.pt", saved())
    with pytest.raises(CheckpointError, match="can't save"):
        checkpoint.save(tmp_path / "x.pt" / "below.pt", saved())
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


class Planted:
    """Unpickled by the plain unpickler, it would create the directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("sealed", [False, True])
def test_a_planted_pickle_creates_no_file(sealed: bool, tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    thing = Planted(planted)
    for document in (thing, {"format": thing}, document_at() | {"run": thing}):
        buffer = io.BytesIO()
        torch.save(document, buffer)
        raw = seal(buffer.getvalue()) if sealed else buffer.getvalue()
        assert "refused" in refusal(tmp_path / "evil.pt", raw).message
    refusal(tmp_path / "evil.pt", pickle.dumps(thing))
    refusal(tmp_path / "evil.pt", pickle.dumps(thing, protocol=0))
    assert not planted.exists()
    torch.load(io.BytesIO(raw), weights_only=False)
    assert planted.exists()  # it was loaded


def nested_key(depth: int) -> bytes:
    """A dict with one key: `t = (t, t)`, so many times over. Hashing it takes 2 ** depth steps."""
    doubled = b"".join(b"h%c\x86q%c" % (n, n + 1) for n in range(depth))
    return archive(b"\x80\x02})q\x00" + doubled + b"Ns.")


HOSTILE = {
    "key of nested tuples": nested_key(60),
    "key of shallow tuples": nested_key(2),
    "key of 290,000 tuples": archive(b"\x80\x02})" + b"\x85" * 290_000 + b"Ns."),
    "keys set together": archive(b"\x80\x02}()" + b"\x85" * 60 + b"Nu."),
    "key that is true": archive(b"\x80\x02}\x88Ns."),
    "key that is real": archive(b"\x80\x02}G" + bytes(8) + b"Ns."),
    "key that is a storage": archive(b"\x80\x02}ctorch\nFloatStorage\nNs."),
    "key of attributes": archive(
        pickled(b"ccollections\nOrderedDict\n)R})" + b"\x85" * 60 + b"Nsb")
    ),
    "set": archive(b"\x80\x04}X\x01\x00\x00\x00a\x8f()" + b"\x85" * 60 + b"\x90s."),
    "frozen set": archive(b"\x80\x04}X\x01\x00\x00\x00a()" + b"\x85" * 60 + b"\x91s."),
    "set by name": archive(pickled(b"cbuiltins\nset\n](", b")" + b"\x85" * 60, b"e\x85R")),
    "object with keys": archive(pickled(b"cbuiltins\nobject\n)\x81})", b"\x85" * 60, b"Nsb")),
    "call of a list": archive(pickled(b"]q\x00)R")),
    "call of a class": archive(pickled(b"ctorch\nFloatStorage\n)R")),
    "call without a tuple": archive(pickled(b"ccollections\nOrderedDict\n]R")),
    "list filled as a dict": archive(pickled(b"]NNs")),
    "dict filled as a list": archive(pickled(b"}Na")),
    "text as storage": archive(pickled(text("storage"), b"Q")),
    "memo that is empty": archive(pickled(b"h\x07")),
    "mark that is missing": archive(pickled(b"t")),
    "half a pair": archive(b"\x80\x02}(Nu."),
    "truth beyond 0 and 1": archive(
        pickled(tensor(4, size=(4,), storage="BoolStorage")), {"0": b"\0\1\2\0"}
    ),
    "overlapping tensors of terabytes": archive(
        pickled(tensor(size=(1 << 24, 1 << 24), stride=(0, 0))), SIXTEEN
    ),
    "nine dimensions": archive(pickled(tensor(size=(1,) * 9, stride=(1,) * 9)), SIXTEEN),
    "a real number for a size": archive(
        pickled(tensor().replace(b"(" + number(4) + b"t", b"(G" + struct.pack(">d", 4) + b"t", 1)),
        SIXTEEN,
    ),
    "infinite weight": archive(pickled(tensor()), {"0": struct.pack("<4f", 0, 1, math.inf, 2)}),
    "weight that is no number": archive(
        pickled(tensor()), {"0": struct.pack("<4f", 0, 1, math.nan, 2)}
    ),
    "weight beyond float32": archive(
        pickled(tensor(storage="DoubleStorage")), {"0": struct.pack("<4d", 0, 1, 1e39, 2)}
    ),
    "infinite half": archive(
        pickled(tensor(storage="HalfStorage")), {"0": struct.pack("<4e", 0, 1, math.inf, 2)}
    ),
    "bytearray of 64 GiB": archive(pickled(b"cbuiltins\nbytearray\n", number(1 << 36), b"\x85R")),
    "counter": archive(pickled(b"ccollections\nCounter\n)R")),
    "stack global": archive(b"\x80\x04X\x02\0\0\0osX\x06\0\0\0system\x93."),
    "inst": archive(b"(X\x04\0\0\0trueios\nsystem\n."),
    "new object": archive(pickled(b"ccollections\nOrderedDict\n)\x81")),
    "extension": archive(pickled(b"\x82\x01")),
    "dict attributes": archive(pickled(b"ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00xNsb")),
    "copied dict": archive(pickled(b"ccollections\nOrderedDict\n}\x85R")),
    "deep nesting": archive(pickled(b"]" * 100_000, b"a" * 99_999)),
    "too many values": archive(pickled(b"(", b"N" * 400_000, b"l")),
    "loop": archive(pickled(b"]q\x00h\x00a")),
    "doubling": archive(pickled(b")q\x00", *(b"h%c\x86q%c" % (n, n + 1) for n in range(30)))),
    "huge number": archive(pickled(b"\x8a\xff" + b"\x7f" * 255)),
    "storage beyond its record": archive(pickled(tensor(4000, size=(4000,))), SIXTEEN),
    "storage shorter than its record": archive(pickled(tensor(2, size=(2,))), SIXTEEN),
    "storage without record": archive(pickled(tensor(key="7")), SIXTEEN),
    "empty storage without record": archive(pickled(tensor(0, size=(0,), key="7")), SIXTEEN),
    "storage of another name": archive(pickled(tensor(key="../data.pkl")), SIXTEEN),
    "shape beyond its storage": archive(pickled(tensor(size=(4000,))), SIXTEEN),
    "offset beyond its storage": archive(pickled(tensor(offset=1)), SIXTEEN),
    "negative offset": archive(pickled(tensor(offset=-1)), SIXTEEN),
    "negative size": archive(pickled(tensor(size=(-4,))), SIXTEEN),
    "negative stride": archive(pickled(tensor(stride=(-1,))), SIXTEEN),
    "expanded to terabytes": archive(pickled(tensor(size=(1 << 40,), stride=(0,))), SIXTEEN),
    "overflowing product": archive(
        pickled(tensor(size=(1 << 33, 1 << 33), stride=(0, 0))), SIXTEEN
    ),
    "two types for one storage": archive(
        pickled(b"(", tensor(), tensor(storage="IntStorage"), b"t"), SIXTEEN
    ),
    "complex": archive(pickled(tensor(2, size=(2,), storage="ComplexFloatStorage")), SIXTEEN),
    "quantised": archive(pickled(tensor(16, size=(16,), storage="QInt8Storage")), SIXTEEN),
    "no dict": archive(b"\x80\x02]."),
    "keys that are numbers": archive(b"\x80\x02}K\x01K\x02s."),
    "no end": archive(b"\x80\x02}"),
    "empty pickle": archive(b""),
    "compressed": archive(pickled(b"N"), {"0": bytes(1 << 24)}, compression=zipfile.ZIP_DEFLATED),
    "many records": archive(pickled(b"N"), {str(n): b"" for n in range(10_001)}),
    "no pickle": b"PK\x03\x04" + archive(b"")[4:].replace(b"data.pkl", b"data.txt"),
    "not a zip": b"\x80\x02}.",
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_little_memory(name: str, tmp_path: Path) -> None:
    started = time.process_time()  # a busy machine or coverage may take longer
    refusal(tmp_path / "evil.pt", HOSTILE[name])
    assert time.process_time() - started < 30


REASONS = {
    "key of nested tuples": "keys that are neither text",
    "infinite weight": "numbers in 'a' are not finite",
    "set": "the pickle operation EMPTY_SET",
    "doubling": "nested too deeply or endlessly",
    "loop": "nested too deeply or endlessly",
    "too many values": "describes too many values",
    "stack global": "the pickle operation STACK_GLOBAL",
    "inst": "the pickle operation INST",
    "new object": "the pickle operation NEWOBJ",
    "extension": "the pickle operation EXT1",
    "set by name": "asks for builtins.set",
    "call of a list": "calls what can't be called",
    "a real number for a size": "a tensor of a negative or absurd size",
    "storage beyond its record": "claims 16,000 bytes for storage 0",
    "expanded to terabytes": "tensors that claim 4,398,046,511,104 bytes",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_hostile_file_names_what_is_wrong_with_it(name: str, tmp_path: Path) -> None:
    assert REASONS[name] in refusal(tmp_path / "evil.pt", HOSTILE[name]).message


def test_tensors_share_a_storage_four_times_at_most(tmp_path: Path) -> None:
    def refused(count: int) -> str:
        content = archive(pickled(b"(" + tensor() * count + b"t"), SIXTEEN)
        return refusal(tmp_path / "evil.pt", content).message

    assert refused(4).endswith("is neither a checkpoint of this tool nor a bare state dict")
    assert refused(5).endswith("it holds tensors that claim 80 bytes")


def test_a_description_has_four_mebibytes_at_most(tmp_path: Path) -> None:
    content = archive(pickled(text("k" * (4 << 20))))
    assert "in more than 4 MiB" in refusal(tmp_path / "evil.pt", content).message


def test_what_is_said_of_a_hostile_file_is_brief(tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    for raw in (
        archive(pickled(b"c" + b"a" * 100_000 + b"\nb\n")),
        archive(b"\x80\x02}" + text("k" * 100_000) + tensor() + b"s.", {"0": b"\xff" * 16}),
        archive(pickled(tensor(key="7" * 100_000)), SIXTEEN),
        archive(pickled(tensor()), SIXTEEN).replace(b"archive/data/0", b"archive/data/1", 1),
    ):
        assert len(refusal(path, raw).message) < 400


def test_whole_numbers_as_keys_and_a_high_memo_harm_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(archive(pickled(b"}r\xff\xff\xff\xffK\x07Ns")))
    assert read_archive(path).claimed == {"a": {7: None}}


def test_the_hostile_files_are_hostile_by_one_thing_alone(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(archive(pickled(tensor()), SIXTEEN))
    assert checkpoint.load(tmp_path / "x.pt").weights["a"].tolist() == [0.0] * 4


def test_two_records_of_one_name(good: bytes, tmp_path: Path) -> None:
    buffer = io.BytesIO(archive(pickled(tensor()), SIXTEEN))
    with (
        zipfile.ZipFile(buffer, "a") as file,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        file.writestr("archive/data/0", bytes(16))
    assert "two records" in refusal(tmp_path / "x.pt", buffer.getvalue()).message


def test_records_that_overlap(tmp_path: Path) -> None:
    raw = archive(pickled(tensor()), SIXTEEN)
    first, second = (
        raw.index(name.encode()) - 30 for name in ("archive/version", "archive/data/0")
    )
    entry = raw.rindex(b"PK\x01\x02")
    assert raw[entry + 42 : entry + 46] == struct.pack("<I", second)
    overlapping = raw[: entry + 42] + struct.pack("<I", first) + raw[entry + 46 :]
    assert "overlap" in refusal(tmp_path / "x.pt", overlapping).message


def test_another_byte_order(tmp_path: Path) -> None:
    buffer = io.BytesIO(archive(pickled(tensor()), SIXTEEN))
    with zipfile.ZipFile(buffer, "a") as file:
        file.writestr("archive/byteorder", b"big")
    assert "another byte order" in refusal(tmp_path / "x.pt", buffer.getvalue()).message


def test_shared_and_overlapping_tensors_share_memory_as_in_torch(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    document = {"a": whole[:4].view(2, 2), "b": whole[1:], "c": whole.view(2, 3).T, "e": whole[:0]}
    torch.save(document, tmp_path / "x.pt")
    loaded = checkpoint.load(tmp_path / "x.pt").weights
    loaded["b"][0] = 7
    assert loaded["a"].tolist() == [[0, 7], [2, 3]]
    assert loaded["c"].tolist() == [[0, 3], [7, 4], [2, 5]]
    assert loaded["c"].stride() == (1, 3)
    assert loaded["e"].shape == (0,)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
)
def test_dtypes(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.save({"a": torch.tensor([[0, 1, 1]]).to(dtype), "n": torch.empty(0)}, tmp_path / "x.pt")
    loaded = checkpoint.load(tmp_path / "x.pt").weights
    assert loaded["a"].dtype == dtype
    assert loaded["a"].tolist() == [[0, 1, 1]]
    assert loaded["n"].dtype == torch.float32


def test_inspecting_needs_no_torch(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(good)
    code = (
        "import sys; from pathlib import Path; from mnistctl.store.checkpoint import inspect; "
        "print(inspect(Path('x.pt')).weights['fc2.bias'].size, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(10,) False\n"


def test_a_size_that_lies(tmp_path: Path) -> None:
    raw = archive(pickled(b"N"))
    at = raw.rindex(b"PK\x01\x02") + 24
    refusal(tmp_path / "x.pt", raw[:at] + struct.pack("<I", 1 << 31) + raw[at + 4 :])


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [1]},
        {"weights": {"w": "text"}},
        {"config": {"recipe": CONFIG.recipe.to_dict()}},
        {"config": CONFIG.to_dict() | {"dataset": 3}},
        {"config": CONFIG.to_dict() | {"recipe": {"name": "mlp"}}},
        {"config": CONFIG.to_dict() | {"recipe": None}},
        {"config": CONFIG.to_dict() | {"more": 1}},
        {"config": [1]},
        {"run": 3},
        {"metrics": []},
        {"training": 7},
        {"format": "other"},
        {"version": "1"},
        {"version": True},
    ],
    ids=str,
)
def test_contents_of_the_wrong_kind(change: dict[str, Any], tmp_path: Path) -> None:
    refusal(tmp_path / "x.pt", sealed(document_at() | change))


def test_other_things_of_torch(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    unlike: list[Any] = [
        build("mlp", 10),
        torch.zeros(2),
        {"a": torch.zeros(2).to_sparse()},
        {"a": torch.zeros(2, dtype=torch.complex64)},
        {"a": torch.zeros(2, device="meta")},
        {"a": {1, 2}},
    ]
    for document in unlike:
        torch.save(document, path)
        refusal(path, path.read_bytes())
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    assert "before 1.6" in refusal(path, path.read_bytes()).message


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.pt", Path("/dev/zero"), tmp_path / "a\0b"):
        with pytest.raises(CheckpointError):
            checkpoint.load(path)


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_BYTES", 1000)
    assert "larger than" in refusal(tmp_path / "x.pt", b"PK\x03\x04" + bytes(1000)).message
