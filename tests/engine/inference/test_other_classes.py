"""Networks whose classes are no digits: names, verdicts, and how pictures are prepared."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.data.registry import DATASETS, get_dataset
from mnistctl.events import Reporter

pytestmark = pytest.mark.usefixtures("small_datasets")


@pytest.fixture
def run() -> str:
    words = ["train", "--recipe", "fast", "--dataset", "fashion", "--name", "clothes", "-q"]
    result = CliRunner().invoke(app, [*words, "--device", "cpu", "--precision", "fp32"])
    assert result.exit_code == 0, result.stderr
    return "clothes"


def picture(path: str, index: int) -> int:
    """An image of the small data set as a file, and its label."""
    data = get_dataset("fashion").load("test", Path(), Reporter())
    Image.fromarray(data.images[index].numpy()).save(path)
    return int(data.labels[index])


def test_predict_names_the_class(run: str) -> None:
    labels = [picture(f"{index}.png", index) for index in range(3)]
    result = CliRunner().invoke(app, ["predict", "0.png", "1.png", "2.png", "-c", run, "--json"])
    assert result.exit_code == 0, result.stderr
    answers = json.loads(result.stdout)["predictions"]
    assert [answer["class_index"] for answer in answers] == labels
    names = DATASETS["fashion"].classes
    assert [answer["class_name"] for answer in answers] == [names[label] for label in labels]
    assert {answer["digit"] for answer in answers} == {None}
    assert {answer["verdict"] for answer in answers} <= {"known", "uncertain", "unknown"}
    assert answers[0]["box"] == [0, 0, 28, 28]


def test_the_whole_picture_is_seen(run: str) -> None:
    """No ink is looked for: what the network sees is the picture, scaled."""
    picture("0.png", 0)
    small = np.asarray(Image.open("0.png"))
    Image.fromarray(small.repeat(4, 0).repeat(4, 1)).convert("RGB").save("large.png")
    words = ["predict", "large.png", "-c", run, "--save-input", "seen.png", "-q"]
    assert CliRunner().invoke(app, words).exit_code == 0
    seen = np.asarray(Image.open("seen.png")).astype(int)
    assert np.abs(seen - small).max() <= 40  # antialiasing mixes neighbours
    assert CliRunner().invoke(app, [*words, "--invert", "yes"]).exit_code == 0
    assert (np.asarray(Image.open("seen.png")).astype(int) == 255 - seen).all()


def test_several_digits_are_not_looked_for(run: str) -> None:
    picture("0.png", 0)
    result = CliRunner().invoke(app, ["predict", "0.png", "-c", run, "--multi"])
    assert result.exit_code == 2
    assert "--multi looks for digits; run clothes was trained on whole pictures" in result.stderr


def test_other_classes_are_refused(run: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", run, "--dataset", "mnist"])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-2:] == [
        "error: the classes of run clothes are not those of the data set 'mnist':"
        " T-shirt/top, Trouser, Pullover, Dress, ... (10); 0, 1, 2, 3, ... (10)",
        "  it was trained on fashion: choose with --dataset",
    ]
