"""`predict` as a person uses it, with a network trained on real MNIST for one epoch."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.engine.inference.loading import load_model
from mnistctl.events import Reporter

pytestmark = pytest.mark.mnist


@pytest.fixture(scope="module")
def store(mnist_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run of `fast`."""
    directory = tmp_path_factory.mktemp("store")
    words = ["train", "--recipe", "fast", "--quiet", "--store", str(directory)]
    result = CliRunner().invoke(app, [*words, "--data-dir", str(mnist_data_dir)])
    assert result.exit_code == 0, result.stderr
    return directory


@pytest.fixture(scope="module")
def digits(mnist_data_dir: Path) -> LabelledImages:
    return get_dataset("mnist").load("test", mnist_data_dir, Reporter())


def invoke(store: Path, *words: str, code: int = 0, stdin: bytes | None = None) -> Any:
    result = CliRunner().invoke(app, ["predict", "--store", str(store), *words], input=stdin)
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def save(pixels: Any, name: str) -> str:
    Image.fromarray(np.asarray(pixels)).save(name)
    return name


def drawn(digit: Any, size: int = 300, dark_on_light: bool = True) -> Any:
    """A digit as a larger drawing, off the middle of its page."""
    large = Image.fromarray(np.asarray(digit)).resize(
        (size // 2, size // 2), Image.Resampling.BICUBIC
    )
    page = Image.new("L", (size, size), 0)
    page.paste(large, (size // 8, size // 3))
    return 255 - np.asarray(page) if dark_on_light else np.asarray(page)


def test_png_files_agree_with_evaluate(
    store: Path, digits: LabelledImages, mnist_data_dir: Path
) -> None:
    names = [save(image, f"{i:04d}.png") for i, image in enumerate(digits.images[:300])]
    predictions = json.loads(invoke(store, *names, "--json").stdout)["predictions"]
    assert [p["image"] for p in predictions] == names
    said = [int(np.argmax(p["probabilities"])) for p in predictions]
    model = load_model(None, store, "cpu", "fp32", Reporter())
    logits = model.predictor.logits(digits.images[:300])
    assert sum(a == b for a, b in zip(said, logits.argmax(1).tolist(), strict=True)) >= 299


@pytest.mark.parametrize("dark_on_light", [True, False])
def test_drawings_in_either_polarity(
    store: Path, digits: LabelledImages, dark_on_light: bool
) -> None:
    pages = (drawn(image, dark_on_light=dark_on_light) for image in digits.images[:40])
    names = [save(page, f"{i}.png") for i, page in enumerate(pages)]
    predictions = json.loads(invoke(store, *names, "--json").stdout)["predictions"]
    right = [
        int(np.argmax(p["probabilities"])) == int(label)
        for p, label in zip(predictions, digits.labels, strict=False)
    ]
    assert sum(right) >= 38


def test_top_three_directory_and_stdin(store: Path, digits: LabelledImages) -> None:
    Path("some").mkdir()
    Path("some/notes.txt").write_text("no image")
    names = [save(digits.images[i], f"some/{i}.png") for i in (2, 0, 1)]
    lines = invoke(store, "some").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == sorted(names)
    assert lines[0].startswith("some/0.png: 7 (")
    assert lines[0].count("%") == 3
    piped = invoke(store, "-", stdin=Path("some/0.png").read_bytes())
    assert piped.stdout.startswith("-: 7 (")
    assert "fast-1 (latest)" in piped.stderr


def test_bad_files_are_named_and_the_rest_are_predicted(
    store: Path, digits: LabelledImages
) -> None:
    good = save(digits.images[0], "good.png")
    Path("empty.png").touch()
    Path("text.png").write_text("hello")
    Path("folder").mkdir()
    words = ["empty.png", good, "text.png", "missing.png", "folder", good]
    result = invoke(store, *words, "--json", code=1)
    document = json.loads(result.stdout)
    assert [p["digit"] for p in document["predictions"]] == [7, 7]
    assert {e["image"] for e in document["errors"]} == {*words} - {good}
    plain = invoke(store, *words, code=1)
    assert len([line for line in plain.stderr.splitlines() if line.startswith("error: ")]) == 4
    assert "Traceback" not in plain.stderr


def test_csv(store: Path, digits: LabelledImages) -> None:
    names = [save(digits.images[i], f"{i}.png") for i in range(3)]
    rows = list(csv.DictReader(io.StringIO(invoke(store, "--csv", *names).stdout)))
    assert [row["digit"] for row in rows] == ["7", "2", "1"]
    assert [row["class_name"] for row in rows] == ["7", "2", "1"]
    assert {row["verdict"] for row in rows} == {"digit"}
    assert list(rows[0])[-1] == "warnings"
    assert sum(float(rows[0][f"p{k}"]) for k in range(10)) == pytest.approx(1, abs=1e-4)


def test_save_input_is_what_the_network_saw(store: Path, digits: LabelledImages) -> None:
    invoke(store, save(digits.images[0], "a.png"), "--save-input", "seen.png")
    assert np.array_equal(np.asarray(Image.open("seen.png")), digits.images[0].numpy())
    name = save(drawn(digits.images[0]), "b.png")
    invoke(store, name, "--save-input", "seen.png")
    assert np.asarray(Image.open("seen.png")).shape == (28, 28)
    assert "saves one digit" in invoke(store, name, name, "--save-input", "x.png", code=2).stderr
    assert ".png" in invoke(store, name, "--save-input", "x.jpg", code=2).stderr


def test_a_blank_page_is_no_digit(store: Path) -> None:
    name = save(np.full((200, 200), 240, np.uint8), "blank.png")
    (prediction,) = json.loads(invoke(store, name, "--json").stdout)["predictions"]
    assert (prediction["verdict"], prediction["digit"]) == ("not-a-digit", None)
    assert prediction["warnings"]


def test_several_digits_are_read_in_order(store: Path, digits: LabelledImages) -> None:
    labels = digits.labels.tolist()
    page = np.zeros((60, 200), np.uint8)
    for place, wanted in enumerate((2, 0, 4, 8)):
        image = digits.images[labels.index(wanted)].numpy()
        page[16:44, 20 + 40 * place : 48 + 40 * place] = image
    name = save(255 - page, "year.png")
    result = invoke(store, "--multi", name)
    assert result.stdout.splitlines()[0] == "year.png: 2048"
    boxes = [
        p["box"] for p in json.loads(invoke(store, "--multi", name, "--json").stdout)["predictions"]
    ]
    assert boxes == sorted(boxes)
    assert all(0 <= left < right <= 200 for left, _, right, _ in boxes)


def test_each_line_of_writing_is_shown_for_itself(store: Path, digits: LabelledImages) -> None:
    labels = digits.labels.tolist()
    page = np.zeros((140, 200), np.uint8)
    for place, wanted in enumerate((2, 0, 4, 8)):
        row, column = 16 + 70 * (place // 2), 20 + 40 * (place % 2)
        image = digits.images[labels.index(wanted)].numpy()
        page[row : row + 28, column : column + 28] = image
    name = save(255 - page, "lines.png")
    shown = invoke(store, "--multi", name).stdout.splitlines()
    headings = [line for line in shown if not line.startswith(" ")]
    assert headings == ["lines.png: 20", "lines.png: 48"]
    found = json.loads(invoke(store, "--multi", name, "--json").stdout)["predictions"]
    assert [(own["digit"], own["line"]) for own in found] == [(2, 0), (0, 0), (4, 1), (8, 1)]


def test_multi_keeps_pictures_apart_and_names_blank_ones(
    store: Path, digits: LabelledImages
) -> None:
    blank = save(np.full((200, 200), 240, np.uint8), "blank.png")
    seven = save(drawn(digits.images[0]), "seven.png")
    result = invoke(store, "--multi", blank, seven, seven)
    headings = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert headings == ["blank.png: ?", "seven.png: 7", "seven.png: 7"]


def test_unreadable_image_is_not_hidden_by_save_input(store: Path) -> None:
    result = invoke(store, "missing.png", "--save-input", "seen.png", code=1)
    assert "can't read missing.png" in result.stderr
    assert not Path("seen.png").exists()


def test_absurd_name_is_an_error_of_its_own(store: Path, digits: LabelledImages) -> None:
    good = save(digits.images[0], "good.png")
    document = json.loads(invoke(store, "x" * 5000, good, "--json", code=1).stdout)
    assert [p["digit"] for p in document["predictions"]] == [7]
    assert len(document["errors"]) == 1


def test_usage_errors(store: Path) -> None:
    assert "did you mean 'yes'" in invoke(store, "x.png", "--invert", "yess", code=2).stderr
    assert "choose one" in invoke(store, "x.png", "--csv", "--json", code=2).stderr


def test_terminal_shows_what_the_network_saw(store: Path, digits: LabelledImages) -> None:
    pty = pytest.importorskip("pty")
    import os

    name = save(digits.images[0], "seven.png")
    parent, child = pty.openpty()
    words = [sys.executable, "-m", "mnistctl", "predict", name, "--store", str(store)]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    with subprocess.Popen(words, stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        shown = b""
        try:
            while part := os.read(parent, 65536):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
    os.close(parent)
    text = shown.decode()
    assert process.returncode == 0, text
    assert "▀" in text  # the image, two pixels a character
    assert "██" in text  # the large digit
    assert text.count(" %") >= 13  # three in the line, ten bars
