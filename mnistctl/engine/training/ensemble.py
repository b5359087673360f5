"""Training several networks of one recipe, seed by seed, to answer as one."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import Tensor

from mnistctl.data.registry import load_split
from mnistctl.device import torch_device
from mnistctl.distributed import Ranks, from_environment, joined, wait_for_all
from mnistctl.engine.inference.evaluate import score
from mnistctl.engine.inference.loading import network_with
from mnistctl.engine.training.config import (
    TrainRequest,
    extended_config,
    new_config,
    resume_command,
    resumed_config,
)
from mnistctl.engine.training.run import TrainResult, final_document, finished_result, train
from mnistctl.engine.training.signals import sigterm_as_error
from mnistctl.errors import CheckpointError, Interrupted, Terminated
from mnistctl.events import NullReporter, Reporter
from mnistctl.models.ensemble import member_name
from mnistctl.models.registry import num_parameters
from mnistctl.store import checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.resolve import find_run
from mnistctl.store.rotation import epochs_saved, is_ensemble, load_newest
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


def train_run(request: TrainRequest, reporter: Reporter) -> TrainResult:
    """Train what `request` asks for: one network, or an ensemble and its members.

    Each member is a run of its own within the ensemble's directory, under the name of its seed.
    Started by torchrun, each process trains every so manieth member, alone.
    Raises what `train` raises.
    """
    ranks = from_environment()
    old = find_run(request.resume, request.store) if request.resume is not None else None
    if request.ensemble in (None, 1) if old is None else not _was_ensemble(old):
        return train(request, reporter)
    if not ranks.is_first:
        reporter = NullReporter()
    alone = Ranks(local_rank=ranks.local_rank)
    if old is None:
        config = new_config(request, alone, reporter)
    else:
        config = extended_config(old, request, reporter)
        if _is_whole(old, config) and (finished := finished_result(old, config, reporter)):
            return finished
        if ranks.world_size > 1 and request.device is None and config.device.startswith("cuda"):
            request = replace(request, device="cuda")  # each process its own card
        config = resumed_config(config, request, alone, reporter)
    with joined(ranks, torch_device(config.device)):
        if ranks.is_first:  # one process fetches what is missing
            load_split(config.dataset, "train", request.data_dir, reporter)
        directory = _shared_directory(request, config, old.directory if old else None, ranks)
        wait_for_all()
    reporter.say(f"Run {directory.name} in {directory}: {config.ensemble} members")
    own = writing(directory) if ranks.is_first else contextlib.nullcontext()
    with _saying_how_to_go_on(directory, request, ranks), own:
        if ranks.is_first:  # taking the directory sweeps what others would be writing in it
            write_json(directory, CONFIG_NAME, config.to_dict())
        results = _train_members(directory, request, config, ranks, reporter)
        return _combine(directory, request, config, results, reporter)


def _was_ensemble(run: RunInfo) -> bool:
    return is_ensemble(run.directory) or bool(run.config and run.config.ensemble > 1)


def _is_whole(run: RunInfo, config: RunConfig) -> bool:
    """Whether an ensemble is put together with all epochs of `config`; if damaged it is to be."""
    try:
        return epochs_saved(run) == config.recipe.epochs
    except CheckpointError:
        return False


def _shared_directory(
    request: TrainRequest, config: RunConfig, old: Path | None, ranks: Ranks
) -> Path:
    """The ensemble's directory, made by rank 0 for all."""
    found = [old]
    if old is None and ranks.is_first:
        directory = create_run(request.store, config, request.name)
        (directory / MEMBERS_NAME).mkdir()
        found = [directory]
    if dist.is_initialized():
        dist.broadcast_object_list(found, src=0)
    assert found[0] is not None
    return found[0]


def _train_members(
    directory: Path, request: TrainRequest, config: RunConfig, ranks: Ranks, reporter: Reporter
) -> list[dict[str, Any]]:
    """Train the members that fall to this process; on rank 0, the results of all of them."""
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
            device=request.device,
            epochs=own.recipe.epochs,
            log_every=request.log_every,
            checkpoint_every=request.checkpoint_every,
            test_every_epoch=request.test_every_epoch,
            name=name,
            resume=name if begun else None,
        )
        try:
            train(asked, reporter, Ranks(local_rank=ranks.local_rank), own)
        except (Interrupted, Terminated) as error:
            raise type(error)(f"member {number}: {error.message}") from error
    return list(_all_results(directory, config)) if ranks.is_first else []


def _members(directory: Path, config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    """Name and configuration of each member's run."""
    for seed in range(config.seed, config.seed + config.ensemble):
        yield f"seed-{seed}", replace(config, seed=seed, ensemble=1)


def _final_weights(run: Path, config: RunConfig) -> dict[str, Tensor] | None:
    """The weights of a member after its last epoch; None when it isn't there yet, or no more.

    Raises CheckpointError when it has checkpoints, and none of them is good.
    """
    try:
        payload = load_newest(run, config).payload
    except CheckpointError as error:
        raise CheckpointError(
            f"a member can't go on: {error.message}",
            f"remove {run}, then --resume the ensemble: the member is trained again",
        ) from error
    training = payload["training"] if payload else {"epochs_done": 0}
    if payload is None or training["epochs_done"] < config.recipe.epochs or training["step"]:
        return None
    weights: dict[str, Tensor] = payload["weights"]
    return weights


@contextlib.contextmanager
def _saying_how_to_go_on(directory: Path, request: TrainRequest, ranks: Ranks) -> Iterator[None]:
    """A stop, of a member or between members, is one of the ensemble, and that is what goes on."""
    hint = f"continue with: {resume_command(directory, request, ranks)}"
    try:
        with sigterm_as_error():
            yield
    except (Interrupted, Terminated) as error:
        raise type(error)(error.message, hint) from error
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; members trained so far are saved", hint) from error


def _all_results(directory: Path, config: RunConfig) -> Iterator[dict[str, Any]]:
    """Every member's result; those that other processes train are waited for."""
    for name, _ in _members(directory, config):
        run = directory / MEMBERS_NAME / name
        while (result := final_document(describe(run), config)) is None:
            time.sleep(POLL_SECONDS)  # torchrun ends this process when that one fails
        yield result


def _combine(
    directory: Path,
    request: TrainRequest,
    config: RunConfig,
    results: list[dict[str, Any]],
    reporter: Reporter,
) -> TrainResult:
    """Save the members as one checkpoint and test it once; only rank 0 has results."""
    if not results:
        return TrainResult({})
    weights: dict[str, Tensor] = {}
    for index, (name, own) in enumerate(_members(directory, config)):
        member = _final_weights(directory / MEMBERS_NAME / name, own)
        if member is None:
            command = resume_command(directory, request, Ranks())
            raise CheckpointError(
                f"member {name} has lost its last checkpoint", f"train it again: {command}"
            )
        weights |= {member_name(index, key): value for key, value in member.items()}
    path = directory / LAST_NAME
    payload = checkpoint.payload_of(directory.name, config, {}, weights)
    checkpoint.save(path, payload | {"members": config.ensemble})
    device = torch_device(config.device)
    model = network_with(config.recipe.network, weights, path, config.ensemble).to(device)
    test = load_split(config.dataset, "test", request.data_dir, reporter)
    scores = score(
        model,
        test.images,
        test.labels,
        config.recipe,
        device,
        config.precision,
        Ranks(),
        reporter,
    )
    seconds = sum(result["train_seconds"] for result in results)
    images = sum(result["train_seconds"] * result["images_per_second"] for result in results)
    document = results[0] | {
        "run": directory.name,
        "run_dir": str(directory),
        "checkpoint": str(path),
        "parameters": config.ensemble * num_parameters(config.recipe.network),
        "train_seconds": seconds,
        "images_per_second": images / seconds,
        "test": scores.brief(),
        "members": [{"seed": result["seed"], "test": result["test"]} for result in results],
    }
    write_json(directory, RESULT_NAME, document)
    return TrainResult(document)
