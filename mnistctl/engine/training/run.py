"""Training, from request to result: one network, or an ensemble of them."""

import contextlib
import threading
from dataclasses import replace

import torch

from mnistctl.device import keep_freed_memory
from mnistctl.distributed import from_environment, is_restarted, job
from mnistctl.engine.training.config import TrainRequest, refuse_conflicts
from mnistctl.engine.training.ensemble import train_ensemble, was_ensemble
from mnistctl.engine.training.single import train_one
from mnistctl.errors import UsageError
from mnistctl.events import Reporter
from mnistctl.store.find import find_run
from mnistctl.store.result import TrainResult
from mnistctl.store.runs import RunInfo, list_runs

_ONE_AT_A_TIME = threading.RLock()
"""Of several threads: initial weights and dropout come from torch's global generator."""


def train(request: TrainRequest, reporter: Reporter) -> TrainResult | None:
    """Train what `request` asks for, save it, and test it once at the end.

    Under torchrun every process calls this: together they train one network, or each trains
    members of an ensemble. Rank 0 alone reports and saves, and its result is the one that counts.
    Started again by torchrun, they resume the run that they had begun.
    The process keeps what memory is freed from here on (`device.keep_freed_memory`); torch's
    generator on the CPU is left as it was.
    Raises UsageError, DataError, DeviceError, CheckpointError; Interrupted or Terminated when a
    signal stopped the run, after it was saved; LackOfMemory; MnistctlError where training
    diverges or another process has died.
    """
    keep_freed_memory()
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
        return _train(request, reporter)


def _train(request: TrainRequest, reporter: Reporter) -> TrainResult | None:
    ranks = from_environment()
    if not ranks.is_first:
        reporter = Reporter()
    old = find_run(request.resume, request.store) if request.resume is not None else None
    if old is None and is_restarted() and (old := _begun_before(request)):
        request = replace(request, resume=old.name, init=None)
    if request.ensemble not in (None, 1) if old is None else was_ensemble(old):
        return train_ensemble(request, old, ranks, reporter)
    return train_one(request, old, ranks, reporter)


def _begun_before(request: TrainRequest) -> RunInfo | None:
    """The newest run that this job of torchrun has begun for `request` before it was restarted."""
    own = job()
    for run in reversed(list_runs(request.store)):
        old = run.config
        if old is None or own is None or old.job != own:
            continue
        with contextlib.suppress(UsageError):  # begun for another request of the same script
            refuse_conflicts(run.name, old, replace(request, init=None))
            if request.epochs in (None, old.recipe.epochs):
                return run
    return None
