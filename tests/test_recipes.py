"""Recipes are what their documents say, and their names agree with the networks."""

import json
from dataclasses import replace
from typing import Any

import pytest

from mnistctl.errors import UsageError
from mnistctl.models.registry import networks, num_parameters
from mnistctl.recipes import (
    DEFAULT_RECIPE,
    RECIPES,
    Augmentation,
    Recipe,
    get_recipe,
    recipe_of_network,
    with_settings,
)
from tests.bench.candidates import CANDIDATES

DOCUMENTED = {
    "mlp": (109_386, 64, "sgd", 0.003, 15, (0.5, 0.5)),
    "cnn-small": (21_840, 100, "adam", 1e-3, 10, (0.0, 1.0)),
    "cnn-wide": (421_642, 64, "adam", 1e-3, 10, (0.5, 0.5)),
    "cnn-dropout": (1_199_882, 64, "adam", 1e-3, 10, (0.5, 0.5)),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_recipe_is_its_document(name: str) -> None:
    recipe = RECIPES[name]
    assert (
        num_parameters(recipe.network, 10),
        recipe.batch_size,
        recipe.optimizer,
        recipe.learning_rate,
        recipe.epochs,
        (recipe.pixel_mean, recipe.pixel_std),
    ) == DOCUMENTED[name]
    assert recipe.schedule == "constant"
    assert recipe.weight_decay == recipe.label_smoothing == 0


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda r: r.name)
def test_summary_gives_the_size(recipe: Recipe) -> None:
    size = f"{num_parameters(recipe.network, 10):,} parameters"
    assert size in recipe.summary or "784-128-64-10" in recipe.summary


def test_every_recipe_names_a_network() -> None:
    own = set(networks()) - CANDIDATES.keys()  # which a benchmark registers
    assert {recipe.network for recipe in RECIPES.values()} == own
    assert DEFAULT_RECIPE in RECIPES
    for name, recipe in RECIPES.items():
        assert get_recipe(name) is recipe
        assert recipe.name == name
        assert recipe_of_network(recipe.network).network == recipe.network


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda r: r.name)
def test_round_trip_through_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_a_network_that_no_recipe_trains() -> None:
    with pytest.raises(UsageError, match="no recipe trains the network 'own'"):
        recipe_of_network("own")


def test_unknown_recipe_names_the_near_match() -> None:
    with pytest.raises(UsageError, match="did you mean 'cnn-small'") as caught:
        get_recipe("cnn-smal")
    assert "cnn-dropout" in caught.value.hint


CHANGES: dict[str, tuple[str, Any]] = {
    "epochs=3": ("epochs", 3),
    "batch_size=32": ("batch_size", 32),
    "learning_rate=1e-4": ("learning_rate", 0.0001),
    "learning_rate=1": ("learning_rate", 1.0),
    "optimizer=sgd": ("optimizer", "sgd"),
    "schedule=constant": ("schedule", "constant"),
    "network=mlp": ("network", "mlp"),
    "betas=0.5,0.75": ("betas", (0.5, 0.75)),
    "tta_shifts=true": ("tta_shifts", True),
    "ema_decay=0.5": ("ema_decay", 0.5),
    "augmentation.rotate=15": ("augmentation", Augmentation(15.0, 0.1, 0.1, 1.5)),
}


@pytest.mark.parametrize("setting", CHANGES)
def test_a_setting_changes_its_field_alone(setting: str) -> None:
    field, value = CHANGES[setting]
    changed = with_settings(RECIPES["standard"], [setting])
    assert changed == replace(RECIPES["standard"], **{field: value})
    assert type(getattr(changed, field)) is type(value)
    assert Recipe.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed


def test_settings_add_up() -> None:
    settings = ["augmentation.shift=0", "tta_shifts=true", "augmentation.elastic=0.5"]
    changed = with_settings(RECIPES["standard"], settings, {"epochs": 3, "batch_size": None})
    assert changed.augmentation == Augmentation(10, 0.1, 0.1, 0.0, elastic=0.5)
    assert (changed.tta_shifts, changed.epochs, changed.batch_size) == (True, 3, 250)
    assert with_settings(changed, ["tta_shifts=false"]).tta_shifts is False
    assert with_settings(RECIPES["mlp"], []) == RECIPES["mlp"]


REFUSED = {
    "epochs=0": "--set epochs=0: must be between 1 and 10000",
    "epochs=10001": "--set epochs=10001: must be between 1 and 10000",
    "epochs=2.5": "--set epochs=2.5: must be a whole number",
    "batch_size=x": "--set batch_size=x: must be a whole number",
    "learning_rate=fast": "--set learning_rate=fast: must be a number",
    "learning_rate=nan": "--set learning_rate=nan: must be a finite number greater than 0",
    "learning_rate=inf": "--set learning_rate=inf: must be a finite number greater than 0",
    "learning_rate=": "--set learning_rate=: must be a number",
    "weight_decay=-1": "--set weight_decay=-1: must be between 0 and 1000",
    "momentum=1": "--set momentum=1: must be at least 0 and less than 1",
    "pixel_mean=nan": "--set pixel_mean=nan: must be between -1000 and 1000",
    "tta_shifts=yes": "--set tta_shifts=yes: must be true or false",
    "optimizer=lion": "--set optimizer=lion: must be sgd or adam",
    "schedule=": "--set schedule=: must be constant or one-cycle",
    "betas=0.9": "--set betas=0.9: must be 2 numbers with a comma between them",
    "betas=0.9,x": "--set betas=0.9,x: must be a number",
    "betas=0.9,1": "--set betas=0.9,1: must be two numbers from 0 to below 1",
    "augmentation.corrupt=2": "--set augmentation.corrupt=2: must be between 0 and 1",
    "augmentation.rotate=x": "--set augmentation.rotate=x: must be a number",
    "ema_decay": "--set ema_decay: must be KEY=VALUE",
    "=3": "unknown field of a recipe ''",
    "ema_decy=0.9": "unknown field of a recipe 'ema_decy'; did you mean 'ema_decay'?",
    "rotate=15": "unknown field of a recipe 'rotate'",
    "augmentation.rotat=15": "did you mean 'augmentation.rotate'?",
    "augmentation=1": "unknown field of a recipe 'augmentation'",
    "name=mine": "unknown field of a recipe 'name'",
    "summary=mine": "unknown field of a recipe 'summary'",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_settings_that_are_refused(setting: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(RECIPES["standard"], [setting])
    assert REFUSED[setting] in caught.value.message


def test_one_field_is_set_once() -> None:
    for settings, options in (
        (["epochs=3"], {"epochs": 4}),
        (["learning_rate=3"], {"learning_rate": 0.1}),
        (["batch_size=3"], {"batch_size": 3}),
        (["momentum=0.1", "momentum=0.2"], {}),
    ):
        with pytest.raises(UsageError, match="conflicts with") as caught:
            with_settings(RECIPES["standard"], settings, options)
        assert caught.value.hint == "give one of them"
    assert caught.value.message == "--set momentum=0.2 conflicts with --set momentum=0.1"
    with pytest.raises(UsageError, match=r"--set batch_size=3 conflicts with --batch-size 4"):
        with_settings(RECIPES["mlp"], ["batch_size=3"], {"batch_size": 4})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 0, "--epochs 0: must be between 1 and 10000"),
        ("epochs", 10_001, "--epochs 10001: must be between 1 and 10000"),
        ("batch_size", 0, "--batch-size 0: must be at least 1"),
        ("learning_rate", -1.0, "--lr -1.0: must be a finite number greater than 0"),
        ("learning_rate", float("nan"), "--lr nan: must be a finite number greater than 0"),
        ("learning_rate", float("inf"), "--lr inf: must be a finite number greater than 0"),
        ("learning_rate", 0.0, "--lr 0.0: must be a finite number greater than 0"),
    ],
)
def test_options_that_cannot_train(field: str, value: float, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(RECIPES["mlp"], [], {field: value})
    assert caught.value.message == message


def test_label_says_what_differs() -> None:
    standard = RECIPES["standard"]
    assert standard.label == "standard"
    assert with_settings(standard, ["epochs=6", "betas=0.9,0.95"]).label == "standard"
    settings = ["betas=0.5,0.95", "tta_shifts=true", "augmentation.rotate=15", "ema_decay=0.125"]
    changed = with_settings(standard, settings, {"epochs": 3})
    assert changed.label == (
        "standard (epochs=3, betas=0.5,0.95, ema_decay=0.125, tta_shifts=true,"
        " augmentation.rotate=15)"
    )
    again = changed.label[len("standard (") : -1].split(", ")
    assert with_settings(standard, again) == changed
    assert replace(standard, name="of another version").label == "of another version"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 10**400),
        ("epochs", 10_001),
        ("learning_rate", 10**400),
        ("learning_rate", float("nan")),
        ("weight_decay", -0.1),
        ("optimizer", "lion"),
        ("betas", [0.9]),
        ("betas", 0.9),
        ("tta_shifts", 1),
        ("augmentation", {"rotate": "much"}),
        ("augmentation", {"rotat": 3.0}),
        ("more", 1),
    ],
)
def test_a_stored_recipe_that_cannot_train_is_refused(field: str, value: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Recipe.from_dict(RECIPES["mlp"].to_dict() | {field: value})
