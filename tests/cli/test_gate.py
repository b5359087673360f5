"""`evaluate --min-accuracy` never passes on numbers that mean nothing."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.engine.inference.evaluate import Evaluation, evaluate
from mnistctl.models.registry import build
from mnistctl.store.archive import seal
from mnistctl.store.resolve import SHIPPED

pytestmark = pytest.mark.usefixtures("small_datasets")


def gate(*words: str) -> Any:
    words = ("evaluate", *words, "--dataset", "mnist", "--min-accuracy", "0.05", "--json")
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite(loss: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverged(*words: Any, **options: Any) -> list[Evaluation]:
        found = evaluate(*words, **options)
        return [replace(own, scores=replace(own.scores, loss=loss)) for own in found]

    monkeypatch.setattr("mnistctl.engine.inference.evaluate.evaluate", diverged)
    result = gate("shipped")
    assert result.exit_code == 3
    assert "its loss is" in result.stderr
    assert '"loss": null' in result.stdout


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e38])
def test_weights_that_are_not_finite_or_make_such_answers(number: float) -> None:
    model = build("cnn-small", 10)
    with torch.no_grad():
        model.fc2.weight.mul_(0).add_(number)
        model.fc1.bias.add_(1e4)
    torch.save(model.state_dict(), "bare.pt")
    result = gate("bare.pt")
    assert result.exit_code == 1
    assert "bare.pt" in result.stderr
    assert "not finite" in result.stderr
    if number != 1e38:
        assert "'fc2.weight'" in result.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", 1e-45),
        ("temperature", float("nan")),
        ("temperature", 0.0),
        ("pixel_std", 1e-320),
        ("pixel_std", float("inf")),
        ("pixel_mean", 1e300),
    ],
)
def test_a_recipe_that_makes_them(key: str, value: float) -> None:
    document = torch.load(SHIPPED, weights_only=True)
    document["config"]["recipe"][key] = value
    buffer = io.BytesIO()
    torch.save(document, buffer)
    Path("made.pt").write_bytes(seal(buffer.getvalue()))
    result = gate("made.pt")
    assert result.exit_code == 1
    assert "made.pt lacks what a checkpoint needs" in result.stderr
    assert key in result.stderr
