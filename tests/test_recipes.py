"""Recipes are what their documents say, and their names agree with the networks."""

import json

import pytest

from mnistctl.errors import UsageError
from mnistctl.models.registry import NETWORK_CLASSES, num_parameters
from mnistctl.recipes import (
    DEFAULT_RECIPE,
    NETWORKS,
    RECIPES,
    Recipe,
    get_recipe,
    with_overrides,
)

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
        num_parameters(recipe.network),
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
    size = f"{num_parameters(recipe.network):,} parameters"
    assert size in recipe.summary or "784-128-64-10" in recipe.summary


def test_names_equal_the_registry() -> None:
    assert tuple(NETWORK_CLASSES) == NETWORKS
    assert {recipe.network for recipe in RECIPES.values()} == set(NETWORKS)
    assert DEFAULT_RECIPE in RECIPES


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda r: r.name)
def test_round_trip_through_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_unknown_recipe_names_the_near_match() -> None:
    with pytest.raises(UsageError, match="did you mean 'cnn-small'") as caught:
        get_recipe("cnn-smal")
    assert "cnn-dropout" in caught.value.hint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", 0.0),
    ],
)
def test_overrides_that_cannot_train(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=str(value)):
        with_overrides(RECIPES["mlp"], **{field: value})


def test_overrides_change_only_what_is_given() -> None:
    changed = with_overrides(RECIPES["mlp"], epochs=3)
    assert changed.epochs == 3
    assert changed.to_dict() | {"epochs": 15} == RECIPES["mlp"].to_dict()
