"""Which device and number format a command runs on; torch is imported only when asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnistctl.errors import DeviceError, unknown
from mnistctl.events import Reporter

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "cuda:N", "mps")
PRECISIONS = ("auto", "fp32", "bf16")
# Parameters of glibc's mallopt, as its malloc.h numbers them.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


@dataclass(frozen=True)
class Choice:
    """A value picked for the user and the reason, to be shown."""

    value: str
    why: str


def available_devices() -> list[str]:
    """Names accepted by `choose_device` on this machine, the CPU first."""
    return [name for name in known_devices() if why_unusable(name) is None]


def known_devices() -> list[str]:
    """The CPU, each CUDA GPU that PyTorch sees (else `cuda`) and `mps`, usable or not."""
    import torch

    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["cpu", *(gpus or ["cuda"]), "mps"]


def why_unusable(name: str) -> str | None:
    """Why this machine can't compute on the device `name`; None when it can."""
    import torch

    kind, _, index = name.partition(":")
    if kind == "mps" and not torch.backends.mps.is_available():
        built = torch.backends.mps.is_built()
        return "PyTorch finds no Apple GPU" if built else "this torch was built without MPS"
    if kind != "cuda":
        return None
    if torch.version.cuda is None and torch.version.hip is None:
        return "this torch was built without CUDA"
    if not torch.cuda.is_available():
        return "PyTorch finds no NVIDIA GPU or driver; nvidia-smi shows whether one is there"
    number, count = int(index or 0), torch.cuda.device_count()
    if number >= count:
        return f"the last GPU is cuda:{count - 1}"
    generation = torch.cuda.get_device_capability(number)
    if torch.version.cuda and not has_code_for(generation, torch.cuda.get_arch_list()):
        return f"this torch has no code for its generation, sm_{generation[0]}{generation[1]}"
    return None


def has_code_for(generation: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Whether code for `architectures` (`sm_80`, `compute_90`) runs on a GPU of `generation`.

    Machine code (sm) runs on its own major version from its minor one on, PTX (compute) on every
    later generation, too.
    """
    for architecture in architectures:
        kind, _, version = architecture.partition("_")
        own = divmod(int(version.rstrip("af")), 10)
        if own <= generation and (kind == "compute" or own[0] == generation[0]):
            return True
    return False


def choose_device(requested: str, local_rank: int = 0, why: str = "as requested") -> Choice:
    """Resolve auto|cpu|cuda|cuda:N|mps to a device that exists.

    `local_rank` is this process's number among those on its machine: ranks share out the GPUs.
    Raises UsageError for a name of another form, DeviceError for a device that isn't there.
    """
    known = available_devices()
    kind, _, index = requested.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (index and not index.isdecimal()):
        raise unknown("device", requested, DEVICES)
    gpus = [name for name in known if name.startswith("cuda")]
    if requested == "auto":
        if gpus:
            return Choice(gpus[local_rank % len(gpus)], "a CUDA GPU is there")
        if "mps" in known:
            return Choice("mps", "an Apple GPU is there")
        return Choice("cpu", "no usable GPU")
    if requested == "cuda" and gpus:
        return Choice(gpus[local_rank % len(gpus)], why)
    if requested not in known:
        raise DeviceError(
            f"device '{requested}' can't be used: {why_unusable(requested)}",
            f"available: {', '.join(known)}; --device auto chooses",
        )
    return Choice(requested, why)


def cpu_has_bf16() -> bool:
    """True where the CPU multiplies bfloat16 matrices in hardware (AMX or AVX-512 BF16)."""
    import torch

    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def choose_precision(requested: str, device: str, why: str = "as requested") -> Choice:
    """Resolve auto|fp32|bf16 for `device`.

    Raises UsageError for another name, DeviceError for bf16 on a device that can't compute it.
    """
    import torch

    if requested not in PRECISIONS:
        raise unknown("precision", requested, PRECISIONS)
    if requested == "fp32":
        return Choice("fp32", why)
    if device.startswith("cuda"):
        fast, what = torch.cuda.is_bf16_supported(including_emulation=False), "GPU"
    elif device == "cpu":
        fast, what = cpu_has_bf16(), "CPU"
    else:
        fast, what = False, "device"
    if requested == "bf16":
        if not fast and device != "cpu":
            raise DeviceError(f"{device} can't compute in bf16", "use --precision fp32")
        return Choice("bf16", why)
    if fast:
        return Choice("bf16", f"this {what} computes bfloat16 in hardware")
    return Choice("fp32", f"this {what} has no bfloat16 arithmetic")


def choose_hardware(
    device: str | None,
    precision: str | None,
    local_rank: int,
    reporter: Reporter,
    why: str = "as requested",
) -> tuple["torch.device", str]:
    """The device and precision to use, made ready; None means auto.

    Says what was chosen and why; `why` is the reason for what is not auto. For a CPU the process
    keeps its freed memory from here on; a CUDA card becomes the current one.
    Raises UsageError for an unknown name, DeviceError for what isn't there.
    """
    import torch

    chosen = choose_device(device or "auto", local_rank, why)
    number_format = choose_precision(precision or "auto", chosen.value, why)
    reporter.say(
        f"Device: {chosen.value} ({chosen.why}), precision {number_format.value}"
        f" ({number_format.why})"
    )
    if chosen.value == "cpu":
        keep_freed_memory()
    ready = torch.device(chosen.value)
    if ready.type == "cuda":
        torch.cuda.set_device(ready)
    return ready, number_format.value


def synchronize(device: "torch.device") -> None:
    """Wait until all work queued on `device` is done, so that a clock read is true."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for the next batch, instead of returning it each time.

    A training step frees and takes the same hundreds of megabytes again; giving them back to the
    system between costs page faults, which made trainings 1.1 to 1.8 times as long. glibc only;
    nothing happens elsewhere.
    """
    import ctypes
    import sys

    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 64 << 20)
