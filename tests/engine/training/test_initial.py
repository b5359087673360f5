"""A run that begins with the weights of a checkpoint."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.data.images import DIGITS
from mnistctl.data.registry import DATASETS
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.initial import begin, find_init
from mnistctl.engine.training.run import train
from mnistctl.engine.training.state import new_state
from mnistctl.errors import CheckpointError, UsageError
from mnistctl.events import Reporter
from mnistctl.models.ensemble import split_members
from mnistctl.models.registry import build
from mnistctl.recipes import Recipe, get_recipe, with_settings
from mnistctl.store.checkpoint import load
from mnistctl.store.config import Init, RunConfig
from mnistctl.store.resolve import SHIPPED
from mnistctl.store.result import TrainResult

pytestmark = pytest.mark.usefixtures("small_datasets")
CPU = torch.device("cpu")
QUIET = Reporter()
CLOTHES = DATASETS["fashion"].classes


def trained(**asked: object) -> TrainResult:
    options = {"dataset": "synthetic", "device": "cpu", "precision": "fp32"} | asked
    result = train(TrainRequest(**options), QUIET)  # type: ignore[arg-type]
    assert result is not None
    return result


@pytest.fixture
def first() -> TrainResult:
    return trained(recipe="fast", name="first")


def weights_at_start(config: RunConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Those of a run before its first step, and those drawn from its seed."""
    state, drawn = new_state(config, CPU), new_state(config, CPU)
    begin(state, config)
    return state.model.state_dict(), drawn.model.state_dict()


def test_the_weights_are_those_of_the_checkpoint(first: TrainResult) -> None:
    second = trained(init="first", epochs=1)
    assert second.config.init == Init(
        str(first.checkpoint.resolve()), second.config.init.sha256 if second.config.init else ""
    )
    start, drawn = weights_at_start(second.config)
    own = load(first.checkpoint).weights
    assert start.keys() == own.keys()
    assert all(torch.equal(start[key], own[key]) for key in own)
    assert not torch.equal(start["conv1.weight"], drawn["conv1.weight"])


def test_the_recipe_goes_on_at_a_tenth_of_its_rate(first: TrainResult) -> None:
    second = trained(init="first", epochs=2)
    assert second.config.recipe == replace(first.config.recipe, learning_rate=0.001, epochs=2)
    assert second.config.recipe.label == "fast (epochs=2, learning_rate=0.001)"
    assert trained(init="first", learning_rate=0.5).config.recipe.learning_rate == 0.5
    assert second.result.test.accuracy > 0.9


def test_other_classes_get_a_new_last_layer(first: TrainResult) -> None:
    second = trained(init="first", dataset="fashion")
    assert second.config.classes == CLOTHES
    start, drawn = weights_at_start(second.config)
    own = load(first.checkpoint).weights
    for key in own:
        expected = drawn if key.startswith("fc1.") else own
        assert torch.equal(start[key], expected[key]), key


def test_other_numbers_of_classes(first: TrainResult, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(trained(init="first").config, classes=(*DIGITS, "none"))
    start, drawn = weights_at_start(config)
    assert start["fc1.weight"].shape[0] == 11
    assert torch.equal(start["fc1.bias"], drawn["fc1.bias"])
    assert torch.equal(start["conv2.weight"], load(first.checkpoint).weights["conv2.weight"])


def test_initial_weights_know_their_pixels(first: TrainResult) -> None:
    plain = trained(recipe="fast", dataset="fashion").config.recipe
    assert (plain.pixel_mean, plain.pixel_std) == (0.2860, 0.3530)
    begun = trained(init="first", dataset="fashion").config.recipe
    assert (begun.pixel_mean, begun.pixel_std) == (0.1307, 0.3081)


def test_what_suited_another_data_set_is_left_behind() -> None:
    trained(recipe="standard", dataset="fashion", name="clothes", epochs=1)
    begun = trained(init="clothes", dataset="synthetic", epochs=1).config.recipe
    assert begun.label == "standard (epochs=1, learning_rate=0.0008)"
    expected = replace(get_recipe("standard"), epochs=1, learning_rate=begun.learning_rate)
    expected = replace(expected, pixel_mean=0.286, pixel_std=0.353)
    assert begun.settings == expected.settings


def test_members_begin_with_members() -> None:
    init, recipe = find_init("shipped", None, DIGITS, Path("runs"), QUIET)
    assert init.checkpoint == str(SHIPPED)
    assert (recipe.name, recipe.network) == ("robust", "compact-7-narrow")
    assert recipe.learning_rate == pytest.approx(0.0008)
    config = trained(recipe="robust", epochs=1, settings=("outliers_per_batch=0",)).config
    shipped = load(SHIPPED)
    assert shipped.config is not None
    members = split_members(shipped.weights, count := shipped.config.ensemble)
    for member in range(5):
        start, _ = weights_at_start(replace(config, init=replace(init, member=member)))
        expected = members[member % count]["conv1.weight"].float()
        assert torch.equal(start["conv1.weight"], expected)


def test_an_average_begins_with_the_weights_too(first: TrainResult) -> None:
    config = trained(init="first", settings=("ema_decay=0.9",)).config
    state = new_state(config, CPU)
    begin(state, config)
    assert state.average is not None
    assert torch.equal(state.average.values[0], load(first.checkpoint).weights["conv1.weight"])


def test_a_bare_state_dict(first: TrainResult) -> None:
    torch.save({k: v.clone() for k, v in load(first.checkpoint).weights.items()}, "bare.pth")
    second = trained(init="bare.pth")
    assert second.config.recipe.network == "compact-3"
    start, _ = weights_at_start(second.config)
    assert torch.equal(start["fc1.weight"], load(first.checkpoint).weights["fc1.weight"])


def test_a_bare_state_dict_of_more_classes_than_ten(tmp_path: Path) -> None:
    """Its last layer can't be that of ten digits."""
    weights = build("cnn-small", 47).state_dict()
    torch.save(weights, "letters.pth")
    second = trained(init="letters.pth", recipe="cnn-small", epochs=1)
    start, drawn = weights_at_start(second.config)
    assert torch.equal(start["conv1.weight"], weights["conv1.weight"])
    assert torch.equal(start["fc2.weight"], drawn["fc2.weight"])
    assert second.config.classes == DIGITS


def test_other_classes_are_warned_of(first: TrainResult) -> None:
    class Warned(Reporter):
        warnings: tuple[str, ...] = ()

        def warn(self, text: str) -> None:
            self.warnings += (text,)

    warned = Warned()
    find_init("first", None, DIGITS, Path("runs"), warned)
    assert warned.warnings == ()
    find_init("first", None, ("4", "9"), Path("runs"), warned)
    assert warned.warnings == (
        "run first knows other classes: the last layer is trained from the start,"
        " and the result will know only 4, 9",
    )


def test_a_network_that_was_set_is_adapted_once() -> None:
    settings = ("network=compact-3", "epochs=2")
    trained(recipe="standard", dataset="fashion", settings=settings, name="small")
    _, recipe = find_init("small", None, CLOTHES, Path("runs"), QUIET)
    assert (recipe.network, recipe.epochs) == ("compact-3", get_recipe("standard").epochs)
    assert recipe.temperature == get_recipe("standard").temperature


def test_a_network_of_another_kind(first: TrainResult) -> None:
    with pytest.raises(UsageError) as caught:
        trained(init="first", recipe="standard")
    assert caught.value.message == (
        "--init first is a network 'compact-3', the recipe 'standard' trains 'compact-5'"
    )
    assert caught.value.hint == "leave out --recipe to train 'fast'"


def test_a_file_that_changed_is_not_begun_with(first: TrainResult) -> None:
    config = trained(init="first").config
    first.checkpoint.write_bytes(SHIPPED.read_bytes())
    with pytest.raises(CheckpointError, match=r"last.pt was changed since this run began with it"):
        weights_at_start(config)
    first.checkpoint.unlink()
    with pytest.raises(CheckpointError, match=r"can't read .*last.pt: No such file"):
        weights_at_start(config)


def test_a_resumed_run_needs_the_file_no_more(first: TrainResult) -> None:
    second = trained(init="first", name="second")
    first.checkpoint.unlink()
    longer = trained(resume="second", epochs=2, dataset=None, device=None, precision=None)
    assert longer.result.epochs == 2
    assert longer.config.init == second.config.init
    assert RunConfig.from_dict(json.loads(json.dumps(longer.config.to_dict()))) == longer.config
    with pytest.raises(UsageError, match=r"conflicts with --init shipped \(the run has /"):
        trained(resume="second", init="shipped", dataset=None, device=None, precision=None)
    with pytest.raises(UsageError, match=r"conflicts with --init shipped \(the run has none\)"):
        trained(resume="first", init="shipped", dataset=None, device=None, precision=None)


def test_recipes_suit_the_data_set() -> None:
    standard, robust = get_recipe("standard"), get_recipe("robust")
    assert DATASETS["mnist"].adapt(robust) == robust
    clothes = DATASETS["fashion"].adapt(standard)
    assert clothes.label == "standard"
    assert {key: clothes.settings[key] for key in clothes.adapted} == {
        "epochs": 11,
        "pixel_mean": 0.286,
        "pixel_std": 0.353,
        "temperature": pytest.approx(0.7314, abs=1e-4),
        "tta_flip": True,
        "augmentation.rotate": 0.0,
        "augmentation.scale": 0.0,
        "augmentation.shear": 0.0,
        "augmentation.shift": 1.0,
        "augmentation.whole_shifts": True,
        "augmentation.flip": 0.5,
    }
    assert with_settings(clothes, ["augmentation.flip=0.25"]).label == (
        "standard (augmentation.flip=0.25)"
    )
    for epochs in (standard.epochs, 20):
        changed = with_settings(clothes, [f"epochs={epochs}"])
        assert changed.label == replace(clothes, epochs=epochs).label == f"standard ({epochs=})"
    assert Recipe.from_dict(json.loads(json.dumps(clothes.to_dict()))) == clothes
    assert DATASETS["kmnist"].adapt(robust).outliers_per_batch == 0
    assert DATASETS["qmnist"].adapt(robust).outliers_per_batch == 150
    assert DATASETS["emnist-letters"].adapt(standard).augmentation.flip == 0
    still = DATASETS["fashion"].adapt(get_recipe("fast"))
    assert (still.augmentation.flip, still.tta_flip, still.epochs) == (0, False, 2)
    for name in ("mlp", "cnn-small", "cnn-wide", "cnn-dropout"):
        assert DATASETS["fashion"].adapt(get_recipe(name)) == get_recipe(name)
    few = replace(DATASETS["mnist"], sizes={"train": 1_000, "test": 10})
    assert few.adapt(standard).batch_size == 50
    assert replace(few, sizes={"train": 90}).adapt(standard).batch_size == 16


def test_the_command(first: TrainResult) -> None:
    words = ["train", "--init", "first", "--dataset", "synthetic", "--device", "cpu", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["init"].endswith("first/last.pt")
    result = CliRunner().invoke(app, ["train", "--init", "nowhere.pt"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: nowhere.pt")
