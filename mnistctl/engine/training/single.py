"""One network from configuration to result: data, run directory, loop, checkpoints, test."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.data.sampling import split_validation
from mnistctl.device import is_out_of_memory
from mnistctl.distributed import (
    Ranks,
    from_first,
    joined,
    one_first,
    share_weights,
    under_torchrun,
    wait_for_all,
)
from mnistctl.engine.inference.scores import Scores
from mnistctl.engine.training.checkpointing import Saver, restore_newest, saver_for
from mnistctl.engine.training.config import (
    TrainRequest,
    check_sizes,
    extended_config,
    new_config,
    resume_command,
    resumed_config,
)
from mnistctl.engine.training.initial import begin
from mnistctl.engine.training.loop import FitData, Hooks, fit
from mnistctl.engine.training.signals import StopRequest, stop_on_signals
from mnistctl.engine.training.state import new_state, result_predictor
from mnistctl.errors import CheckpointError, LackOfMemory
from mnistctl.events import Reporter
from mnistctl.models.registry import num_parameters
from mnistctl.store.checkpoint import Checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.result import RunResult, Score, TrainResult, ValidationScore
from mnistctl.store.rotation import is_intact, load_best
from mnistctl.store.runs import (
    BEST_NAME,
    LAST_NAME,
    RESULT_NAME,
    RunInfo,
    create_run,
    describe,
    write_json,
    writing,
)

DEBOUNCE_SECONDS = 1.0


@dataclass(frozen=True)
class _Job:
    """What every stage of a run needs to know."""

    request: TrainRequest
    config: RunConfig
    device: torch.device
    ranks: Ranks
    reporter: Reporter


def train_one(
    request: TrainRequest,
    run: RunInfo | None,
    ranks: Ranks,
    reporter: Reporter,
    config: RunConfig | None = None,
) -> TrainResult | None:
    """Train one network as a new run, or resume `run`, and test it once at the end.

    `ranks` is the process's place among those that train it together. `config` is that of an
    ensemble's member, None: what the request asks for. Returns and raises what `train` does.
    """
    is_member = config is not None
    if run is None:
        config = config or new_config(request, ranks, reporter)
    else:
        config = extended_config(run, request, Reporter() if is_member else reporter)
        if finished := finished_result(run, config, reporter):
            return finished
        config = resumed_config(config, request, ranks, reporter)
    device = torch.device(config.device)
    with joined(ranks, device):
        config = replace(config, precision=from_first(config.precision))
        job = _Job(request, config, device, ranks, reporter)
        data, test = _load_data(job)
        with (
            stop_on_signals(DEBOUNCE_SECONDS if under_torchrun() else 0.0) as stop,
            _opened(job, run) as saver,
        ):
            size = config.recipe.batch_size
            advice = f" with {size} images per step; for a new run, try --batch-size "
            with _explained_lack_of_memory(job, saver, f"{advice}{max(1, size // 2)}"):
                _fit(job, saver, data, stop)
            with _explained_lack_of_memory(job, saver, " while testing"):
                result = _test(job, saver, test)
        if is_member and stop.requested:  # too late to stop this one, not to begin the next
            raise stop.error("Interrupted at its end; it is complete.", "")
        return result


def final_result(run: RunInfo, config: RunConfig) -> RunResult | None:
    """What a run with all epochs of `config` ended with; None for one that is not finished."""
    enough = run.result is not None and run.result.epochs == config.recipe.epochs
    return run.result if enough else None


def finished_result(run: RunInfo, config: RunConfig, reporter: Reporter) -> TrainResult | None:
    """The result of a run that has all epochs of `config`; None for one that is not finished.

    Nor is one whose network is damaged: what is left to do of it is done again.
    """
    result = final_result(run, config)
    if result is None or not is_intact(run):
        return None
    reporter.say(
        f"Run '{run.name}' is finished after epoch {config.recipe.epochs}."
        " A larger --epochs extends it."
    )
    return TrainResult(run.directory, config, result)


def _load_data(job: _Job) -> tuple[FitData, LabelledImages]:
    """Training data on the device, and the test set."""
    config, dataset = job.config, get_dataset(job.config.dataset)
    with one_first(job.ranks):
        train_set = dataset.load("train", job.request.data_dir, job.reporter)
        test = dataset.load("test", job.request.data_dir, job.reporter)
    check_sizes(config.recipe, config.validation, len(train_set.images))  # some may be skipped
    images, labels, validation = train_set.images, train_set.labels, None
    if config.validation:
        kept, held_out = split_validation(config.seed, len(images), config.validation)
        validation = LabelledImages(images[held_out], labels[held_out])
        images, labels = images[kept], labels[kept]
        _warn_of_copies(images, validation.images, job.reporter)
    training = LabelledImages(images.to(job.device), labels.to(job.device))
    return FitData(training, validation, test if config.test_every_epoch else None), test


def _warn_of_copies(trained: Tensor, held_out: Tensor, reporter: Reporter) -> None:
    """Say how many images, uint8 (n, 28, 28), are both trained on and held out."""
    known = {image.tobytes() for image in trained.numpy()}
    copies = sum(image.tobytes() in known for image in held_out.numpy())
    if copies:
        reporter.warn(
            f"{copies:,} of the {len(held_out):,} images held out for validation equal ones that"
            " are trained on"
        )


@contextlib.contextmanager
def _opened(job: _Job, run: RunInfo | None) -> Iterator[Saver]:
    """The saver of a new run, or of `run` with its state at the newest checkpoint.

    Rank 0 holds the directory from before it is read until the block ends; the others never write.
    """
    config, ranks, reporter = job.config, job.ranks, job.reporter
    state = new_state(config, job.device)
    directory, newest = run.directory if run else None, None
    if run is None and ranks.is_first:
        directory = create_run(job.request.store, config, job.request.name)
        reporter.say(f"Run: {directory.name} in {directory}")
    own = directory if ranks.is_first else None
    with writing(own) if own else contextlib.nullcontext():
        if own:
            reporter.run(own)
        if run is not None:
            if own:
                check_unchanged(run)
            newest = restore_newest(run.directory, config, state, ranks, reporter)
            if own and final_result(run, config):  # of a network that is lost
                (own / RESULT_NAME).unlink(missing_ok=True)
            wait_for_all()  # rank 0 begins to write only when all have read
        if not (state.epochs_done or state.step):
            begin(state, config)
        with saver_for(own, config, state, ranks, newest) as saver:
            yield saver


def check_unchanged(run: RunInfo) -> None:
    """What was read before the lock was held may have been another process's to change."""
    if describe(run.directory).config != run.config:
        raise CheckpointError(
            f"run '{run.name}' was changed by another process just now", "run the command again"
        )


@contextlib.contextmanager
def _explained_lack_of_memory(job: _Job, saver: Saver, when: str) -> Iterator[None]:
    """The step that failed has changed batch statistics: what is saved is the last checkpoint."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        hint = ""
        if saver.directory and (saver.directory / LAST_NAME).exists():
            command = resume_command(saver.directory, job.request, job.ranks)
            hint = f"resume when there is more memory: {command}"
        raise LackOfMemory(f"{job.device} is out of memory{when}", hint) from error


def _fit(job: _Job, saver: Saver, data: FitData, stop: StopRequest) -> None:
    state = saver.state
    hooks = Hooks(job.reporter, saver.record, saver.save, stop)
    if fit(state, job.config, data, job.ranks, hooks):
        return
    where = f"at epoch {state.epochs_done + 1}, step {state.step}. Checkpoint saved."
    if state.step == 0:
        where = f"after epoch {state.epochs_done}. Checkpoint saved."
    if not state.images:
        where = "before the first step."
    hint = ""
    if saver.directory:
        hint = f"Resume with: {resume_command(saver.directory, job.request, job.ranks)}"
    raise stop.error(f"Interrupted {where}", hint)


def _test(job: _Job, saver: Saver, test: LabelledImages) -> TrainResult | None:
    """The one look at the test set, with the weights of the best epoch where one was selected."""
    state, directory, best = saver.state, saver.directory, None
    if state.best_epoch() is not None:
        if directory is not None:
            best = _restore_best(job, saver)
        share_weights(state.result)
    predictor = result_predictor(state, job.config, job.device)
    scores = predictor.scores(test.images, test.labels, job.ranks, job.reporter)
    if directory is None:
        return None
    result = _result(job.config, saver, scores, best)
    write_json(directory, RESULT_NAME, result.to_dict())
    return TrainResult(directory, job.config, result)


def _restore_best(job: _Job, saver: Saver) -> Checkpoint | None:
    """Load best.pt into the model; None when it is lost."""
    assert saver.directory is not None
    try:
        best = load_best(saver.directory, job.config)
    except CheckpointError as error:
        job.reporter.warn(f"{error.message}; the last epoch's network is tested instead")
        return None
    saver.state.result.load_state_dict(best.weights)
    return best


def _result(config: RunConfig, saver: Saver, scores: Scores, best: Checkpoint | None) -> RunResult:
    state, validation = saver.state, None
    if best is not None:
        validation = ValidationScore(
            loss=best.metrics["validation_loss"],
            accuracy=best.metrics["validation_accuracy"],
            total=config.validation,
            epoch=best.metrics["epoch"],
        )
    return RunResult(
        epochs=config.recipe.epochs,
        checkpoint=BEST_NAME if best else LAST_NAME,
        parameters=num_parameters(config.recipe.network, len(config.classes)),
        train_seconds=state.seconds,
        images_per_second=state.images / state.seconds,
        test=Score(**scores.brief()),
        validation=validation,
    )
