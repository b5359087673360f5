"""Several processes as one: started by torchrun, joined by torch.distributed (gloo or nccl)."""

import contextlib
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mnistctl.errors import Interrupted, MnistctlError, Terminated

T = TypeVar("T")
TORCHRUN = ("torchrun", "torch.distributed.run")
"""A script and a module."""
PATIENCE = timedelta(hours=12)
"""With another process, which may be downloading or preparing data; one that dies ends all."""


@dataclass(frozen=True)
class Ranks:
    """This process's place among those that train together."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    """Processes on this machine."""

    @property
    def is_first(self) -> bool:
        """Rank 0 alone prints and saves."""
        return self.rank == 0


def from_environment() -> Ranks:
    """The place torchrun gave this process; a single process when torchrun didn't start it."""
    if not under_torchrun():
        return Ranks()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Ranks(*(int(os.environ[name]) for name in names))


def under_torchrun() -> bool:
    """Whether torchrun started this process; other launchers set variables of the same names."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def launch_words() -> list[str] | None:
    """What was typed before this program's own arguments to start it by torchrun, to do so again.

    Read from the command line of torchrun, this process's parent; None where the system, other
    than Linux, doesn't show it.
    """
    try:
        typed = Path(f"/proc/{os.getppid()}/cmdline").read_text().split("\0")[:-1]
    except (OSError, UnicodeError):
        return None
    own = sys.argv[1:]
    launcher = [i for i, word in enumerate(typed) if Path(word).name in TORCHRUN]
    if not launcher or typed[len(typed) - len(own) :] != own:
        return None
    return ["torchrun", *typed[launcher[0] + 1 : len(typed) - len(own)]]


def job() -> str | None:
    """What torchrun's restarts of these processes have in common with their first start.

    None without torchrun, and for several machines that were given no --rdzv-id.
    """
    run_id = os.environ.get("TORCHELASTIC_RUN_ID")
    if run_id is not None and os.environ.get("GROUP_WORLD_SIZE") == "1":
        return f"{run_id} {platform.node()} {os.getppid()} {_started(os.getppid())}"
    return None if run_id == "none" else run_id


def _started(process: int) -> str:
    """When a process started, in ticks since the system did; nothing where only Linux tells it.

    In a container, torchrun has the same number each time.
    """
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (OSError, UnicodeError):
        return ""
    return status.rpartition(")")[2].split()[19]


def is_restarted() -> bool:
    """Whether torchrun has started these processes again, after one of them failed."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


@contextlib.contextmanager
def joined(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Member of the process group while the block runs; nothing to join for a single process.

    A process leaves when all are done: torchrun ends the others when one fails at its exit, as
    torch may while a thread of gloo still holds a tensor, and rank 0 may still be saving.
    One that fails alone does not leave NCCL, which would wait for the others: it ends, and
    torchrun ends them.
    Raises MnistctlError when another process is gone, and where a group was joined before.
    """
    if dist.is_initialized():
        raise MnistctlError(
            "this process is a member of a process group already",
            "let mnistctl be the one that joins: call it before torch.distributed",
        )
    if ranks.world_size == 1:
        yield
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    gpu = device if backend == "nccl" else None
    dist.init_process_group(
        backend,
        timeout=PATIENCE,
        device_id=gpu,
        store=_own_store(ranks),
        rank=ranks.rank,
        world_size=ranks.world_size,
    )
    leaves = backend == "gloo"
    try:
        yield
        wait_for_all()
        leaves = True
    except (Interrupted, Terminated):  # all agreed on stopping
        leaves = True
        raise
    except (RuntimeError, dist.DistBackendError) as error:
        lost = "Connection" in str(error) or "peer" in str(error).lower()
        if not lost and not isinstance(error, dist.DistBackendError):
            raise
        raise MnistctlError(
            "another process of this job has died: stopped",
            "its own output says why; continue from the last checkpoint with --resume",
        ) from error
    finally:
        if leaves:
            dist.destroy_process_group()


def _own_store(ranks: Ranks) -> Any:
    """Where processes that torchrun has started again find each other; None: as torch has it.

    torchrun keeps one store for all its attempts, in which they would find the addresses of
    processes that are gone (pytorch/pytorch#167288). On several machines, these don't count the
    attempts alike.
    """
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if not (shared and is_restarted() and os.environ.get("GROUP_WORLD_SIZE") == "1"):
        return None
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    stores: Any = dist  # which doesn't declare them
    store = stores.TCPStore(*place, ranks.world_size, is_master=False)
    return stores.PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)


@contextlib.contextmanager
def one_first(ranks: Ranks) -> Iterator[None]:
    """One process of each machine runs the block before the others: it fetches, they find."""
    if ranks.local_rank != 0:
        wait_for_all()
    yield
    if ranks.local_rank == 0:
        wait_for_all()


def total_over_ranks(value: Tensor) -> Tensor:
    """`value` summed over all processes, on every process; a single process gets it back."""
    if dist.is_initialized():
        value = value.clone()
        dist.all_reduce(value)
    return value


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its sum over all processes, which have those of the same ones.

    All in one message, the same at every step: the order of a sum decides its last bits.
    (DistributedDataParallel arranges its messages anew after a process's first step, so that of
    three and more processes a resumed run ends in other bits.)
    """
    params = list(parameters)
    own = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
    flat = torch.cat([gradient.flatten() for gradient in own])
    dist.all_reduce(flat)
    sums = flat.split_with_sizes([gradient.numel() for gradient in own])
    for gradient, total in zip(own, sums, strict=True):
        gradient.copy_(total.view(gradient.shape))


def gather_over_ranks(value: Tensor, ranks: Ranks) -> Tensor:
    """The scalar `value` of every process, shape (world_size,), exact, on every process."""
    values = torch.zeros(ranks.world_size, dtype=value.dtype, device=value.device)
    values[ranks.rank] = value
    return total_over_ranks(values)


def any_rank(flag: bool, device: torch.device) -> bool:
    """True on every process when `flag` is true on one."""
    if not dist.is_initialized():
        return flag
    return bool(total_over_ranks(torch.tensor(float(flag), device=device)).item())


def from_first(value: T) -> T:
    """Rank 0's `value` on every process."""
    if not dist.is_initialized():
        return value
    shared = [value]
    dist.broadcast_object_list(shared, src=0)
    return shared[0]


def share_weights(model: nn.Module) -> None:
    """Give every process rank 0's parameters and buffers."""
    if dist.is_initialized():
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def wait_for_all() -> None:
    """Return when every process has come here."""
    if dist.is_initialized():
        dist.barrier()
