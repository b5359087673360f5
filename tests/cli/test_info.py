"""`mnistctl info`: what a report of a problem needs."""

import json
import platform
from pathlib import Path
from typing import Any

import pytest
import torch
from runs_made import save_run
from typer.testing import CliRunner

from mnistctl import __version__
from mnistctl.cli.app import app
from mnistctl.recipes import RECIPES


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, ["info", *words])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_document() -> None:
    Path("runs").mkdir()
    save_run(Path("runs") / "x")
    document = json.loads(run("--json"))
    assert document["version"] == __version__
    assert document["python"] == platform.python_version()
    assert document["torch"] == torch.__version__
    cpu, cuda, _ = document["devices"]
    assert (cpu["name"], cpu["usable"], cpu["reason"]) == ("cpu", True, None)
    assert (cuda["name"], cuda["usable"]) == ("cuda", False)
    assert cuda["reason"]
    assert document["device"] == "cpu"
    assert document["precision"] in ("fp32", "bf16")
    assert document["threads"] == torch.get_num_threads()
    states = {row["name"]: row["state"] for row in document["datasets"]}
    assert states["mnist"] == "missing"
    assert states["synthetic"] == "drawn at run time"
    assert (document["store"], document["runs"]) == ("runs", 1)
    assert document["store_bytes"] > 1000
    assert document["recipes"] == list(RECIPES)


def test_for_people() -> None:
    lines = run().splitlines()
    assert f"mnistctl  {__version__} in " in lines[0]
    assert any(line.startswith("          cuda no: ") for line in lines)
    assert any("--device auto takes cpu: no usable GPU" in line for line in lines)
    assert lines == [line.rstrip() for line in lines]


def test_data_sets_are_verified(mnist_data_dir: Path, own_data_dir: Path) -> None:
    assert "mnist: verified" in run("--data-dir", str(mnist_data_dir))
    assert "mnist: damaged" in run("--data-dir", str(own_data_dir))  # half of it is missing


def test_version() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"mnistctl {__version__}\n")


def test_the_environment_names_places_and_options_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MNISTCTL_DATA", "meant")
    monkeypatch.setenv("MNISTCTL_STORE", "runs-meant")
    document = json.loads(run("--json"))
    assert (document["data_dir"], document["store"]) == ("meant", "runs-meant")
    document = json.loads(run("--json", "--data-dir", "named", "--store", "runs-named"))
    assert (document["data_dir"], document["store"]) == ("named", "runs-named")


def test_recipes() -> None:
    document = json.loads(run("recipes", "--json"))
    assert document["default"] == "standard"
    assert document["recipes"] == [recipe.to_dict() for recipe in RECIPES.values()]
    lines = run("recipes").splitlines()
    assert [line.split()[0] for line in lines] == ["recipe", *RECIPES, "*"]
    assert "standard *" in lines[6]
