"""Help: grouped, within 80 columns, and ending with examples that all run."""

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_data
import typer
from PIL import Image, ImageDraw
from typer.main import get_command
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.data.registry import DATASETS


def walk(command: Any, path: str = "mnistctl") -> Iterator[tuple[str, Any]]:
    """Every command and group of commands, by what one types."""
    yield path, command
    context = typer.Context(command, info_name=path)
    for name in getattr(command, "list_commands", lambda context: ())(context):
        yield from walk(command.get_command(context, name), f"{path} {name}")


COMMANDS = dict(walk(get_command(app)))


def run(line: str, code: int = 0) -> Any:
    """What a line in a shell does: `cat FILE |` before the command, `> FILE` behind it."""
    source, _, line = line.rpartition(" | ")
    line, _, target = line.partition(" > ")
    words = [os.path.expanduser(word) for word in shlex.split(line)]
    assert words[0] == "mnistctl"
    stdin = Path(source.removeprefix("cat ")).read_bytes() if source else None
    result = CliRunner().invoke(app, words[1:], input=stdin)
    assert result.exit_code == code, (line, result.output, result.exception)
    if target:
        Path(target).write_text(result.stdout)
    return result


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three finished runs, one of them with a validation accuracy."""
    store = tmp_path_factory.mktemp("store")
    rows = dict(DATASETS)
    with pytest.MonkeyPatch.context() as patch:
        small_data.install(rows)
        for name, row in rows.items():
            patch.setitem(DATASETS, name, row)
        for seed in (1, 2):
            run(f"mnistctl train -r fast --seed {seed} --device cpu --store {store} --quiet")
        chosen = "--name standard-1 --epochs 1 --validation 100 --device cpu"
        run(f"mnistctl train {chosen} --store {store} --quiet")
    return store


@pytest.fixture
def _prepared(
    store: Path, small_datasets: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the examples take for granted, in the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("mnistctl.cli.runs._ask", lambda question: None)
    monkeypatch.setattr("mnistctl.serve.server.serve", lambda *args: None)  # until Ctrl-C
    monkeypatch.setattr("os._exit", lambda code: None)
    shutil.copytree(store, "runs")
    digit = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(digit).line([(50, 15), (50, 85)], fill=0, width=10)
    Path("photos").mkdir()
    for name in (
        "photo.jpg",
        "photo.png",
        "photos/a.png",
        "photos/b.png",
        "postcode.png",
        "digit.png",
        "number.png",
    ):
        digit.save(name)


@pytest.mark.parametrize("path", [path for path in COMMANDS if path != "mnistctl download"])
@pytest.mark.usefixtures("_prepared")
def test_examples_run(path: str) -> None:
    for line in COMMANDS[path].epilog.splitlines():
        run(line)


@pytest.mark.usefixtures("_prepared")
def test_examples_of_download_run(mnist_dir: Path) -> None:
    for directory in ("mnist-files", "data"):
        shutil.copytree(mnist_dir, directory)
    for line in COMMANDS["mnistctl download"].epilog.splitlines():
        run(line)


@pytest.mark.parametrize("path", COMMANDS)
def test_help_ends_with_two_to_four_examples(path: str) -> None:
    lines = run(f"{path} --help").stdout.rstrip().splitlines()
    examples = lines[lines.index("Examples:") + 1 :]
    assert 2 <= len(examples) <= 4
    assert all("mnistctl " in line and line.startswith("  ") for line in examples)
    assert max(map(len, lines)) <= 80


def headings(path: str) -> list[str]:
    """The groups in a command's help, in order."""
    lines = run(f"{path} --help").stdout.splitlines()
    return [line[:-1] for line in lines if line.endswith(":") and line[0] != " "]


def test_options_and_commands_are_grouped() -> None:
    assert headings("mnistctl") == ["Core commands", "More commands", "Options", "Examples"]
    assert headings("mnistctl train") == [
        *("Training", "Data", "Hardware", "Output", "Options", "Examples")
    ]


def test_an_option_is_in_the_same_group_everywhere() -> None:
    groups: dict[str, set[Any]] = {}
    for command in COMMANDS.values():
        for option in command.params:
            if option.param_type_name == "option":
                groups.setdefault(option.opts[0], set()).add(option.rich_help_panel)
    shared = ("--store", "--data-dir", "--json", "--quiet", "--debug", "--device", "--checkpoint")
    assert {name: groups[name] for name in shared} == {
        "--store": {"Data"},
        "--data-dir": {"Data"},
        "--json": {"Output"},
        "--quiet": {"Output"},
        "--debug": {"Output"},
        "--device": {"Hardware"},
        "--checkpoint": {"Model"},
    }
