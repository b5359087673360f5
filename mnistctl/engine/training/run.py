"""A training run from request to result: data, run directory, loop, checkpoints, test."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mnistctl.data.registry import load_split
from mnistctl.data.sampling import split_validation
from mnistctl.device import torch_device
from mnistctl.distributed import (
    Ranks,
    from_environment,
    joined,
    share_weights,
    wait_for_all,
)
from mnistctl.engine.inference.evaluate import Scores, score
from mnistctl.engine.training.batches import LabelledImages
from mnistctl.engine.training.checkpointing import Saver, restore_newest, saver_for
from mnistctl.engine.training.config import (
    TrainRequest,
    extended_config,
    new_config,
    resume_command,
    resumed_config,
)
from mnistctl.engine.training.loop import FitData, Hooks, fit
from mnistctl.engine.training.signals import StopRequest, stop_on_signals
from mnistctl.engine.training.state import new_state
from mnistctl.errors import CheckpointError
from mnistctl.events import NullReporter, Reporter
from mnistctl.models.registry import num_parameters
from mnistctl.store.config import RunConfig
from mnistctl.store.resolve import find_run
from mnistctl.store.rotation import load_best
from mnistctl.store.runs import (
    BEST_NAME,
    LAST_NAME,
    RESULT_NAME,
    RunInfo,
    create_run,
    write_json,
    writing,
)


@dataclass(frozen=True)
class TrainResult:
    """What `mnistctl train` did: its JSON document, less `wall_seconds`."""

    document: dict[str, Any]


@dataclass(frozen=True)
class _Job:
    """What every stage of a run needs to know."""

    request: TrainRequest
    config: RunConfig
    device: torch.device
    ranks: Ranks
    reporter: Reporter


def train(
    request: TrainRequest,
    reporter: Reporter,
    ranks: Ranks | None = None,
    config: RunConfig | None = None,
) -> TrainResult:
    """Train one network as a new run, or continue one, and test it once at the end.

    Under torchrun every process calls this; rank 0 alone reports and saves. `ranks` is the
    process's place among those that train together, None: all that torchrun started. `config` is
    that of a new run, None: what the request asks for.
    Raises UsageError, DataError, DeviceError, CheckpointError; Interrupted or Terminated when a
    signal stopped the run, after it was saved.
    """
    ranks = ranks or from_environment()
    if not ranks.is_first:
        reporter = NullReporter()
    run = None
    if request.resume is None:
        config = config or new_config(request, ranks, reporter)
    else:
        run = find_run(request.resume, request.store)
        config = extended_config(run, request, reporter)
        if finished := finished_result(run, config, reporter):
            return finished
        config = resumed_config(config, request, ranks, reporter)
    job = _Job(request, config, torch_device(config.device), ranks, reporter)
    debounce = 1.0 if ranks.world_size > 1 else 0.0
    with joined(ranks, job.device):
        data, test = _load_data(job)
        with stop_on_signals(debounce) as stop, _opened(job, run) as saver:
            _fit(job, saver, data, stop)
            return _test(job, saver, test)


def final_document(run: RunInfo, config: RunConfig) -> dict[str, Any] | None:
    """What a run with all epochs of `config` said at its end; None for one that is to go on."""
    if run.state != "finished" or not run.result:
        return None
    return run.result if run.result["epochs"] == config.recipe.epochs else None


def finished_result(run: RunInfo, config: RunConfig, reporter: Reporter) -> TrainResult | None:
    """The result of a run that has all epochs of `config`, its paths being where it is now.

    None for a run that is to go on.
    """
    document = final_document(run, config)
    if document is None:
        return None
    reporter.say(
        f"Run '{run.name}' is finished: {config.recipe.epochs} epochs are done."
        " A larger --epochs extends it."
    )
    checkpoint_name = Path(document["checkpoint"]).name
    here = {"run": run.name, "run_dir": str(run.directory)}
    return TrainResult(document | here | {"checkpoint": str(run.directory / checkpoint_name)})


def _load_data(job: _Job) -> tuple[FitData, LabelledImages]:
    """Training data on the device, and the test set. Missing files are fetched by one process."""
    config = job.config
    if job.ranks.local_rank != 0:
        wait_for_all()
    train_set = load_split(config.dataset, "train", job.request.data_dir, job.reporter)
    test_set = load_split(config.dataset, "test", job.request.data_dir, job.reporter)
    if job.ranks.local_rank == 0:
        wait_for_all()
    test = LabelledImages(test_set.images, test_set.labels)
    images, labels, validation = train_set.images, train_set.labels, None
    if config.validation:
        kept, held_out = split_validation(config.seed, len(images), config.validation)
        validation = LabelledImages(images[held_out], labels[held_out])
        images, labels = images[kept], labels[kept]
    training = LabelledImages(images.to(job.device), labels.to(job.device))
    return FitData(training, validation, test if config.test_every_epoch else None), test


@contextlib.contextmanager
def _opened(job: _Job, run: RunInfo | None) -> Iterator[Saver]:
    """The saver of a new run, or of `run` with its state at the newest checkpoint.

    Rank 0 holds the directory from before it is read until the block ends; the others never write.
    """
    config, ranks, reporter = job.config, job.ranks, job.reporter
    state = new_state(config.recipe, config.seed, job.device)
    directory, newest = run.directory if run else None, None
    if run is None and ranks.is_first:
        directory = create_run(job.request.store, config, job.request.name)
        reporter.say(f"Run {directory.name} in {directory}")
    own = directory if ranks.is_first else None
    with writing(own) if own else contextlib.nullcontext():
        if run is not None:
            newest = restore_newest(run.directory, config, state, ranks, reporter)
            wait_for_all()  # rank 0 begins to write only when all have read
        with saver_for(own, config, state, ranks, newest) as saver:
            yield saver


def _fit(job: _Job, saver: Saver, data: FitData, stop: StopRequest) -> None:
    state = saver.state
    hooks = Hooks(job.reporter, saver.record, saver.save, stop)
    if fit(state, job.config, data, job.ranks, hooks):
        return
    where = f"in epoch {state.epochs_done + 1} after step {state.step}"
    if state.step == 0:
        where = f"after epoch {state.epochs_done}"
    hint = ""
    if saver.directory:
        hint = f"continue with: {resume_command(saver.directory, job.request, job.ranks)}"
    raise stop.error(f"stopped {where}; everything is saved", hint)


def _test(job: _Job, saver: Saver, test: LabelledImages) -> TrainResult:
    """The one look at the test set, with the weights of the best epoch where one was selected."""
    config, state = job.config, saver.state
    best = state.best_epoch()
    if best is not None:
        if saver.directory is not None:
            best = _restore_best(job, saver)
        share_weights(state.result)
    scores = score(
        state.result,
        test.images,
        test.labels,
        config.recipe,
        job.device,
        config.precision,
        job.ranks,
        job.reporter,
    )
    document = _document(config, saver, scores, best)
    if saver.directory is not None:
        write_json(saver.directory, RESULT_NAME, document)
    return TrainResult(document)


def _restore_best(job: _Job, saver: Saver) -> dict[str, Any] | None:
    """Load best.pt into the model; the record of its epoch, None when best.pt is lost."""
    assert saver.directory is not None
    try:
        payload = load_best(saver.directory, job.config)
    except CheckpointError as error:
        job.reporter.warn(f"{error.message}; the last epoch's network is tested instead")
        return None
    saver.state.result.load_state_dict(payload["weights"])
    metrics: dict[str, Any] = payload["metrics"]
    return metrics


def _document(
    config: RunConfig, saver: Saver, scores: Scores, best: dict[str, Any] | None
) -> dict[str, Any]:
    state, directory = saver.state, saver.directory
    validation = None
    if best is not None:
        validation = {
            "loss": best["validation_loss"],
            "accuracy": best["validation_accuracy"],
            "total": config.validation,
            "epoch": best["epoch"],
        }
    return {
        "run": directory.name if directory else "",
        "run_dir": str(directory or ""),
        "checkpoint": str(directory / (BEST_NAME if best else LAST_NAME)) if directory else "",
        "recipe": config.recipe.name,
        "dataset": config.dataset,
        "device": config.device,
        "precision": config.precision,
        "threads": config.threads,
        "world_size": config.world_size,
        "seed": config.seed,
        "epochs": config.recipe.epochs,
        "parameters": num_parameters(config.recipe.network),
        "train_seconds": state.seconds,
        "images_per_second": state.images / state.seconds,
        "test": scores.brief(),
        "validation": validation,
        "settings": config.recipe.to_dict(),
    }
