"""A training run from request to result: data, run directory, loop, checkpoints, test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mnistctl.data.batches import split_validation
from mnistctl.data.dataset import load_split
from mnistctl.device import torch_device
from mnistctl.engine.distributed import (
    Ranks,
    from_environment,
    joined,
    share_weights,
    wait_for_all,
)
from mnistctl.engine.evaluate import Scores, score
from mnistctl.engine.fit import FitData, Hooks, LabelledImages, fit
from mnistctl.engine.plan import TrainRequest, new_config, resume_command, resumed_config
from mnistctl.engine.saving import Saver, saver_for
from mnistctl.engine.state import TrainingState, new_state, restore
from mnistctl.engine.stopping import stop_on_signals
from mnistctl.events import NullReporter, Reporter
from mnistctl.models.registry import num_parameters
from mnistctl.store import checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.find import match_run
from mnistctl.store.runs import (
    BEST_NAME,
    LAST_NAME,
    RESULT_NAME,
    RunInfo,
    create_run,
    load_newest,
    write_json,
)


@dataclass(frozen=True)
class TrainResult:
    """What `mnistctl train` did: its JSON document, less `wall_seconds`."""

    document: dict[str, Any]
    already_finished: bool = False


@dataclass(frozen=True)
class _Job:
    """What every stage of a run needs to know."""

    request: TrainRequest
    config: RunConfig
    device: torch.device
    ranks: Ranks
    reporter: Reporter


def train(request: TrainRequest, reporter: Reporter) -> TrainResult:
    """Train a new run, or continue one, and test it once at the end.

    Under torchrun every process calls this; rank 0 alone reports and saves.
    Raises UsageError, DataError, DeviceError, CheckpointError; Interrupted or Terminated when a
    signal stopped the run, after it was saved.
    """
    ranks = from_environment()
    if not ranks.is_first:
        reporter = NullReporter()
    run = None
    if request.resume is None:
        config = new_config(request, ranks, reporter)
    else:
        run = match_run(request.resume, request.store)
        config = resumed_config(run, request, ranks, reporter)
        if run.state == "finished" and run.result and config.recipe.epochs == run.result["epochs"]:
            reporter.say(
                f"Run '{run.name}' is finished: {config.recipe.epochs} epochs are done."
                " A larger --epochs extends it."
            )
            return TrainResult(run.result, already_finished=True)
    job = _Job(request, config, torch_device(config.device), ranks, reporter)
    with joined(ranks, job.device):
        data, test = _load_data(job)
        state = new_state(config.recipe, config.seed, job.device)
        directory = _open_directory(job, run, state)
        with saver_for(directory, config, state) as saver:
            _fit(job, saver, data)
            return _test(job, saver, test)


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


def _open_directory(job: _Job, run: RunInfo | None, state: TrainingState) -> Path | None:
    """The run's directory, with `state` brought to its newest checkpoint when it is resumed.

    None on the processes that don't write.
    """
    if run is None:
        if not job.ranks.is_first:
            return None
        directory = create_run(job.request.store, job.config.recipe.name, job.request.name)
        job.reporter.say(f"Run {directory.name} in {directory}")
        return directory
    newest = load_newest(run.directory)
    for problem in newest.problems:
        job.reporter.warn(f"{problem}; continuing from {newest.path.name}")
    if newest.payload is not None:
        restore(state, newest.payload["training"], keep_loss_sum=job.ranks.is_first)
    job.reporter.say(f"Run {run.name} continues after epoch {state.epochs_done}, step {state.step}")
    wait_for_all()  # rank 0 begins to write only when all have read
    return run.directory if job.ranks.is_first else None


def _fit(job: _Job, saver: Saver, data: FitData) -> None:
    state = saver.state
    with stop_on_signals(debounce=1.0 if job.ranks.world_size > 1 else 0.0) as stop:
        hooks = Hooks(job.reporter, saver.record, saver.save, stop)
        if fit(state, job.config, data, job.ranks, hooks):
            return
    name = saver.directory.name if saver.directory else ""
    raise stop.error(
        f"stopped in epoch {state.epochs_done + 1} after step {state.step}; everything is saved",
        f"continue with: {resume_command(name, job.request)}",
    )


def _test(job: _Job, saver: Saver, test: LabelledImages) -> TrainResult:
    """The one look at the test set, with the weights of the best epoch where one was selected."""
    config, state = job.config, saver.state
    best = state.best_epoch()
    if best is not None and best is not state.history[-1]:
        if saver.directory is not None:
            weights = checkpoint.load(saver.directory / BEST_NAME)["weights"]
            state.model.load_state_dict(weights)
        share_weights(state.model)
    scores = score(
        state.model,
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
