"""What is exported answers as the checkpoint does, or nothing is written."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from runs_made import CONFIG, RESULT
from tutorials import SCRIPTS
from typer.testing import CliRunner

import mnistctl
from mnistctl.cli.app import app
from mnistctl.data.registry import DATASETS
from mnistctl.events import Reporter
from mnistctl.export import run
from mnistctl.models.ensemble import Ensemble, join_members
from mnistctl.models.registry import build
from mnistctl.recipes import RECIPES
from mnistctl.store import checkpoint, runs
from mnistctl.store.checkpoint import Checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.result import ValidationScore

SHIFTING = replace(RECIPES["fast"], tta_shifts=True, tta_flip=True, temperature=0.5)
ENSEMBLE = replace(CONFIG, recipe=SHIFTING, dataset="synthetic", ensemble=2)


def network_of(config: RunConfig) -> torch.nn.Module:
    """One whose answers differ from image to image, as those of a new one hardly do."""
    torch.manual_seed(0)
    members = [build(config.recipe.network, len(config.classes)) for _ in range(config.ensemble)]
    with torch.no_grad():
        for member in members:
            list(member.parameters())[-2].mul_(20)
    return Ensemble(members).eval() if config.ensemble > 1 else members[0].eval()


def save_model(path: Path, config: RunConfig) -> Path:
    network = network_of(config)
    training = {"epochs_done": 1, "step": 0, "model": {}}
    weights = dict(network.state_dict())
    checkpoint.save(path, Checkpoint(weights, config, run="x", training=training))
    return path


def invoke(*words: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A finished run of an ensemble that averages over shifts, exported: directory, document."""
    directory = tmp_path_factory.mktemp("made") / "pair"
    directory.mkdir()
    save_model(directory / runs.LAST_NAME, ENSEMBLE)
    runs.write_json(directory, runs.CONFIG_NAME, ENSEMBLE.to_dict())
    result = replace(RESULT, epochs=ENSEMBLE.recipe.epochs).to_dict()
    runs.write_json(directory, runs.RESULT_NAME, result)
    words = ["export", directory, "-o", directory / "model.onnx", "--json"]
    return directory, json.loads(invoke(*words).stdout)


def test_document(made: tuple[Path, dict[str, Any]]) -> None:
    directory, document = made
    assert document.pop("max_difference") <= 1e-5
    assert document == {
        "output": str(directory / "model.onnx"),
        "format": "onnx",
        "checkpoint": str(directory / "last.pt"),
        "label": "run pair",
        "card": str(directory / "model.onnx.md"),
        "bytes": (directory / "model.onnx").stat().st_size,
        "inputs": [{"name": "pixels", "dtype": "uint8", "shape": ["n", 1, 28, 28]}],
        "outputs": [
            {"name": "probabilities", "dtype": "float32", "shape": ["n", 10]},
            {"name": "logits", "dtype": "float32", "shape": ["n", 10]},
        ],
        "opset": 20,
        "images_checked": 2_000,
        "images": "synthetic",
    }


@pytest.mark.parametrize("count", [0, 1, 7, 600])
def test_all_is_inside(made: tuple[Path, dict[str, Any]], count: int) -> None:
    """Scaling, five shifts and their mirror images, two members, their mean, the temperature."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)
    session = onnxruntime.InferenceSession(made[0] / "model.onnx")
    probabilities, logits = session.run(["probabilities", "logits"], {"pixels": pixels})
    seen = (torch.from_numpy(pixels).float() / 255 - 0.1307) / 0.3081
    shifts = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    members = network_of(ENSEMBLE).members
    assert isinstance(members, torch.nn.ModuleList)
    with torch.no_grad():
        views = [
            view for s in shifts for view in (seen.roll(s, (2, 3)), seen.roll(s, (2, 3)).flip(3))
        ]
        each = [member(view).softmax(1) for member in members for view in views]
    mean = torch.stack(each).mean(0)
    assert probabilities.shape == logits.shape == (count, 10)
    np.testing.assert_allclose(np.exp(logits), mean, atol=1e-5)
    sharpened = mean**2  # temperature 0.5
    np.testing.assert_allclose(probabilities, sharpened / sharpened.sum(1, keepdim=True), atol=1e-5)


def test_metadata_name_the_model_and_no_path(made: tuple[Path, dict[str, Any]]) -> None:
    raw = (made[0] / "model.onnx").read_bytes()
    model = onnx.load_model_from_string(raw)
    onnx.checker.check_model(model, full_check=True)
    data = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(data.pop("recipe")) == SHIFTING.to_dict()
    assert json.loads(data.pop("classes")) == list("0123456789")
    assert re.fullmatch("[0-9a-f]{64}", data.pop("checkpoint_sha256"))
    version = mnistctl.__version__
    assert data == {"dataset": "synthetic", "members": "2", "version": version, "accuracy": "0.9"}
    for private in (str(Path(mnistctl.__file__).parent), "forward", "Whole"):
        assert private.encode() not in raw


def test_card(made: tuple[Path, dict[str, Any]]) -> None:
    text = (made[0] / "model.onnx.md").read_text()
    assert text.startswith("# model.onnx\n")
    assert "| recipe | `fast (temperature=0.5, tta_shifts=true, tta_flip=true)` |" in text
    assert "| trained on | the training images of `synthetic` |" in text
    assert "| command | `mnistctl train` |" in text
    assert "| test accuracy | 9 of 10 (90.00 %), computed in fp32 |" in text
    assert "2,000 images of synthetic" in text
    assert re.search(r"Of 300 drawn letters, symbols and shapes, .* calls \d+ a digit", text)


@pytest.mark.usefixtures("small_datasets")
def test_evaluate_agrees_with_the_checkpoint(made: tuple[Path, dict[str, Any]]) -> None:
    directory, _ = made
    words = ("--json", "--precision", "fp32", "--device", "cpu")
    own = json.loads(invoke("evaluate", directory, *words).stdout)
    exported = json.loads(invoke("evaluate", directory / "model.onnx", *words).stdout)
    for key in ("recipe", "dataset", "classes", "correct", "total", "confusion", "precision"):
        assert exported[key] == own[key]
    assert exported["loss"] == pytest.approx(own["loss"], abs=1e-5)
    assert exported["calibration_error"] == pytest.approx(own["calibration_error"], abs=1e-5)


def test_a_file_that_differs_is_not_kept(
    made: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = (made[0] / "model.onnx").read_bytes()
    monkeypatch.setattr(run, "onnx_bytes", lambda *_: (raw, {}))
    other = replace(ENSEMBLE, recipe=replace(SHIFTING, temperature=0.6))
    save_model(tmp_path / "other.pt", other)
    result = invoke("export", "other.pt", "-o", "model.onnx", code=1)
    expected = (
        r"error: model\.onnx is not kept: on 2,000 images its probabilities differ by up to"
        r" 0\.\d+ from the network's \(at most 1e-05 is allowed\), and 0 answers change"
    )
    assert re.fullmatch(expected, result.stderr.splitlines()[-1])
    assert [path.name for path in tmp_path.iterdir()] == ["other.pt"]


def test_safetensors_hold_weights_and_metadata(made: tuple[Path, dict[str, Any]]) -> None:
    from safetensors import safe_open

    directory, _ = made
    path = directory / "weights.safetensors"
    document = json.loads(invoke("export", directory, "-o", path, "--json").stdout)
    assert (document["format"], document["inputs"], document["opset"]) == ("safetensors", [], None)
    card = " ".join((directory / "weights.safetensors.md").read_text().split())
    assert "calibrated probabilities (of the mean of its members and views)." in card
    members = network_of(ENSEMBLE).members
    assert isinstance(members, torch.nn.ModuleList)
    expected = join_members([member.state_dict() for member in members])
    with safe_open(path, "pt") as file:
        assert file.metadata()["dataset"] == "synthetic"
        assert set(file.keys()) == set(expected)
        assert all(torch.equal(file.get_tensor(name), value) for name, value in expected.items())


@pytest.mark.parametrize("recipe", ["mlp", "cnn-small", "cnn-wide", "cnn-dropout"])
def test_bare_state_dict_of_a_documented_network(recipe: str, tmp_path: Path) -> None:
    config = replace(CONFIG, recipe=RECIPES[recipe])
    save_model(tmp_path / "own.pt", config)
    invoke("export", "own.pt", "-o", "bare.pt")
    state = torch.load("bare.pt", weights_only=True)
    expected = network_of(config).state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    SCRIPTS[recipe]().load_state_dict(state)
    assert f"The network `{recipe}` takes float32" in Path("bare.pt.md").read_text()


def test_bare_state_dict_of_others_is_refused(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    result = invoke("export", made[0], "-o", "bare.pt", code=2)
    assert "and this is an ensemble" in result.stderr
    save_model(tmp_path / "fast.pt", replace(ENSEMBLE, ensemble=1))
    result = invoke("export", "fast.pt", "-o", "bare.pt", code=2)
    assert "and this is the network 'compact-3'\n" in result.stderr
    assert "  export it as .onnx or .safetensors\n" in result.stderr


def test_what_is_there_is_replaced_on_demand_only(tmp_path: Path) -> None:
    save_model(tmp_path / "own.pt", CONFIG)
    before = (tmp_path / "own.pt").read_bytes()
    for name in ("own.pt", "own.safetensors"):
        (tmp_path / f"{name}.md").write_text("mine")
        result = invoke("export", "own.pt", "-o", name, code=2)
        assert re.match(rf"error: {name}(\.md)? exists already\n", result.stderr)
        assert (tmp_path / f"{name}.md").read_text() == "mine"
    result = invoke("export", "own.pt", "-o", "own.pt", "--force", code=2)
    assert "error: own.pt is the checkpoint itself\n" in result.stderr
    assert (tmp_path / "own.pt").read_bytes() == before
    invoke("export", "own.pt", "-o", "own.safetensors", "--force")
    assert (tmp_path / "own.safetensors.md").read_text().startswith("# own.safetensors\n")


def test_wrong_names_and_places_are_found_before_the_checkpoint(tmp_path: Path) -> None:
    result = invoke("export", "none", "-o", "model.onx", code=2)
    assert result.stderr.startswith("error: unknown format '.onx'; did you mean '.onnx'?\n")
    result = invoke("export", "none", "-o", "no/model.pt", code=1)
    assert result.stderr == "error: can't write no/model.pt: No such file or directory\n"
    result = invoke("export", "none", "-o", "model.pt", code=1)
    assert "no checkpoint file and no run called 'none'" in result.stderr


@pytest.mark.parametrize(
    ("words", "needs"),
    [
        (["export", "none", "-o", "x.onnx"], "onnx and onnxscript and onnxruntime"),
        (["export", "none", "-o", "x.safetensors"], "safetensors"),
        (["evaluate", "x.onnx"], "onnx and onnxruntime"),
    ],
)
def test_without_the_extra_a_line_says_how_to_install_it(
    words: list[str], needs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnistctl.errors.find_spec", lambda name: None)
    result = invoke(*words, code=1)
    assert result.stderr == (
        f"error: this needs {needs}\n  in the clone of mnistctl: pip install '.[export]'\n"
    )


def test_an_ending_may_be_in_capitals(tmp_path: Path) -> None:
    save_model(tmp_path / "x.pt", replace(CONFIG, dataset="synthetic"))
    document = json.loads(invoke("export", "x.pt", "-o", "m.ONNX", "--json").stdout)
    assert (document["output"], document["format"]) == ("m.ONNX", "onnx")
    assert "onnxruntime" in Path("m.ONNX.md").read_text()
    evaluated = json.loads(invoke("evaluate", "m.ONNX", "--json").stdout)
    assert evaluated["checkpoint"] == "m.ONNX"


def test_an_onnx_file_is_not_exported_again(made: tuple[Path, dict[str, Any]]) -> None:
    result = invoke("export", made[0] / "model.onnx", "-o", "x.safetensors", code=2)
    assert "is an ONNX file" in result.stderr
    assert not Path("x.safetensors").exists()


def test_a_missing_data_set_is_not_downloaded(tmp_path: Path) -> None:
    """Synthetic digits are as good for a comparison."""
    row = replace(DATASETS["mnist"], load=lambda *_: pytest.fail("loaded"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS, "mnist", row)
        images, name = run._images("mnist", tmp_path / "none", Reporter())
    assert (len(images), name) == (2_000, "synthetic")


def test_the_accuracy_on_a_card_is_that_of_its_own_checkpoint(tmp_path: Path) -> None:
    """A run that holds out images tests best.pt, and knows nothing of last.pt."""
    runs.write_json(tmp_path, runs.CONFIG_NAME, CONFIG.to_dict())
    kept = ValidationScore(loss=0.1, accuracy=0.9, total=100, epoch=3)
    result = replace(RESULT, checkpoint=runs.BEST_NAME, validation=kept)
    runs.write_json(tmp_path, runs.RESULT_NAME, result.to_dict())
    assert run._tested(tmp_path / runs.BEST_NAME) == RESULT.test
    assert run._tested(tmp_path / runs.LAST_NAME) is None
    assert run._tested(tmp_path / "another.pt") is None
