"""The Python API: the same models, answers and places as on the command line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import mnistctl
from mnistctl.data.registry import DATASETS
from mnistctl.errors import UsageError
from mnistctl.events import NullReporter


def seven() -> Image.Image:
    image = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(image).line([(60, 40), (140, 40), (90, 160)], fill=0, width=14)
    return image


def test_one_image_gives_a_prediction_and_a_list_gives_a_list(tmp_path: Path) -> None:
    seven().save("seven.png")
    model = mnistctl.load("shipped")
    one = model.predict("seven.png")
    assert (one.digit, one.verdict, one.image) == (7, "digit", "seven.png")
    forms = model.predict([Path("seven.png"), seven(), np.asarray(seven()), "seven.png"])
    assert [found.number for found in forms] == [0, 1, 2, 3]
    for found in forms:
        assert found.probabilities == pytest.approx(one.probabilities, abs=1e-6)
    assert model.predict(seven(), invert="no").digit != 7
    assert model.predict([]) == []


def test_it_is_trained_found_and_measured_as_on_the_command_line(
    small_datasets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNISTCTL_STORE", "my-runs")
    done = mnistctl.train(
        "mlp",
        epochs=1,
        settings={"learning_rate": 0.01, "label_smoothing": 0.1},
        device="cpu",
        precision="fp32",
    )
    assert done.checkpoint == Path("my-runs/mlp-1/last.pt")
    assert done.config.recipe.changes == {
        "epochs": "1",
        "learning_rate": "0.01",
        "label_smoothing": "0.1",
    }
    model = mnistctl.load(device="cpu", precision="fp32")
    assert model.path == done.checkpoint
    assert model.evaluate().correct == done.result.test.correct
    assert model.evaluate(split="train").total == 2_000
    assert repr(model) == (
        "<mnistctl.Model run mlp-1 (latest):"
        " mlp (epochs=1, learning_rate=0.01, label_smoothing=0.1)>"
    )
    with pytest.raises(UsageError, match="unknown split"):
        model.evaluate(split="tset")


def test_a_model_is_measured_on_the_data_set_that_it_was_trained_on(
    small_datasets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load(split: str, data_dir: Path, reporter: object) -> object:
        asked.append((split, data_dir))
        return DATASETS["mnist"].load(split, data_dir, NullReporter())

    monkeypatch.setitem(DATASETS, "kmnist", replace(DATASETS["kmnist"], load=load))
    monkeypatch.setenv("MNISTCTL_DATA", "my-data")
    done = mnistctl.train("mlp", "kmnist", epochs=1, device="cpu", precision="fp32")
    asked.clear()
    model = mnistctl.load(done.directory, device="cpu", precision="fp32")
    assert model.dataset == "kmnist"
    model.evaluate()
    model.evaluate(data_dir="elsewhere")
    assert asked == [("test", Path("my-data")), ("test", Path("elsewhere"))]
