"""Which device is chosen, and why another one can't be."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mnistctl import device
from mnistctl.device import (
    Choice,
    available_devices,
    choose_device,
    choose_hardware,
    choose_precision,
    has_code_for,
    why_unusable,
)
from mnistctl.distributed import Ranks
from mnistctl.errors import DeviceError, UsageError
from mnistctl.events import Reporter

ALONE = Ranks()
FAILED = "a trial computation failed: out of memory"


def see_gpus(
    monkeypatch: pytest.MonkeyPatch,
    *generations: tuple[int, int],
    failing: tuple[str, ...] = (),
    cuda: str | None = "13.0",
) -> list[str]:
    """Make torch see GPUs of these generations, with code for sm_80 and sm_90 alone.

    Returns the GPUs, in order, on which a computation is tried; it fails on those in `failing`.
    """
    tried: list[str] = []

    def why_failing(name: str) -> str | None:
        tried.append(name)
        return FAILED if name in failing else None

    def capability(which: int | str) -> tuple[int, int]:
        return generations[int(str(which).rpartition(":")[2])]

    monkeypatch.setattr(device, "_why_failing", why_failing)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(generations))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(generations))
    monkeypatch.setattr(torch.cuda, "get_device_capability", capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return tried


@pytest.mark.parametrize(
    ("generation", "architectures", "runs"),
    [
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_80"], False),
        ((9, 0), ["sm_80", "compute_80"], True),
        ((12, 0), ["sm_90a", "sm_120"], True),
        ((6, 1), ["sm_75", "compute_75"], False),
    ],
)
def test_code_for_a_generation(
    generation: tuple[int, int], architectures: list[str], runs: bool
) -> None:
    assert has_code_for(generation, architectures) == runs


def test_auto_passes_over_a_gpu_without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = see_gpus(monkeypatch, (6, 1), (8, 6), (9, 0))
    assert choose_device("auto", ALONE) == Choice("cuda:1", "a CUDA GPU is there")
    assert choose_device("cuda", ALONE) == Choice("cuda:1", "as requested")
    assert tried == ["cuda:1", "cuda:1"]  # no context where none is needed
    assert why_unusable("cuda:0") == "this torch has no code for its generation, sm_61"
    assert available_devices() == ["cpu", "cuda:1", "cuda:2"]
    with pytest.raises(DeviceError, match="'cuda:0' can't be used: .* sm_61") as error:
        choose_device("cuda:0", ALONE)
    assert error.value.hint == "available: cpu, cuda:1, cuda:2; --device auto chooses"


def test_a_trial_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    see_gpus(monkeypatch, (9, 0), (9, 0), failing=("cuda:0",))
    assert choose_device("auto", ALONE).value == "cuda:1"
    with pytest.raises(DeviceError, match=FAILED):
        choose_device("cuda:0", ALONE)


@pytest.mark.parametrize(
    ("generation", "why"),
    [((6, 1), "this torch has no code for its generation, sm_61"), ((9, 0), FAILED)],
)
def test_auto_falls_back_to_the_cpu_and_says_why(
    generation: tuple[int, int], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    see_gpus(monkeypatch, generation, failing=("cuda:0",))
    assert choose_device("auto", ALONE) == Choice("cpu", f"cuda:0 can't be used: {why}")
    with pytest.raises(DeviceError, match="'cuda' can't be used: ") as error:
        choose_device("cuda", ALONE)
    assert error.value.message.endswith(why)
    assert error.value.hint == "available: cpu; --device auto chooses"


def test_what_a_trial_fails_with() -> None:
    assert device._why_failing("cpu") is None
    assert "a trial computation failed: " in str(device._why_failing("cuda:63"))


def test_processes_take_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = see_gpus(monkeypatch, (9, 0), (6, 1), (8, 0))
    for requested in ("auto", "cuda"):
        names = [choose_device(requested, Ranks(r, 2, r, 2)).value for r in (0, 1)]
        assert names == ["cuda:0", "cuda:2"]
    assert tried == ["cuda:0", "cuda:2"] * 2
    # Of two machines with two processes each, the second.
    assert choose_device("cuda", Ranks(3, 4, 1, 2)).value == "cuda:2"


@pytest.mark.parametrize("requested", ["auto", "cuda"])
def test_more_processes_than_gpus(requested: str, monkeypatch: pytest.MonkeyPatch) -> None:
    see_gpus(monkeypatch, (9, 0), (6, 1))
    with pytest.raises(UsageError, match="2 processes .* but 1 usable GPU$") as error:
        choose_device(requested, Ranks(0, 4, 0, 2))
    assert error.value.hint == "torchrun --nproc-per-node=1, or --device cpu"
    see_gpus(monkeypatch)
    assert choose_device("auto", Ranks(0, 2, 0, 2)).value == "cpu"


def test_a_failing_gpu_of_several_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    see_gpus(monkeypatch, (9, 0), (9, 0), failing=("cuda:1",))
    assert choose_device("auto", Ranks(0, 2, 0, 2)).value == "cuda:0"
    with pytest.raises(DeviceError, match=f"'cuda:1' can't be used: {FAILED}"):
        choose_device("auto", Ranks(1, 2, 1, 2))


def test_one_gpu_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    see_gpus(monkeypatch, (9, 0), (9, 0))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for requested in ("cuda:1", "mps"):
        with pytest.raises(UsageError, match=f"--device {requested}: 2 processes can't share"):
            choose_device(requested, Ranks(0, 2, 0, 2))
    see_gpus(monkeypatch)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto", ALONE).value == "mps"
    assert choose_device("auto", Ranks(0, 2, 0, 2)).value == "cpu"


def test_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    see_gpus(monkeypatch, (8, 0))
    assert why_unusable("cuda:3") == "the last GPU is cuda:0"
    see_gpus(monkeypatch)
    with pytest.raises(DeviceError, match="no NVIDIA GPU or driver; nvidia-smi") as error:
        choose_device("cuda", ALONE)
    assert error.value.hint == "available: cpu; --device auto chooses"
    assert choose_device("auto", ALONE) == Choice("cpu", "no usable GPU")
    see_gpus(monkeypatch, cuda=None)
    monkeypatch.setattr(torch.version, "hip", None, raising=False)
    assert why_unusable("cuda") == "this torch was built without CUDA"
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)
    assert why_unusable("mps") == "this torch was built without MPS"


def test_gpu_means_cuda() -> None:
    with pytest.raises(UsageError, match="did you mean 'cuda'"):
        choose_device("gpu", ALONE)


@pytest.mark.parametrize("name", ["auto:3", "cpu:", "cpu:0", "mps:0", "cuda:", "cuda:x", "cuda:-1"])
def test_names_of_no_device(name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown device '{name}'"):
        choose_device(name, ALONE)


def test_bf16_is_asked_of_the_gpu_in_question(monkeypatch: pytest.MonkeyPatch) -> None:
    see_gpus(monkeypatch, (7, 5), (8, 0))
    no = Choice("fp32", "this GPU has no bfloat16 arithmetic")
    yes = Choice("bf16", "this GPU computes bfloat16 in hardware")
    for asked in ("auto", None):
        assert choose_precision(asked, "cuda:0", ALONE) == no
        assert choose_precision(asked, "cuda:1", ALONE) == yes
        assert choose_precision(asked, "mps", ALONE) == no
    with pytest.raises(DeviceError, match="cuda:0 can't compute in bf16"):
        choose_precision("bf16", "cuda:0", ALONE)
    assert choose_precision("bf16", "cuda:1", ALONE).value == "bf16"
    see_gpus(monkeypatch, (7, 5), cuda=None)
    monkeypatch.setattr(torch.version, "hip", "6.4", raising=False)
    assert choose_precision("auto", "cuda:0", ALONE) == yes


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"),
    [
        (100, 120, Choice("bf16", "faster here than fp32: 120 against 100 GFLOP/s a thread")),
        (
            100,
            119,
            Choice("fp32", "bf16 is hardly faster here: 119 against 100 GFLOP/s a thread"),
        ),
        (296, 168, Choice("fp32", "faster here than bf16: 296 against 168 GFLOP/s a thread")),
    ],
)
def test_auto_measures_a_cpu(
    fp32: int, bf16: int, chosen: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"fp32": fp32 * 1e9, "bf16": bf16 * 1e9}
    monkeypatch.setattr(device, "cpu_rates", lambda: rates)
    assert choose_precision("auto", "cpu", ALONE) == chosen


def test_nothing_is_measured_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def cpu_rates() -> dict[str, float]:
        raise AssertionError("measured")

    monkeypatch.setattr(device, "cpu_rates", cpu_rates)
    for named in ("fp32", "bf16"):
        assert choose_precision(named, "cpu", ALONE) == Choice(named, "as requested")
    assert choose_precision(None, "cpu", ALONE).value == "fp32"
    assert choose_precision("auto", "cpu", Ranks(1, 2)).value == "fp32"  # rank 0 measures
    with pytest.raises(UsageError, match="unknown precision 'fp8'"):
        choose_precision("fp8", "cpu", ALONE)


def _by_older_names() -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True


def _by_newer_names() -> None:
    torch.backends.fp32_precision = "tf32"  # type: ignore[attr-defined]


def _for_products() -> None:
    torch.set_float32_matmul_precision("medium")


@pytest.mark.parametrize("rounding", [_by_older_names, _by_newer_names, _for_products])
def test_fp32_rounds_no_products(rounding: Callable[[], None]) -> None:
    backends: Any = torch.backends
    before = backends.fp32_precision
    try:
        rounding()
        choose_hardware("cpu", "fp32", ALONE, Reporter())
        kinds = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        cpu = (backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn)
        assert {kind.fp32_precision for kind in kinds + cpu} == {"ieee"}
        assert not backends.cudnn.allow_tf32
        assert not backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        backends.fp32_precision = before


@pytest.mark.parametrize(
    ("amx", "machine", "has"),
    [(True, "x86_64", True), (False, "x86_64", False), (False, "aarch64", True)],
)
def test_only_x86_is_asked_for_bf16(
    amx: bool, machine: str, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert device._cpu_has_bf16() is has


@pytest.mark.parametrize(
    ("precision", "has", "warned"),
    [("bf16", False, True), ("bf16", True, False), ("fp32", False, False), ("auto", False, False)],
)
def test_bf16_that_is_emulated_is_warned_of(
    precision: str, has: bool, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_cpu_has_bf16", lambda: has)
    monkeypatch.setattr(device, "cpu_rates", lambda: {"fp32": 1e9, "bf16": 2e9})
    reporter = Warnings()
    choose_hardware("cpu", precision, ALONE, reporter)
    assert [("emulated" in text) for text in reporter.warnings] == [True] * warned


class Warnings(Reporter):
    """Keeps what it is warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)
