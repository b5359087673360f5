"""Small things a person notices: near misses, next steps, summaries, which model answers."""

import csv
import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from mnistctl.cli.app import app


def run(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, (result.output, result.exception)
    return result


def train(*words: str) -> Any:
    return run("train", "-r", "fast", "--device", "cpu", "--precision", "fp32", *words)


@pytest.fixture
def photos() -> Path:
    """Three pictures of a one, one of nothing, and a file that is none."""
    folder = Path("photos")
    folder.mkdir()
    paper = Image.new("L", (100, 100), 255)
    paper.save(folder / "empty.png")
    ImageDraw.Draw(paper).line([(50, 15), (50, 85)], fill=0, width=10)
    for name in ("a.png", "b.png", "c.png"):
        paper.save(folder / name)
    (folder / "note.png").write_text("no image")
    return folder


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("train", "--epoch", "3"), 2, "'train' does not accept --epoch; did you mean --epochs?"),
        (("train", "--device", "gpu"), 2, "did you mean 'cuda'?"),
        (("evaluate", "shippd"), 1, "did you mean 'shipped'?"),
        (("predict", "x.png", "-c", "lates"), 1, "did you mean 'latest'?"),
        (("train", "-r", "list"), 2, "see mnistctl info recipes"),
        (("runs", "shwo"), 2, "Did you mean 'show'?"),
        (("--json", "runs"), 2, "options of a command go after its name"),
        (("export", "-o", "model"), 2, "model has no ending"),
        (("train", "-r", ""), 2, "unknown recipe ''"),
        (("train", "--dataset", ""), 2, "--dataset '' names nothing"),
        (("predict", ""), 1, "'' names no file"),
        (("runs", "--store", "photos/a.png"), 1, "the store photos/a.png is no directory"),
        (("evaluate", "photos/x.safetensors"), 1, "the network is not known"),
        (("evaluate", "-c", "x"), 2, "does not accept -c; name the checkpoint without it"),
        (("help", "runs", "shwo"), 2, "unknown topic 'shwo'; did you mean 'show'?"),
        (("train", "-c", "x"), 2, "'train' does not accept -c"),
        (("--versoin",), 2, "did you mean --version?"),
        (("help", "train", "foo"), 2, "mnistctl help train"),
        (("help", "runs", "nope"), 2, "mnistctl help runs describes them"),
        (("evaluate", "shipped", "shipped"), 2, "are the same checkpoint"),
        (("train", "--store", "photos/a.png"), 1, "photos/a.png is a file, not a directory"),
        (("visualize", "errors", "--class", "x", "--dataset", "mnist"), 2, "unknown class 'x'"),
        (("visualize", "saliency", "--class", "x", "--dataset", "mnist"), 2, "unknown class 'x'"),
        (("predict", "-", "photos", "-"), 2, "- is standard input, which can be read once"),
        (("help", "recipes", "x"), 2, "'recipes x' is no topic"),
    ],
)
def test_near_misses(words: tuple[str, ...], code: int, text: str, photos: Path) -> None:
    result = run(*words, code=code)
    assert text in result.stderr
    assert "Device" not in result.stderr
    assert ("without it" in result.stderr) == ("without it" in text)


@pytest.mark.parametrize("words", [("predict", "photos/a.png"), ("serve",), ("visualize",)])
def test_a_second_checkpoint_is_not_ignored(words: tuple[str, ...], photos: Path) -> None:
    result = run(*words, "-c", "first", "-c", "my best", code=2)
    assert result.stderr.splitlines() == [
        "error: one checkpoint is needed, not 2",
        "  two are compared by mnistctl visualize compare -c first -c 'my best'",
    ]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("runs", "--store", "photos"), 0, ""),
        (("info", "--data-dir", "photos"), 0, ""),
        (("visualize", "-c", "missing", "-o", "photos/a.png"), 1, "no run called 'missing'"),
        (("export", "-o", "photos/x.pt"), 2, "photos/x.pt exists already"),
        (
            ("predict", "", "--save-input", "photos/a.png", "-c", "missing"),
            1,
            "no run called 'missing'",
        ),
        (("serve", "--collect", "photos", "--port", "-1"), 2, "--port -1 is not between"),
    ],
    ids=lambda own: own[0] if isinstance(own, tuple) else "",
)
def test_of_what_can_not_be_read_the_command_speaks_for_itself(
    words: tuple[str, ...], code: int, text: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "x.pt").touch()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert text in run(*words, code=code).stderr


@pytest.mark.parametrize("kind", ["errors", "saliency"])
def test_a_class_is_checked_before_data_is_fetched(kind: str) -> None:
    told = run("visualize", kind, "-c", "shipped", "--class", "12", code=2).stderr
    assert "unknown class '12'" in told
    assert "getting" not in told


def test_a_picture_without_its_option(photos: Path) -> None:
    named = run("visualize", str(photos / "a.png"), code=2)
    assert "mnistctl visualize --image photos/a.png" in named.stderr
    assert "did you mean --version" not in run("--json", "runs", code=2).stderr


def test_no_output_replaces_its_input(photos: Path) -> None:
    image = photos / "a.png"
    before = image.read_bytes()
    same = str(photos / ".." / image)
    for words in (
        ("predict", str(image), "-c", "shipped", "--save-input", same),
        ("visualize", "--image", str(image), "-c", "shipped", "-o", same),
    ):
        result = run(*words, code=2)
        assert "is the image itself" in result.stderr
        assert (result.stdout, image.read_bytes()) == ("", before)


@pytest.mark.parametrize(
    ("names", "place", "code", "text"),
    [
        (["a.png", "b.png"], "x.png", 2, "saves one digit, but there are 2 images"),
        (["."], "x.png", 2, "saves one digit, but there are 5 images"),
        (["a.png"], "none/x.png", 1, "can't write none/x.png"),
        (["a.png", "--multi", "--json"], "none/x.png", 1, "can't write none/x.png"),
    ],
)
def test_what_can_not_be_saved_is_known_before_anything_is_predicted(
    names: list[str],
    place: str,
    code: int,
    text: str,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(photos)
    result = run("predict", *names, "-c", "shipped", "--save-input", place, code=code)
    assert text in result.stderr
    assert "Model" not in result.stderr


def test_a_name_that_is_taken_is_known_before_data_is_fetched(small_datasets: None) -> None:
    train("--name", "x")
    result = run("train", "--recipe", "mlp", "--name", "x", code=2)
    assert result.stderr.startswith("error: run 'x' exists already in runs")


def test_what_comes_after_training(small_datasets: None) -> None:
    result = train("--name", "one")
    assert result.stderr.splitlines()[-2:] == [
        "Next: mnistctl predict photo.jpg -c one",
        "      mnistctl visualize errors -c one",
    ]
    result = train("--name", "two", "--store", "my runs", "--data-dir", "d")
    assert result.stderr.splitlines()[-2:] == [
        "Next: mnistctl predict photo.jpg -c two --store 'my runs'",
        "      mnistctl visualize errors -c two --store 'my runs' --data-dir d",
    ]
    assert "Next" not in train("--quiet").output


def test_which_model_answers(small_datasets: None, photos: Path) -> None:
    picture = str(photos / "a.png")
    told = run("predict", picture).stderr
    assert told == "Model: shipped weights; no finished run of yours yet\n"
    train("--name", "one")
    told = run("predict", picture).stderr
    assert told.startswith("Model: your run one (latest); built-in weights: -c shipped\n")
    assert run("predict", picture, "-c", "shipped").stderr == "Model: shipped weights\n"
    asked = run("predict", picture, "-c", "shipped", "--device", "cpu").stderr
    assert asked.startswith("Device: cpu (as requested)")


def test_a_folder_ends_with_a_summary(photos: Path) -> None:
    result = run("predict", str(photos), code=1)
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        f"photos/{name}.png" for name in ("a", "b", "c", "empty")
    ]
    assert result.stderr.splitlines()[1:] == [
        "error: can't read photos/note.png as an image: its image format is not known",
        "Predicted: 1 (3)",
        "Not a digit: 1 (empty.png)",
        "Unreadable: 1 (note.png)",
    ]
    assert "0.00 %" not in result.output
    assert "Predicted" not in run("predict", "photos/a.png").output
    assert run("predict", str(photos), "--quiet", code=1).stderr.count("\n") == 1


@pytest.mark.parametrize("form", [(), ("--csv",)])
def test_answers_come_as_they_are_found(
    form: tuple[str, ...],
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from mnistctl.data import preparing

    read, written = [], []

    def reading(argument: str) -> Any:
        read.append(argument)
        written.append(sys.stdout.buffer.tell() if sys.stdout.seekable() else 0)
        return original(argument)

    original = preparing.read_argument
    monkeypatch.setattr(preparing, "read_argument", reading)
    run("predict", "photos/a.png", "photos/b.png", "photos/c.png", "photos/a.png", *form)
    heading = written[0]
    assert heading < written[1] == written[2] < written[3]  # batches of 1, 2, 4, ...


def test_csv_and_json_hold_all(photos: Path) -> None:
    table = list(csv.DictReader(io.StringIO(run("predict", "photos", "--csv", code=1).stdout)))
    assert [row["digit"] for row in table] == ["1", "1", "1", ""]
    document = json.loads(run("predict", "photos", "--json", code=1).stdout)
    assert [own["digit"] for own in document["predictions"]] == [1, 1, 1, None]
    assert len(document["errors"]) == 1


def test_urls_are_named_as_such() -> None:
    result = run("predict", "https://example.org/7.png", code=1)
    assert "https://example.org/7.png: URLs are not supported" in result.stderr


class Writer:
    """Stands for TensorBoard's."""

    made: list["Writer"] = []

    def __init__(self, log_dir: str, purge_step: int) -> None:
        self.log_dir, self.purge_step = log_dir, purge_step
        self.scalars: dict[str, list[tuple[int, float]]] = {}
        self.images: list[str] = []
        self.closed = False
        Writer.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.setdefault(name, []).append((step, value))

    def add_image(self, name: str, image: Any, step: int) -> None:
        assert image.shape == (1, 28, 28)
        self.images.append(name)

    def close(self) -> None:
        self.closed = True


def test_tensorboard(small_datasets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr("mnistctl.errors.find_spec", lambda name: object())
    Writer.made.clear()
    slow = ("--lr", "1e-4")  # so that there are mistakes to show
    logged = ("--tensorboard", "--validation", "100", "--log-every", "4")
    result = train("--name", "one", *slow, *logged)
    assert "TensorBoard: tensorboard --logdir runs" in result.stderr
    (writer,) = Writer.made
    assert (writer.log_dir, writer.purge_step, writer.closed) == ("runs/one", 1, True)
    assert [step for step, _ in writer.scalars["loss/batch"]] == [4, 8]
    assert {name: [step for step, _ in own] for name, own in writer.scalars.items()} == {
        **dict.fromkeys(("loss/batch", "learning_rate", "images_per_second"), [4, 8]),
        **dict.fromkeys(("loss/train", "loss/validation"), [8]),
        **dict.fromkeys(("accuracy/validation", "accuracy/test"), [8]),
    }
    accuracy = json.loads(run("runs", "show", "one", "--json").stdout)["accuracy"]
    assert writer.scalars["accuracy/test"] == [(8, accuracy)]
    assert accuracy < 0.9
    assert len(writer.images) == 24
    words = ("visualize", "errors", "-c", "one", "--json", "--device", "cpu", "--precision", "fp32")
    worst = json.loads(run(*words).stdout)["errors"]
    assert [name.partition(":")[0] for name in writer.images] == [
        f"misclassified/{own['index']}" for own in worst
    ]
    run("train", "--resume", "one", "--epochs", "2", "--tensorboard")
    assert Writer.made[1].purge_step == 9


def test_tensorboard_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnistctl.errors.find_spec", lambda name: None)
    result = run("train", "--tensorboard", code=1)
    assert result.stderr.splitlines() == [
        "error: this needs tensorboard",
        "  in the clone of mnistctl: pip install '.[tensorboard]'",
    ]
    assert not Path("runs").exists()
