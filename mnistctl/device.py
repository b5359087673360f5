"""Which device and number format a command runs on; torch is imported only when asked."""

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnistctl.errors import DeviceError, UsageError, unknown
from mnistctl.events import Reporter
from mnistctl.rates import cpu_rates
from mnistctl.text import counted, first_line

if TYPE_CHECKING:
    import torch

    from mnistctl.distributed import Ranks

DEVICES = ("auto", "cpu", "cuda", "cuda:N", "mps")
PRECISIONS = ("auto", "fp32", "bf16")
CLEARLY_FASTER = 1.2
"""How many times the rate of fp32 bf16 must have before a CPU computes in it."""
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
    """Why this machine can't compute on the device `name`; None when it can.

    What has code for a GPU is tried on it, which makes the driver's context there.
    """
    return _why_unsuited(name) or (_why_failing(name) if name.startswith("cuda") else None)


def _why_unsuited(name: str) -> str | None:
    """`why_unusable` as far as can be told without computing anything."""
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


def _why_failing(name: str) -> str | None:
    """What a trial computation on the GPU `name` fails with; None where it is right."""
    import torch

    try:
        product = torch.ones(8, 8, device=name) @ torch.ones(8, 8, device=name)
        return None if float(product.sum()) == 512 else "a trial computation came out wrong"
    except RuntimeError as error:
        return f"a trial computation failed: {first_line(error)}"


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


def choose_device(requested: str, ranks: "Ranks", why: str = "as requested") -> Choice:
    """Resolve auto|cpu|cuda|cuda:N|mps to a device that exists.

    Processes on one machine share out its GPUs, one each. Raises UsageError for a name of another
    form and for what so many processes can't share, DeviceError for a device that isn't there.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", requested):
        raise unknown("device", requested, DEVICES)
    if ranks.world_size > 1 and (":" in requested or requested == "mps"):
        raise UsageError(
            f"--device {requested}: {ranks.world_size} processes can't share one GPU",
            "--device cuda gives each its own, --device cpu needs none",
        )
    if requested in ("auto", "cuda") and (gpu := _gpu_of(ranks)):
        return Choice(gpu, "a CUDA GPU is there" if requested == "auto" else why)
    if requested == "auto":
        if ranks.world_size == 1 and why_unusable("mps") is None:
            return Choice("mps", "an Apple GPU is there")
        return Choice("cpu", _why_no_gpu())
    if problem := why_unusable("cuda:0" if requested == "cuda" else requested):
        raise DeviceError(
            f"device '{requested}' can't be used: {problem}",
            f"available: {', '.join(available_devices())}; --device auto chooses",
        )
    return Choice(requested, why)


def _gpu_of(ranks: "Ranks") -> str | None:
    """The CUDA GPU of this process, None where there is no usable one.

    Raises UsageError where there are fewer than processes, DeviceError where that of this one of
    several processes fails: the others would wait for it.
    """
    gpus = [name for name in known_devices() if name.startswith("cuda")]
    if ranks.world_size == 1:
        return next((name for name in gpus if why_unusable(name) is None), None)
    suited = [name for name in gpus if _why_unsuited(name) is None]
    if not suited:
        return None
    if ranks.local_world_size > len(suited):
        raise UsageError(
            f"{ranks.local_world_size} processes on this machine, but"
            f" {counted(len(suited), 'usable GPU')}",
            f"torchrun --nproc-per-node={len(suited)}, or --device cpu",
        )
    own = suited[ranks.local_rank]
    if problem := _why_failing(own):
        raise DeviceError(
            f"device '{own}' can't be used: {problem}",
            "CUDA_VISIBLE_DEVICES=N,... names the GPUs to use, --device cpu needs none",
        )
    return own


def _why_no_gpu() -> str:
    """Why `auto` takes the CPU: the reason against the first GPU, where one is seen."""
    seen = [name for name in known_devices() if name.startswith("cuda:")]
    return f"{seen[0]} can't be used: {why_unusable(seen[0])}" if seen else "no usable GPU"


def choose_precision(
    requested: str | None, device: str, ranks: "Ranks", why: str = "as requested"
) -> Choice:
    """Resolve auto|fp32|bf16 for `device`; None is auto for answers too few to measure for.

    On a CPU auto measures, on the first of several processes: the others are to follow it.
    Raises UsageError for another name, DeviceError for bf16 on a device that can't compute it.
    """
    if requested is not None and requested not in PRECISIONS:
        typed = os.environ.get("MNISTCTL_PRECISION") != requested
        raise unknown(
            "precision", requested, PRECISIONS, "" if typed else "MNISTCTL_PRECISION is set"
        )
    if requested == "fp32":
        return Choice("fp32", why)
    able = device == "cpu" or _has_bf16(device)
    if requested == "bf16":
        if not able:
            raise DeviceError(f"{device} can't compute in bf16", "use --precision fp32")
        return Choice("bf16", why)
    if device != "cpu":
        if able:
            return Choice("bf16", "this GPU computes bfloat16 in hardware")
        return Choice("fp32", "this GPU has no bfloat16 arithmetic")
    if requested is None:
        return Choice("fp32", "the same on every CPU")
    return _faster_on_cpu() if ranks.is_first else Choice("fp32", "as the first process says")


def _cpu_has_bf16() -> bool:
    """Whether this CPU computes bfloat16 in hardware, as far as torch tells: of x86 alone."""
    import platform

    import torch

    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    known = [getattr(torch.cpu, name)() for name in asked if hasattr(torch.cpu, name)]
    return any(known) or not known or platform.machine() not in ("x86_64", "AMD64")


def _has_bf16(device: str) -> bool:
    """Whether a GPU, not necessarily the current one, computes bfloat16 in hardware."""
    import torch

    if not device.startswith("cuda"):
        return False
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device)[0] >= 8


def _faster_on_cpu() -> Choice:
    """bf16 where it is clearly faster here, so that one machine always gets the same answer."""
    rates = cpu_rates()
    fp32, bf16 = (f"{rates[precision] / 1e9:.0f}" for precision in ("fp32", "bf16"))
    if rates["bf16"] >= CLEARLY_FASTER * rates["fp32"]:
        return Choice("bf16", f"faster here than fp32: {bf16} against {fp32} GFLOP/s a thread")
    if rates["bf16"] > rates["fp32"]:
        return Choice("fp32", f"bf16 is hardly faster here: {bf16} against {fp32} GFLOP/s a thread")
    return Choice("fp32", f"faster here than bf16: {fp32} against {bf16} GFLOP/s a thread")


def choose_hardware(
    device: str | None,
    precision: str | None,
    ranks: "Ranks",
    reporter: Reporter,
    why: str = "as requested",
) -> tuple["torch.device", str]:
    """The device and precision to use, made ready; device None means auto.

    Says what was chosen and why; `why` is the reason for what is not auto. A GPU of CUDA becomes
    the current one. fp32 is that of IEEE: products are not rounded to TF32 or bfloat16.
    Raises UsageError for an unknown name, DeviceError for what isn't there.
    """
    import torch

    chosen = choose_device(device or "auto", ranks, why)
    number_format = choose_precision(precision, chosen.value, ranks, why)
    reporter.say(
        f"Device: {chosen.value} ({chosen.why}), precision {number_format.value}"
        f" ({number_format.why})"
    )
    if chosen.value == "cpu":
        if precision == "bf16" and not _cpu_has_bf16():
            reporter.warn(
                "this CPU has no bf16 arithmetic: it is emulated, many times slower than fp32"
            )
        # Said once, MKL no longer chooses another number by itself, whatever was measured before.
        torch.set_num_threads(torch.get_num_threads())
    _round_no_products()
    ready = torch.device(chosen.value)
    if ready.type == "cuda":
        torch.cuda.set_device(ready)
    return ready, number_format.value


def _round_no_products() -> None:
    """Products in fp32 are those of IEEE, whatever the process was set to before."""
    import torch

    backends: Any = torch.backends
    # By the older names, too: torch refuses to tell what they and the newer ones disagree on.
    with warnings.catch_warnings():  # some versions warn of the older ones
        warnings.filterwarnings("ignore", message=".*TF32")
        torch.set_float32_matmul_precision("highest")
        backends.cudnn.allow_tf32 = False
    for library, kinds in (
        ("cuda", "matmul"),
        ("cudnn", "conv rnn"),
        ("mkldnn", "matmul conv rnn"),
    ):
        for kind in kinds.split():
            getattr(getattr(backends, library), kind).fp32_precision = "ieee"


def default_generator(device: "torch.device") -> "torch.Generator":
    """What draws on `device` where no generator is given; to seed it alone waits for nothing.

    `torch.manual_seed` asks every kind of device there may be for its own.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    return torch.default_generator


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch failed for want of memory, on any device."""
    import torch

    said = str(error).lower()
    lacking = ("out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed")
    return any(words in said for words in lacking) or isinstance(error, torch.OutOfMemoryError)


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
    system between costs page faults, which made trainings 1.1 to 1.8 times as long. It holds for
    the whole process. glibc only; nothing happens elsewhere.
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
