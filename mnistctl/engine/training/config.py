"""From what was asked for to the configuration of a run, new or resumed."""

import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from mnistctl import __version__
from mnistctl.data.images import Dataset
from mnistctl.data.registry import DEFAULT_DATASET, get_dataset
from mnistctl.device import choose_hardware
from mnistctl.distributed import Ranks, job, launch_words
from mnistctl.engine.training.initial import find_init
from mnistctl.errors import CheckpointError, UsageError, unknown
from mnistctl.events import Reporter
from mnistctl.models.registry import networks
from mnistctl.recipes import (
    DEFAULT_RECIPE,
    RECIPES,
    Augmentation,
    Recipe,
    check_fields,
    get_recipe,
    with_settings,
)
from mnistctl.store.config import (
    DEFAULT_DATA_DIR,
    DEFAULT_STORE,
    MAX_MEMBERS,
    Init,
    RunConfig,
    data_words,
    program_words,
    store_words,
)
from mnistctl.store.resolve import resolve
from mnistctl.store.rotation import saved_config
from mnistctl.store.runs import RunInfo, check_free, check_name, check_store, utc_now

DEFAULT_LOG_EVERY = 20
MAX_STEPS = 1_000_000_000
T = TypeVar("T")


@dataclass(frozen=True)
class TrainRequest:
    """What the user asks of a run; None = not given: the default, or the resumed run's value."""

    store: Path = DEFAULT_STORE
    data_dir: Path = DEFAULT_DATA_DIR
    recipe: str | None = None
    dataset: str | None = None
    """A name, or a directory with its options (see `data.folder.parse`)."""
    init: str | None = None
    """A checkpoint whose weights to begin with."""
    device: str | None = None
    precision: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    settings: Sequence[str] = ()
    """Other fields of the recipe, as `--set` takes them."""
    seed: int | None = None
    validation: int | None = None
    ensemble: int | None = None
    log_every: int | None = None
    checkpoint_every: int | None = None
    test_every_epoch: bool | None = None
    name: str | None = None
    resume: str | None = None
    command: str = ""
    """What was typed, to be recorded."""


def new_config(request: TrainRequest, ranks: Ranks, reporter: Reporter) -> RunConfig:
    """The configuration of a new run. Raises UsageError or DeviceError before anything is made."""
    dataset = get_dataset(_default(request.dataset, DEFAULT_DATASET))
    init, base = None, get_recipe(_default(request.recipe, DEFAULT_RECIPE))
    if request.init is not None:
        init, base = find_init(
            request.init, request.recipe, dataset.classes, request.store, reporter
        )
    recipe = _asked_recipe(request, _adapted(base, dataset, init))
    check_store(request.store)
    if request.name is not None:
        check_name(request.name)
        check_free(request.store / request.name)
    ensemble = 1 if request.ensemble is None else request.ensemble
    if not 1 <= ensemble <= MAX_MEMBERS:
        raise UsageError(f"--ensemble {ensemble}: must be between 1 and {MAX_MEMBERS}")
    seed = request.seed or 0
    if not 0 <= seed <= (1 << 63) - ensemble:
        raise UsageError(f"--seed {seed}: must be between 0 and 2**63 - {ensemble}")
    validation = request.validation or 0
    check_sizes(recipe, validation, dataset.sizes["train"])
    if ensemble > 1 and validation:
        raise UsageError("--ensemble trains on all images: leave out --validation")
    log_every = _positive("--log-every", request.log_every, DEFAULT_LOG_EVERY)
    checkpoint_every = _steps_between(request.checkpoint_every, 0)
    hardware = choose_hardware(request.device, request.precision or "auto", ranks, reporter)
    config = RunConfig(
        recipe=recipe,
        dataset=dataset.name,
        dataset_sha256=dataset.fingerprint(),
        classes=dataset.classes,
        seed=seed,
        validation=validation,
        device=str(hardware[0]),
        precision=hardware[1],
        threads=torch.get_num_threads(),
        world_size=ranks.world_size,
        log_every=log_every,
        checkpoint_every=checkpoint_every,
        test_every_epoch=bool(request.test_every_epoch),
        started=utc_now(),
        command=request.command,
        versions=_versions(),
        ensemble=ensemble,
        init=init,
        job=job(),
    )
    return _checked(config)


def check_sizes(recipe: Recipe, validation: int, size: int) -> None:
    """Raise UsageError unless `size` images can be divided so, with a batch left to train on."""
    if not 0 <= validation < size:
        raise UsageError(
            f"--validation {validation}: must be between 0 and {size - 1}, as there are {size}"
            " training images"
        )
    if recipe.batch_size > size - validation:
        raise UsageError(
            f"--batch-size {recipe.batch_size} is larger than the {size - validation}"
            " images to train on"
        )


def _checked(config: RunConfig) -> RunConfig:
    """`config`, if it can be read again; from Python, numbers may be of any type."""
    try:
        check_fields(config)
    except TypeError as error:
        raise UsageError(f"an option is of the wrong type: {error}") from error
    return config


def _adapted(recipe: Recipe, dataset: Dataset, init: Init | None) -> Recipe:
    """`recipe` as it suits the data set; initial weights know pixels scaled as they were."""
    adapted = dataset.adapt(recipe)
    if init is None:
        return adapted
    kept = {key: getattr(recipe, key) for key in ("pixel_mean", "pixel_std")}
    usual = RECIPES.get(recipe.name, recipe)
    changed = {key: value for key, value in kept.items() if value != getattr(usual, key)}
    others = {key: value for key, value in adapted.adapted.items() if key not in kept}
    return replace(adapted, **kept, adapted=others | changed)


def _asked_recipe(request: TrainRequest, recipe: Recipe) -> Recipe:
    """`recipe` with the fields that `request` sets. Raises UsageError where it can't train."""
    options = {
        "epochs": request.epochs,
        "batch_size": request.batch_size,
        "learning_rate": request.learning_rate,
    }
    changed = with_settings(recipe, request.settings, options)
    if changed.network not in networks():
        raise unknown("network", changed.network, tuple(networks()))
    return changed


def extended_config(run: RunInfo, request: TrainRequest, reporter: Reporter) -> RunConfig:
    """The configuration of `run`, with a larger total of epochs if asked.

    The rule: what decides the result comes from the run, and asking for another value is an
    error; what only reports (--log-every, --checkpoint-every, --test-every-epoch) may change.
    Raises UsageError naming the conflicting options, CheckpointError for a damaged run.
    """
    old = run.config or saved_config(run.directory)
    if old is None:
        raise CheckpointError(
            f"run '{run.name}' can't be resumed: its config.json is missing or damaged,"
            " and no checkpoint holds a copy",
            "start it anew under another --name",
        )
    refuse_conflicts(run.name, old, request)
    if get_dataset(old.dataset).fingerprint() != old.dataset_sha256:
        raise CheckpointError(
            f"run '{run.name}' was trained on another version of the data set '{old.dataset}'",
            "start it anew under another --name",
        )
    epochs = old.recipe.epochs if request.epochs is None else request.epochs
    if epochs < old.recipe.epochs:
        raise UsageError(
            f"--epochs {epochs} is less than the {old.recipe.epochs} of run '{run.name}'",
            "--epochs is the total; give a larger one to extend the run",
        )
    recipe = with_settings(old.recipe, (), {"epochs": epochs})
    if epochs > old.recipe.epochs and (planned := _planned_by_length(recipe)):
        reporter.warn(
            f"from here on the run follows the plan of {epochs} epochs ({planned});"
            " a run of that length from the start would differ"
        )
    return replace(old, recipe=recipe)


def _planned_by_length(recipe: Recipe) -> str:
    """What of a training depends on its number of epochs."""
    depends = {
        "learning rate": recipe.schedule != "constant",
        "augmentation": recipe.augmentation != Augmentation() and recipe.no_augment_epochs > 0,
        "outliers": recipe.rejects,
    }
    return ", ".join(name for name, so in depends.items() if so)


def resumed_config(
    old: RunConfig, request: TrainRequest, ranks: Ranks, reporter: Reporter
) -> RunConfig:
    """The configuration with which a run is resumed: `old`, on the hardware of this process.

    Raises UsageError, and DeviceError when the run's device is not here.
    """
    kept_device = old.device
    if ranks.world_size > 1 and old.device.startswith("cuda"):
        kept_device = "cuda"  # each process its own GPU
    precision = old.precision if request.precision in (None, "auto") else request.precision
    log_every = _positive("--log-every", request.log_every, old.log_every)
    checkpoint_every = _steps_between(request.checkpoint_every, old.checkpoint_every)
    device, precision = choose_hardware(
        request.device or kept_device,
        precision,
        ranks,
        reporter,
        "as requested" if request.device or request.precision else "as in the original run",
    )
    new = replace(
        old,
        device=str(device),
        precision=precision,
        threads=torch.get_num_threads(),
        world_size=ranks.world_size,
        log_every=log_every,
        checkpoint_every=checkpoint_every,
        test_every_epoch=_default(request.test_every_epoch, old.test_every_epoch),
        versions=_versions(),
    )
    moved = [
        f"{field}: {getattr(old, field)} -> {getattr(new, field)}"
        for field in ("device", "precision", "threads", "world_size", "versions")
        if getattr(old, field) != getattr(new, field)
    ]
    if moved:
        reporter.warn(f"the last bits may differ from an uninterrupted run ({'; '.join(moved)})")
    return _checked(new)


def resume_command(directory: Path, request: TrainRequest, ranks: Ranks) -> str:
    """The exact command that continues the run in `directory`."""
    launch = launch_words() if ranks.world_size > 1 else None
    words = [*(launch or program_words(ranks.world_size)), "train", "--resume", directory.name]
    words += [*store_words(directory.parent), *data_words(request.data_dir)]
    return shlex.join(words)


def refuse_conflicts(name: str, old: RunConfig, request: TrainRequest) -> None:
    """Raise UsageError where `request` asks for another result than run `name` has, by `old`."""
    given: dict[str, tuple[Any, Any]] = {
        "--recipe": (request.recipe, old.recipe.name),
        "--dataset": (request.dataset and get_dataset(request.dataset).name, old.dataset),
        "--batch-size": (request.batch_size, old.recipe.batch_size),
        "--lr": (request.learning_rate, old.recipe.learning_rate),
        "--seed": (request.seed, old.seed),
        "--validation": (request.validation, old.validation),
        "--ensemble": (request.ensemble, old.ensemble),
        "--name": (request.name, name),
    }
    conflicts = [
        f"{option} {asked} (the run has {has})"
        for option, (asked, has) in given.items()
        if asked not in (None, has)
    ]
    begun = old.init and old.init.checkpoint
    if request.init is not None and _path_of(request.init, request.store) != begun:
        conflicts.append(f"--init {request.init} (the run has {begun or 'none'})")
    if with_settings(old.recipe, request.settings).settings != old.recipe.settings:
        conflicts.append(
            f"--set {' --set '.join(request.settings)} (the run has {old.recipe.label})"
        )
    if conflicts:
        out = "it" if len(conflicts) == 1 else "them"
        raise UsageError(
            f"--resume {name} conflicts with {', '.join(conflicts)}",
            f"leave {out} out, or start a new run without --resume",
        )


def _path_of(init: str, store: Path) -> str:
    return str(resolve(init, store).path.resolve())


def _positive(option: str, value: int | None, default: int) -> int:
    value = default if value is None else value
    if not 1 <= value <= MAX_STEPS:
        raise UsageError(f"{option} {value}: must be between 1 and {MAX_STEPS}")
    return value


def _steps_between(value: int | None, default: int) -> int:
    value = _default(value, default)
    if not 0 <= value <= MAX_STEPS:
        raise UsageError(
            f"--checkpoint-every {value}: must be between 0 (only after each epoch) and {MAX_STEPS}"
        )
    return value


def _default(value: T | None, default: T) -> T:
    return default if value is None else value


def _versions() -> dict[str, str]:
    return {
        "mnistctl": __version__,
        "torch": str(torch.__version__),  # a str subclass that checkpoints must not hold
        "python": platform.python_version(),
    }
