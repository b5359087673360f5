"""`train --init`: a run that begins with the weights of a checkpoint."""

import hashlib
from dataclasses import replace
from pathlib import Path

from mnistctl.engine.inference.loading import contents
from mnistctl.engine.training.ema import Average
from mnistctl.engine.training.state import TrainingState
from mnistctl.errors import CheckpointError, UsageError
from mnistctl.events import Reporter
from mnistctl.files import explained
from mnistctl.models.ensemble import split_members
from mnistctl.recipes import RECIPES, Recipe, get_recipe
from mnistctl.store.checkpoint import load
from mnistctl.store.config import Init, RunConfig
from mnistctl.store.resolve import resolve

RATE = 0.1
"""Of the recipe's learning rate: small enough to keep what the weights know."""


def find_init(
    argument: str, recipe: str | None, classes: tuple[str, ...], store: Path, reporter: Reporter
) -> tuple[Init, Recipe]:
    """The checkpoint that `argument` means, and the recipe to train it by.

    That is the recipe of the checkpoint's name, or `recipe`, at a lower rate and with the
    pixels scaled as the weights know them. What suited the checkpoint's data set is left behind.
    A warning says so where `classes`, those to train, are not the checkpoint's.
    Raises CheckpointError, and UsageError for a recipe that trains another network.
    """
    found = resolve(argument, store)
    own, known, _, _ = contents(found.checkpoint)
    usual = RECIPES.get(own.name, own)
    chosen = get_recipe(recipe) if recipe else replace(usual, network=own.network)
    if chosen.network != own.network:
        raise UsageError(
            f"--init {argument} is a network '{own.network}',"
            f" the recipe '{recipe}' trains '{chosen.network}'",
            f"leave out --recipe to train '{own.name}'",
        )
    reporter.say(f"Beginning with {found.label}, by default at {RATE:g} of the learning rate")
    if known != classes:
        reporter.warn(
            f"{found.label} knows other classes: the last layer is trained from the start,"
            f" and the result will know only {', '.join(classes)}"
        )
    gentle = replace(
        chosen,
        learning_rate=RATE * chosen.learning_rate,
        pixel_mean=own.pixel_mean,
        pixel_std=own.pixel_std,
    )
    path = found.path.resolve()
    return Init(str(path), _sha256(path)), gentle


def begin(state: TrainingState, config: RunConfig) -> None:
    """Give the network of a new `state` the weights that `config` begins with, if any.

    The last layer stays as it was drawn where the classes differ.
    Raises CheckpointError where the file isn't what it was when the run was started.
    """
    if config.init is None:
        return
    path = Path(config.init.checkpoint)
    if _sha256(path) != config.init.sha256:
        raise CheckpointError(f"{path} was changed since this run began with it", "start it anew")
    _, classes, members, weights = contents(load(path))
    if members > 1:
        weights = split_members(weights, members)[config.init.member % members]
    if classes != config.classes:
        layer = list(weights)[-1].rpartition(".")[0]
        drawn = state.model.state_dict()
        weights |= {key: drawn[key] for key in weights if key.startswith(f"{layer}.")}
    state.model.load_state_dict(weights)
    if state.average:
        state.average = Average(state.model, state.average.decay)


def _sha256(path: Path) -> str:
    with (
        explained(f"can't read {path}", CheckpointError, "start the run anew"),
        path.open("rb") as file,
    ):
        return hashlib.file_digest(file, "sha256").hexdigest()
