"""Between reading a run and locking it, another process may have gone on with it."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.store import runs

pytestmark = pytest.mark.usefixtures("small_datasets")
NEW = ("--recipe", "mlp", "--epochs", "1", "--device", "cpu", "--name", "x")


def train(*words: str) -> Any:
    return CliRunner().invoke(app, ["train", "--quiet", *words])


@pytest.mark.parametrize("ensemble", [1, 2])
def test_a_configuration_that_changed_before_the_lock(
    ensemble: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(*NEW, "--ensemble", str(ensemble)).exit_code == 0
    config = Path("runs/x/config.json")
    before = (Path("runs/x") / "last.pt").read_bytes()

    @contextlib.contextmanager
    def writing_late(directory: Path) -> Iterator[None]:
        if directory.name == "x":  # another process has extended it meanwhile
            document = json.loads(config.read_text())
            document["recipe"]["epochs"] = 7
            config.write_text(json.dumps(document))
        with runs.writing(directory):
            yield

    for module in ("single", "ensemble"):
        monkeypatch.setattr(f"mnistctl.engine.training.{module}.writing", writing_late)
    result = train("--resume", "x", "--epochs", "2")
    assert result.exit_code == 1, result.stderr
    assert "run 'x' was changed by another process just now" in result.stderr
    assert "run the command again" in result.stderr
    assert json.loads(config.read_text())["recipe"]["epochs"] == 7
    assert (Path("runs/x") / "last.pt").read_bytes() == before


def test_the_printed_command_is_one_for_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    from mnistctl.distributed import Ranks
    from mnistctl.engine.training.config import TrainRequest, resume_command

    store, data = Path("my runs; $(rm x)"), Path("my 'data'")
    command = resume_command(store / "x", TrainRequest(store=store, data_dir=data), Ranks())
    words = shlex.split(command)
    assert words[words.index("--store") + 1] == str(store)
    assert words[words.index("--data-dir") + 1] == str(data)
