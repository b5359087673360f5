"""Which device and number format a command runs on; torch is imported only when asked."""

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
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return names


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
        return Choice("cpu", "no GPU found")
    if requested == "cuda" and gpus:
        return Choice(gpus[local_rank % len(gpus)], why)
    if requested not in known:
        raise DeviceError(
            f"device '{requested}' is not available here; available: {', '.join(known)}",
            f"choose one with --device, or let --device auto choose{_why_no_cuda(kind)}",
        )
    return Choice(requested, why)


def _why_no_cuda(kind: str) -> str:
    import torch

    if kind == "cuda" and torch.version.cuda is None:
        return " (this torch was built without CUDA)"
    return ""


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
