"""The worked examples of CONTRIBUTING run as they stand there, each added in one place."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.data.registry import DATASETS
from mnistctl.models import registry as networks
from mnistctl.recipes import RECIPES
from mnistctl.visualize.registry import KINDS, all_kinds

TEXT = (Path(__file__).parents[1] / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## Add a ([\w ]+)$.*?```python\n(.*?)```", TEXT, re.M | re.S))


@pytest.fixture(autouse=True)
def _registries_as_before() -> Iterator[None]:
    networks.networks()
    all_kinds()
    tables: list[dict[str, Any]] = [DATASETS, RECIPES, KINDS, networks._registered]
    before, commands = [dict(table) for table in tables], list(app.registered_commands)
    yield
    for table, kept in zip(tables, before, strict=True):
        table.clear()
        table.update(kept)
    app.registered_commands[:] = commands


def add(*names: str) -> None:
    """Run the examples of these names."""
    for name in names:
        exec(compile(EXAMPLES[name], f"CONTRIBUTING, {name}", "exec"), {"__name__": "added"})


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_there_is_an_example_of_each() -> None:
    assert EXAMPLES.keys() == {
        "data set",
        "network",
        "recipe",
        "kind of visualization",
        "command",
    }


def test_a_data_set_is_a_row() -> None:
    add("data set")
    assert DATASETS["emnist-bymerge"].sizes == {"train": 697_932, "test": 116_323}
    assert len(DATASETS["emnist-bymerge"].classes) == 47
    listed = json.loads(run("info", "--json"))["datasets"]
    assert {"name": "emnist-bymerge", "state": "missing"} in listed


def test_a_network_and_a_recipe_train(small_datasets: None) -> None:
    add("network", "recipe")
    trained = json.loads(run("train", "--recipe", "linear", "--json", "--precision", "fp32"))
    assert trained["parameters"] == 7_850
    assert trained["recipe"] == "linear"
    assert trained["test"]["accuracy"] > 0.5
    assert json.loads(run("evaluate", "--json"))["correct"] == trained["test"]["correct"]


def test_a_kind_is_a_command(small_datasets: None) -> None:
    add("kind of visualization")
    assert "How many images of each class" in run("visualize", "classes", "--help")
    shown = json.loads(run("visualize", "classes", "--json", "-o", "classes.png"))
    assert sum(shown["counts"]) == 500
    assert len(shown["counts"]) == 10
    assert Path("classes.png").read_bytes().startswith(b"\x89PNG")
    assert "500 images" in run("visualize", "classes")


def test_a_command_is_a_file_and_a_line() -> None:
    add("command")
    assert run("count") == "0 runs in runs\n"
    assert json.loads(run("count", "--json")) == {"runs": 0}
