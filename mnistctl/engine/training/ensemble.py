"""Training several networks of one recipe, seed by seed, to answer as one."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mnistctl.data.registry import get_dataset
from mnistctl.distributed import Ranks, from_first, joined, one_first, wait_for_all
from mnistctl.engine.inference.loading import network_with
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.engine.training.config import (
    TrainRequest,
    extended_config,
    new_config,
    resume_command,
    resumed_config,
)
from mnistctl.engine.training.signals import sigterm_as_error
from mnistctl.engine.training.single import (
    check_unchanged,
    final_result,
    finished_result,
    train_one,
)
from mnistctl.errors import CheckpointError, Interrupted, LackOfMemory, Terminated
from mnistctl.events import Reporter
from mnistctl.files import explained
from mnistctl.models.ensemble import join_members
from mnistctl.models.registry import num_parameters
from mnistctl.store.checkpoint import Checkpoint, save
from mnistctl.store.config import RunConfig
from mnistctl.store.result import MemberScore, RunResult, Score, TrainResult
from mnistctl.store.rotation import is_ensemble, load_newest
from mnistctl.store.runs import (
    CONFIG_NAME,
    LAST_NAME,
    MEMBERS_NAME,
    RESULT_NAME,
    RunInfo,
    create_run,
    describe,
    is_run,
    write_json,
    writing,
)

POLL_SECONDS = 1.0


def train_ensemble(
    request: TrainRequest, old: RunInfo | None, ranks: Ranks, reporter: Reporter
) -> TrainResult | None:
    """Train an ensemble's members and assemble them, as a new run or resuming `old`.

    Each member is a run of its own within the ensemble's directory, under the name of its seed.
    Started by torchrun, each of n processes trains every nth member, alone.
    Returns and raises what `train` does.
    """
    if old is None:
        config = new_config(request, ranks, reporter)
    else:
        config = extended_config(old, request, reporter)
        if finished := finished_result(old, config, reporter):
            return finished
        config = resumed_config(config, request, ranks, reporter)
    with joined(ranks, torch.device(config.device)):
        # Each member is trained by one process, whatever their number.
        config = replace(config, precision=from_first(config.precision), world_size=1)
        with one_first(ranks):  # what is missing is fetched once
            get_dataset(config.dataset).load("train", request.data_dir, reporter)
        directory = _shared_directory(request, config, old.directory if old else None, ranks)
        wait_for_all()
    reporter.say(f"Run: {directory.name} in {directory}, {config.ensemble} members")
    own = writing(directory) if ranks.is_first else contextlib.nullcontext()
    with _hinting_at_resume(directory, request, ranks), own:
        if ranks.is_first:  # taking the directory sweeps what others would be writing in it
            if old is not None:
                check_unchanged(old)
            write_json(directory, CONFIG_NAME, config.to_dict())
        _train_members(directory, request, config, ranks, reporter)
        return _assemble(directory, request, config, reporter) if ranks.is_first else None


def was_ensemble(run: RunInfo) -> bool:
    """Whether `run`, perhaps damaged, is one of an ensemble."""
    return is_ensemble(run.directory) or bool(run.config and run.config.ensemble > 1)


def _shared_directory(
    request: TrainRequest, config: RunConfig, old: Path | None, ranks: Ranks
) -> Path:
    """The ensemble's directory, made by rank 0 for all."""
    if old is None and ranks.is_first:
        old = create_run(request.store, config, request.name)
        with explained(f"can't make {old / MEMBERS_NAME}", CheckpointError):
            (old / MEMBERS_NAME).mkdir()
    directory = from_first(old)
    assert directory is not None
    return directory


def _train_members(
    directory: Path, request: TrainRequest, config: RunConfig, ranks: Ranks, reporter: Reporter
) -> None:
    """Train the members that fall to this process."""
    members = list(enumerate(_members(directory, config), 1))
    for number, (name, own) in members[ranks.rank :: ranks.world_size]:
        reporter.say(f"Member {number} of {config.ensemble}, seed {own.seed}")
        run = directory / MEMBERS_NAME / name
        begun = is_run(run)
        if begun and _final_weights(run, own) is None:
            (run / RESULT_NAME).unlink(missing_ok=True)  # that of weights since lost, or of less
        asked = TrainRequest(
            store=directory / MEMBERS_NAME,
            data_dir=request.data_dir,
            device=config.device,
            precision=config.precision,
            epochs=own.recipe.epochs,
            log_every=request.log_every,
            checkpoint_every=request.checkpoint_every,
            test_every_epoch=request.test_every_epoch,
            name=name,
        )
        try:
            train_one(asked, describe(run) if begun else None, Ranks(), reporter, own)
        except (Interrupted, Terminated, LackOfMemory) as error:
            raise type(error)(f"member {number}: {error.message}") from error


def _members(directory: Path, config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    """Name and configuration of each member's run."""
    for number in range(config.ensemble):
        seed = config.seed + number
        init = replace(config.init, member=number) if config.init else None
        yield f"seed-{seed}", replace(config, seed=seed, ensemble=1, init=init)


def _final_weights(run: Path, config: RunConfig) -> dict[str, Tensor] | None:
    """The weights of a member after its last epoch; None when it isn't there yet, or no more.

    Raises CheckpointError when it has checkpoints, and none of them is good.
    """
    try:
        newest = load_newest(run, config).checkpoint
    except CheckpointError as error:
        raise CheckpointError(
            f"a member can't be resumed: {error.message}",
            f"remove {run}, then --resume the ensemble: the member is trained again",
        ) from error
    training = newest.training if newest else None
    if not newest or not training or training["step"]:
        return None
    return newest.weights if training["epochs_done"] >= config.recipe.epochs else None


@contextlib.contextmanager
def _hinting_at_resume(directory: Path, request: TrainRequest, ranks: Ranks) -> Iterator[None]:
    """A stop, of a member or between members, is one of the ensemble, which is what to resume."""
    hint = f"Resume with: {resume_command(directory, request, ranks)}"
    try:
        with sigterm_as_error():
            yield
    except (Interrupted, Terminated, LackOfMemory) as error:
        raise type(error)(error.message, hint) from error
    except KeyboardInterrupt as error:
        raise Interrupted("Interrupted. Members trained so far are saved.", hint) from error


def _results(directory: Path, config: RunConfig) -> Iterator[RunResult]:
    """Every member's result; those that other processes train are waited for."""
    for name, own in _members(directory, config):
        run = directory / MEMBERS_NAME / name
        while (result := final_result(describe(run), own)) is None:
            time.sleep(POLL_SECONDS)  # torchrun ends this process when that one fails
        yield result


def _assemble(
    directory: Path, request: TrainRequest, config: RunConfig, reporter: Reporter
) -> TrainResult:
    """Save the members as one checkpoint and test it once."""
    results = list(_results(directory, config))
    members = list(_members(directory, config))
    states = [_final_weights(directory / MEMBERS_NAME / name, own) for name, own in members]
    for (name, _), state in zip(members, states, strict=True):
        if state is None:
            raise CheckpointError(
                f"member {name} has lost its last checkpoint",
                f"train it again: {resume_command(directory, request, Ranks())}",
            )
    weights = join_members([state for state in states if state is not None])
    path = directory / LAST_NAME
    save(path, Checkpoint(weights, config, directory.name))
    device, classes = torch.device(config.device), config.classes
    network = network_with(config.recipe, len(classes), weights, path, config.ensemble).to(device)
    predictor = Predictor(network, config.recipe, classes, device, config.precision, path.name)
    test = get_dataset(config.dataset).load("test", request.data_dir, reporter)
    scores = predictor.scores(test.images, test.labels, reporter=reporter)
    seconds = sum(result.train_seconds for result in results)
    images = sum(result.train_seconds * result.images_per_second for result in results)
    result = RunResult(
        epochs=config.recipe.epochs,
        checkpoint=LAST_NAME,
        parameters=config.ensemble * num_parameters(config.recipe.network, len(classes)),
        train_seconds=seconds,
        images_per_second=images / seconds,
        test=Score(**scores.brief()),
        members=tuple(
            MemberScore(own.seed, result.test.accuracy)
            for (_, own), result in zip(members, results, strict=True)
        ),
    )
    write_json(directory, RESULT_NAME, result.to_dict())
    return TrainResult(directory, config, result)
