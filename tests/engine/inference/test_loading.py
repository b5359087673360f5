"""Networks from files: bare state dicts are understood, what does not fit is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs_made import CONFIG
from torch import nn
from tutorials import SCRIPTS

from mnistctl.data.images import DIGITS
from mnistctl.engine.inference import loading
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.errors import CheckpointError, DeviceError, UsageError
from mnistctl.events import Reporter
from mnistctl.models.ensemble import Ensemble, join_members
from mnistctl.models.layers import Dropout
from mnistctl.models.registry import build, networks
from mnistctl.recipes import recipe_of_network
from mnistctl.store import checkpoint
from mnistctl.store.checkpoint import Checkpoint
from mnistctl.store.resolve import resolve

IMAGES = torch.randint(256, (9, 28, 28), dtype=torch.uint8)


class Listener(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


def loaded(path: Path, reporter: Reporter | None = None) -> LoadedModel:
    return load_model(str(path), Path("no-store"), "cpu", "fp32", reporter or Reporter())


def logits_of(model: nn.Module, network: str) -> torch.Tensor:
    recipe = recipe_of_network(network)
    seen = (IMAGES[:, None].float() / 255 - recipe.pixel_mean) / recipe.pixel_std
    with torch.no_grad():
        answer: torch.Tensor = model.eval()(seen)
    return answer


@pytest.mark.parametrize("network", networks())
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_bare_state_dict_is_recognised(network: str, prefix: str, tmp_path: Path) -> None:
    model = build(network, 10)
    path = tmp_path / "cnn_model.pth"
    torch.save({prefix + name: value for name, value in model.state_dict().items()}, path)
    found = loaded(path, listener := Listener())
    assert found.predictor.recipe.name == recipe_of_network(network).name
    assert found.predictor.classes == DIGITS
    assert (found.dataset, found.path, found.predictor.name) == (None, path, "cnn_model.pth")
    assert f"{path} is a bare state dict: taken as {network}" in listener.said[-1]
    still = replace(found.predictor.recipe, tta_shifts=False)
    found.predictor.recipe = still
    answer = found.predictor.logits(IMAGES)
    assert torch.allclose(answer, logits_of(model, network), atol=1e-4)


@pytest.mark.parametrize(
    ("network", "mean", "std", "drops"),
    [
        ("mlp", 0.5, 0.5, []),
        ("cnn-small", 0.0, 1.0, [0.5, 0.5]),
        ("cnn-wide", 0.5, 0.5, []),
        ("cnn-dropout", 0.5, 0.5, [0.25, 0.5]),
    ],
)
def test_weights_of_a_tutorial_script_answer_as_they_do_there(
    network: str, mean: float, std: float, drops: list[float], tmp_path: Path
) -> None:
    model = SCRIPTS[network]().eval()
    torch.save(model.state_dict(), tmp_path / "cnn_model.pth")
    predictor = loaded(tmp_path / "cnn_model.pth").predictor
    assert predictor.recipe.name == network
    with torch.no_grad():
        expected = model((IMAGES[:, None].float() / 255 - mean) / std)
    assert torch.allclose(predictor.logits(IMAGES), expected, atol=1e-4)
    assert [own.p for own in predictor.network.modules() if isinstance(own, Dropout)] == drops


@pytest.mark.parametrize("network", ["mlp", "cnn-small", "cnn-dropout", "compact-5"])
@pytest.mark.parametrize("num_classes", [2, 26, 47])
def test_networks_of_other_numbers_of_classes(
    network: str, num_classes: int, tmp_path: Path
) -> None:
    weights = build(network, num_classes).state_dict()
    torch.save(weights, tmp_path / "bare.pt")
    bare = loaded(tmp_path / "bare.pt").predictor
    assert bare.classes == tuple(map(str, range(num_classes)))
    classes = tuple(f"class {k}" for k in range(num_classes))
    config = replace(CONFIG, recipe=recipe_of_network(network), classes=classes)
    checkpoint.save(tmp_path / "own.pt", Checkpoint(weights, config))
    own = loaded(tmp_path / "own.pt").predictor
    assert own.classes == classes
    assert own.logits(IMAGES).shape == (9, num_classes)
    assert torch.equal(own.logits(IMAGES), bare.logits(IMAGES))


def test_weights_of_another_number_of_classes_do_not_fit(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.pt", Checkpoint(build("mlp", 3).state_dict(), CONFIG))
    with pytest.raises(CheckpointError, match="weights don't fit the network 'mlp'"):
        loaded(tmp_path / "x.pt")


def test_a_network_of_another_version_is_refused(tmp_path: Path) -> None:
    config = replace(CONFIG, recipe=replace(CONFIG.recipe, network="vgg"))
    checkpoint.save(tmp_path / "x.pt", Checkpoint(build("mlp", 10).state_dict(), config))
    with pytest.raises(CheckpointError, match="unknown network 'vgg'"):
        loaded(tmp_path / "x.pt")


def test_sequential_is_recognised_by_its_shapes(tmp_path: Path) -> None:
    layers = (nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    torch.save(nn.Sequential(*layers).state_dict(), tmp_path / "m.pt")
    assert loaded(tmp_path / "m.pt").predictor.recipe.name == "mlp"


@pytest.mark.parametrize(
    ("state", "layers"),
    [
        (nn.Linear(3, 4).state_dict(), r"weight \[4, 3\]"),
        ({"a": torch.tensor(3.0)}, r"a \[\]"),
        ({"a": torch.empty(0)}, r"a \[0\]"),
        ({"a": torch.empty(0, 3)}, r"a \[0, 3\]"),
    ],
    ids=["another shape", "a scalar", "nothing", "no classes"],
)
def test_unknown_layers_say_what_was_expected(
    state: dict[str, torch.Tensor], layers: str, tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=layers) as caught:
        loaded(tmp_path / "m.pt")
    assert "cnn-small" in caught.value.hint


@pytest.mark.parametrize("members", ["abc", None, 10**9, 3])
def test_a_bare_state_dicts_members_mean_nothing(members: Any, tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.save({"state_dict": build("mlp", 10).state_dict(), "members": members}, path)
    assert not isinstance(loaded(path).predictor.network, Ensemble)


@pytest.mark.parametrize("claimed", [1, 2, 4])
def test_weights_of_another_number_of_members_are_refused(claimed: int, tmp_path: Path) -> None:
    weights = join_members([build("mlp", 10).state_dict() for _ in range(3)])
    path = tmp_path / "e.pt"
    checkpoint.save(path, Checkpoint(weights, replace(CONFIG, ensemble=3)))
    assert len(loaded(path).predictor.members) == 3
    checkpoint.save(path, Checkpoint(weights, replace(CONFIG, ensemble=claimed)))
    with pytest.raises(CheckpointError, match="don't fit"):
        loaded(path)


def test_16_bit_weights_are_widened(tmp_path: Path) -> None:
    weights = {name: value.half() for name, value in build("mlp", 10).state_dict().items()}
    checkpoint.save(tmp_path / "x.pt", Checkpoint(weights, CONFIG))
    network = loaded(tmp_path / "x.pt").predictor.network
    for name, value in network.state_dict().items():
        assert value.dtype is torch.float32
        assert torch.equal(value, weights[name].float())


def test_whole_numbers_for_weights_are_refused(tmp_path: Path) -> None:
    weights = {name: value.long() for name, value in build("mlp", 10).state_dict().items()}
    checkpoint.save(tmp_path / "x.pt", Checkpoint(weights, CONFIG))
    with pytest.raises(CheckpointError, match="don't fit"):
        loaded(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("device", "precision", "error"),
    [("gpu", None, UsageError), ("cuda:99", None, DeviceError), ("cpu", "fp8", UsageError)],
)
def test_files_are_found_before_hardware_is_chosen(
    device: str, precision: str | None, error: type[Exception], tmp_path: Path
) -> None:
    def load(name: str) -> None:
        load_model(str(tmp_path / name), tmp_path, device, precision, Reporter())

    with pytest.raises(CheckpointError, match="does not exist"):
        load("missing.pt")
    torch.save(build("mlp", 10).state_dict(), tmp_path / "m.pt")
    with pytest.raises(error):
        load("m.pt")


def test_what_was_passed_over_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    warning = "last.pt is damaged; using previous.pt instead"
    found = replace(resolve("shipped", tmp_path), warnings=(warning,))
    monkeypatch.setattr(loading, "resolve", lambda argument, store: found)
    load_model("x", tmp_path, "cpu", "fp32", listener)
    assert listener.warned == [warning]
