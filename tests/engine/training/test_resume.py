"""Between reading a run and locking it, another process may have gone on with it."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.data.registry import DATASETS
from mnistctl.store import checkpoint, runs

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


def test_a_resumed_run_keeps_what_it_reported_and_saved() -> None:
    kept = ("--checkpoint-every", "9", "--log-every", "5", "--test-every-epoch")
    assert train(*NEW, *kept).exit_code == 0
    assert train("--resume", "x", "--epochs", "2").exit_code == 0
    config = json.loads(Path("runs/x/config.json").read_text())
    assert (config["checkpoint_every"], config["log_every"]) == (9, 5)
    assert config["test_every_epoch"] is True
    assert train("--resume", "x", "--epochs", "3", "--checkpoint-every", "0").exit_code == 0
    assert json.loads(Path("runs/x/config.json").read_text())["checkpoint_every"] == 0


def test_a_run_is_not_resumed_on_other_images_than_it_began_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert train(*NEW).exit_code == 0
    changed = replace(DATASETS["mnist"], fingerprint=lambda: "1" * 64)
    monkeypatch.setitem(DATASETS, "mnist", changed)
    result = train("--resume", "x", "--epochs", "2")
    assert result.exit_code == 1
    assert "run 'x' was trained on another version of the data set 'mnist'" in result.stderr
    assert json.loads(Path("runs/x/config.json").read_text())["recipe"]["epochs"] == 1


def test_after_a_damaged_checkpoint_the_one_before_the_last_is_kept_again() -> None:
    assert train(*NEW).exit_code == 0
    last, previous = Path("runs/x/last.pt"), Path("runs/x/previous.pt")
    assert train("--resume", "x", "--epochs", "2").exit_code == 0
    last.write_bytes(last.read_bytes()[:-1])
    assert train("--resume", "x", "--epochs", "4").exit_code == 0
    for path, epochs in ((last, 4), (previous, 3)):
        training = checkpoint.load(path).training
        assert training is not None
        assert training["epochs_done"] == epochs


def test_the_printed_command_is_one_for_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    from mnistctl.distributed import Ranks
    from mnistctl.engine.training.config import TrainRequest, resume_command

    store, data = Path("my runs; $(rm x)"), Path("my 'data'")
    command = resume_command(store / "x", TrainRequest(store=store, data_dir=data), Ranks())
    words = shlex.split(command)
    assert words[words.index("--store") + 1] == str(store)
    assert words[words.index("--data-dir") + 1] == str(data)
