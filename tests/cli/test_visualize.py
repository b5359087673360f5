"""`visualize`: every kind, its numbers, where things are printed, and what it refuses."""

import io
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pytest
import small_data
import typer
from drawn import console_of, screen_of
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console, RenderableType
from rich.live import Live
from typer.testing import CliRunner

from mnistctl.cli import visualize as cli_visualize
from mnistctl.cli.app import app
from mnistctl.cli.output import Output
from mnistctl.data.registry import DATASETS
from mnistctl.draw.style import new_figure
from mnistctl.events import Reporter
from mnistctl.store.lock import locked
from mnistctl.store.metrics import METRICS_NAME
from mnistctl.visualize import curves, registry, sources
from mnistctl.visualize.registry import all_kinds

KEYS = {
    "prediction": {"checkpoint", "index", "label", "prediction", "confidence", "probabilities"},
    "samples": {"dataset", "split", "order", "augmented", "samples"},
    "confusion": {"checkpoint", "accuracy", "per_class", "confusion", "worst_pairs"},
    "errors": {"checkpoint", "accuracy", "num_errors", "errors"},
    "curves": {"runs"},
    "filters": {"checkpoint", "layer", "num_filters", "filters"},
    "activations": {"checkpoint", "index", "label", "layers"},
    "saliency": {"checkpoint", "method", "digit", "score", "baseline_score", "attribution"},
    "calibration": {"checkpoint", "accuracy", "calibration_error", "temperature", "bins"},
    "embedding": {"checkpoint", "accuracy", "explained_variance", "x", "y", "labels"},
    "compare": {
        "a",
        "b",
        "both_correct",
        "only_a",
        "only_b",
        "both_misclassified",
        "p_value",
        "better",
    },
}
WORDS = {kind: [kind, "-c", "wide"] for kind in KEYS}
WORDS |= {"samples": ["samples"], "compare": ["compare", "-c", "wide", "-c", "flat"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with a run of `fast` called wide and one of `mlp`, the latest, called flat."""
    store = tmp_path_factory.mktemp("store")
    rows = dict(DATASETS)
    small_data.install(rows)
    with pytest.MonkeyPatch.context() as patch:
        for row in rows.values():
            patch.setitem(DATASETS, row.name, row)
        for recipe, name, rate in (("fast", "wide", "0.001"), ("mlp", "flat", "0.001")):
            words = ["train", "--recipe", recipe, "--epochs", "1", "--lr", rate, "--quiet"]
            result = CliRunner().invoke(app, [*words, "--store", str(store), "--name", name])
            assert result.exit_code == 0, result.stderr
        yield store


@pytest.fixture
def store(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy in the present directory, where commands look for runs."""
    shutil.copytree(trained, "runs")
    return Path("runs")


def run(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["visualize", *words])
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def document(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json").stdout)
    return found


def test_every_kind_is_here() -> None:
    first, *others = all_kinds()
    assert first == "prediction"
    assert others == sorted(others)
    assert {first, *others} == KEYS.keys()


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_in_json_and_as_a_file(kind: str, store: Path) -> None:
    Path("x.png").write_bytes(b"an older picture")
    found = document(*WORDS[kind], "--output", "x.png")
    assert found.keys() >= KEYS[kind] | {"kind", "output"}
    assert (found["kind"], found["output"]) == (kind, "x.png")
    with Image.open("x.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 3


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_in_a_pipe(kind: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = run(*WORDS[kind]).stdout
    *drawing, title = shown.splitlines()
    assert len(drawing) > 1
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []
    assert max(map(len, drawing)) <= 60
    assert "\x1b" not in shown
    assert run(*WORDS[kind], "--quiet").stdout == title + "\n"


def test_prediction_is_the_kind_without_a_name(store: Path) -> None:
    assert document("--index", "3") == document("prediction", "--index", "3")
    assert document()["index"] == 0
    shown = run("--index", "0").stdout
    assert shown.splitlines()[-1].startswith("mnist test image 0, label ")
    assert "<- label" in shown


def test_numbers_are_those_of_evaluate(store: Path) -> None:
    said = json.loads(CliRunner().invoke(app, ["evaluate", "wide", "--json"]).stdout)
    for key in ("confusion", "accuracy", "correct", "total", "loss", "per_class"):
        assert document("confusion", "-c", "wide")[key] == said[key]
    calibration = document("calibration", "-c", "wide")
    assert calibration["calibration_error"] == pytest.approx(said["calibration_error"])
    assert sum(own["count"] for own in calibration["bins"]) == said["total"]
    gaps = [
        own["count"] * abs(own["confidence"] - own["accuracy"])
        for own in calibration["bins"]
        if own["count"]
    ]
    assert sum(gaps) / said["total"] == pytest.approx(said["calibration_error"])
    errors = document("errors", "-c", "wide", "--count", "400")
    assert errors["num_errors"] == said["total"] - said["correct"]
    embedding = document("embedding", "-c", "wide")
    pairs = zip(embedding["labels"], embedding["predictions"], strict=True)
    assert sum(a == b for a, b in pairs) == said["correct"]
    assert len(embedding["x"]) == said["total"]
    worst = document("confusion", "-c", "wide")["worst_pairs"]
    assert all(said["confusion"][p["label"]][p["prediction"]] == p["count"] for p in worst)
    assert [p["count"] for p in worst] == sorted((p["count"] for p in worst), reverse=True)


def test_errors_are_most_confident_first_and_really_wrong(store: Path) -> None:
    errors = document("errors", "-c", "flat", "--count", "9")["errors"]
    confidences = [own["confidence"] for own in errors]
    assert confidences == sorted(confidences, reverse=True)
    assert len(errors) == 9
    for own in errors[:2]:
        looked = document("--index", str(own["index"]), "-c", "flat")
        assert (looked["label"], looked["prediction"]) == (own["label"], own["prediction"])
        assert looked["confidence"] == pytest.approx(own["confidence"], abs=1e-4)
        assert own["label"] != own["prediction"]
    digit = errors[0]["label"]
    only = document("errors", "-c", "flat", "--digit", str(digit))
    assert only == document("errors", "-c", "flat", "--class", str(digit))
    assert (only["digit"], only["class_name"]) == (digit, str(digit))
    assert {own["label"] for own in only["errors"]} == {digit}
    assert only["num_errors"] < document("errors", "-c", "flat")["num_errors"]


def test_comparing_counts_every_image_once(store: Path) -> None:
    found = document("compare", "-c", "wide", "-c", "flat", "--count", "3")
    parts = [found[key] for key in ("both_correct", "only_a", "only_b", "both_misclassified")]
    assert sum(parts) == found["total"] == 500
    assert parts[0] + parts[1] == found["a"]["correct"]
    assert parts[0] + parts[2] == found["b"]["correct"]
    assert len(found["disagreements"]) == 3
    assert all(own["prediction_a"] != own["prediction_b"] for own in found["disagreements"])
    better = "A" if found["better"] == "a" else "B"
    assert f"{better} is more accurate than" in run("compare", "-c", "wide", "-c", "flat").stdout


def test_samples_by_class_random_and_augmented() -> None:
    by_class = document("samples", "--count", "23")["samples"]
    assert [own["label"] for own in by_class[:4]] == [0, 0, 0, 1]
    assert len(by_class) == 23
    data = small_data.load_small_split("test", Path(), Reporter())
    assert all(int(data.labels[own["index"]]) == own["label"] for own in by_class)
    one, other = document("samples", "--seed", "1"), document("samples", "--seed", "2")
    assert one == document("samples", "--seed", "1") != other
    sevens = document("samples", "--digit", "7", "--split", "train", "--count", "5")
    assert {own["label"] for own in sevens["samples"]} == {7}
    assert len(document("samples", "--augmented", "standard")["samples"]) == 10
    shown = run("samples", "--augmented", "standard", "--count", "2").stdout
    assert shown.count(" augmented") == 2 * 4 + 1
    assert not Path("runs").exists()


def test_saliency_by_either_method(store: Path) -> None:
    found = document("saliency", "-c", "wide", "--index", "2")
    total = float(np.sum(found["attribution"]))
    assert total == pytest.approx(found["score"] - found["baseline_score"], abs=1e-2)
    assert found["digit"] == found["prediction"]
    cam = document("saliency", "-c", "wide", "--method", "gradcam", "--digit", "5")
    assert (cam["digit"], cam["baseline_score"]) == (5, None)
    shares = document("-c", "wide", "--index", "0")["probabilities"]
    assert cam["confidence"] == pytest.approx(shares[5])
    assert cam["confidence"] < max(shares)
    assert np.min(cam["attribution"]) >= 0
    error = run("saliency", "-c", "flat", "--method", "gradcam", code=1).stderr
    assert "Grad-CAM needs convolutions" in error
    assert "use --method integrated-gradients" in error


def test_every_digit_of_a_file_in_its_box(store: Path) -> None:
    page = np.full((120, 240), 230, np.uint8)
    page[30:90, 40:50] = page[30:90, 150:160] = 20
    Image.fromarray(page).save("two.png")
    found = document("--image", "two.png", "--multi", "-c", "shipped", "-o", "boxes.svg")
    words = ["predict", "two.png", "--multi", "--json", "-c", "shipped"]
    assert found["predictions"] == json.loads(CliRunner().invoke(app, words).stdout)["predictions"]
    boxes = [own["box"] for own in found["predictions"]]
    assert np.abs(np.array(boxes) - [(40, 30, 50, 90), (150, 30, 160, 90)]).max() <= 2
    assert Path("boxes.svg").stat().st_size > 0
    shown = run("--image", "two.png", "--multi", "-c", "shipped").stdout
    assert shown.splitlines()[-1] == "two.png: 11"


def test_a_file_with_each_step_to_the_network(store: Path) -> None:
    page = np.full((120, 90, 3), 230, np.uint8)
    page[30:90, 40:48] = (20, 30, 120)
    Image.fromarray(page).save("one.png")
    Image.fromarray(np.full((50, 50), 255, np.uint8)).save("blank.png")
    found = document("--image", "one.png", "-o", "steps.svg")
    assert found["steps"] == ["image", "ink", "strokes", "28x28"]
    assert found["image"] == "one.png"
    assert "index" not in found
    inverted = document("--image", "one.png", "--invert", "no")
    assert inverted["probabilities"] != found["probabilities"]
    for shown, polarity in ((found, "auto"), (inverted, "no")):
        words = ["predict", "one.png", "--json", "--invert", polarity]
        (answer,) = json.loads(CliRunner().invoke(app, words).stdout)["predictions"]
        for key in ("probabilities", "verdict", "warnings", "box"):
            assert shown[key] == answer[key]
    shown = run("--image", "one.png").stdout
    assert shown.splitlines()[-1].startswith("one.png: ")
    assert "strokes" in shown
    blank = run("--image", "blank.png").stdout
    assert blank.splitlines()[-1].startswith("blank.png: not a digit: no ink found")
    for kind in ("activations", "saliency"):
        assert document(kind, "--image", "one.png", "-c", "wide")["image"] == "one.png"


def test_layers_of_a_network_without_convolutions(store: Path) -> None:
    found = document("filters", "-c", "flat", "--count", "3")
    assert (found["layer"], found["num_filters"]) == ("fc1", 128)
    assert np.shape(found["filters"]) == (3, 28, 28)
    assert "visualize filters" in run("activations", "-c", "flat", code=1).stderr


def test_curves_hold_what_was_logged(store: Path) -> None:
    lines = (store / "wide" / METRICS_NAME).read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for argument in ("wide", "runs/wide", "runs/wide/last.pt"):
        (found,) = document("curves", "-c", argument)["runs"]
        assert [y for _, y in found["batch_loss"]] == [r["loss"] for r in records if "loss" in r]
        assert found["epoch_loss"] == [[1.0, records[-1]["train_loss"]]]
    assert found["test_accuracy"][0][1] == document("confusion", "-c", "wide")["accuracy"]
    assert [own["name"] for own in document("curves", "-c", "wide", "-c", "flat")["runs"]] == [
        "wide",
        "flat",
    ]
    (store / "wide" / METRICS_NAME).unlink()
    assert "run 'wide' has no metrics" in run("curves", "-c", "wide", code=1).stderr


def test_curves_of_an_ensemble_are_its_members(store: Path) -> None:
    shutil.copytree(store / "flat", store / "wide" / "members" / "seed-1")
    shutil.copytree(store / "flat", store / "wide" / "members" / "seed-0")
    names = [own["name"] for own in document("curves", "-c", "wide")["runs"]]
    assert names == ["wide/seed-0", "wide/seed-1"]


FINISHED = "finished, test 73.20 %"


@pytest.fixture
def growing(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """The run `wide` as if it were being trained; called, it logs a loss and ends."""
    monkeypatch.setattr(curves, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(curves, "PATIENCE", 0.2)
    directory = store / "wide"
    result = (directory / "result.json").read_bytes()
    (directory / "result.json").unlink()
    (directory / METRICS_NAME).write_text('{"epoch": 1, "step": 1, "loss": 0.75}\n')
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(directory) as free:
            assert free
            begun.set()
            done.wait(20)
            with (directory / METRICS_NAME).open("a") as file:
                file.write('{"epoch": 1, "step": 2, "loss": 0.5}\n')
            time.sleep(0.1)
            (directory / "result.json").write_bytes(result)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(20)
    yield done.set
    done.set()
    thread.join()


def test_following_prints_lines_where_there_is_no_terminal(
    growing: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert document("curves", "-c", "wide")["runs"][0]["state"] == "running"
    monkeypatch.setattr(curves.time, "sleep", lambda seconds: growing())
    lines = run("curves", "-c", "wide", "--follow").stdout.splitlines()
    assert [line.partition("loss ")[2] for line in lines[:2]] == ["0.7500", "0.5000"]
    assert lines[-1] == f"curves of wide ({FINISHED})"


def test_following_quietly_waits_for_the_end(
    growing: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves.time, "sleep", lambda seconds: growing())
    result = run("curves", "-c", "wide", "--follow", "--quiet")
    assert result.stdout == f"curves of wide ({FINISHED})\n"


def test_following_redraws_in_a_terminal(
    growing: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=70, highlight=False)
    monkeypatch.setattr(cli_visualize, "is_terminal", lambda stream: True)
    monkeypatch.setattr(Output, "console", lambda self: console)
    frames: list[str] = []

    def update(live: Live, shown: RenderableType, *, refresh: bool) -> None:
        frames.append(screen_of(shown, console_of(70, colours=False)))
        growing()

    monkeypatch.setattr(Live, "update", update)
    run("curves", "-c", "wide", "--follow", "-o", "x.png")
    assert "0.75" in frames[0]
    assert frames[0] != frames[-1]
    assert f"curves of wide ({FINISHED})" in screen.getvalue()
    assert Path("x.png").exists()


def test_ctrl_c_ends_following(
    growing: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pausing = SimpleNamespace(
        monotonic=time.monotonic, sleep=lambda seconds: signal.raise_signal(signal.SIGINT)
    )
    monkeypatch.setattr(curves, "time", pausing)
    assert "interrupted" in run("curves", "-c", "wide", "--follow", code=130).stderr


def test_following_a_run_that_stopped_ends(store: Path, growing: Callable[[], None]) -> None:
    shutil.copytree(store / "wide", store / "left")
    result = run("curves", "-c", "left", "--follow")
    assert "left (interrupted" in result.stdout


def test_help_of_a_kind_has_its_own_options_and_examples() -> None:
    shown = run("confusion", "--help").stdout
    assert "--checkpoint" in shown
    assert "--split" in shown
    assert "--output" in shown
    for foreign in ("--index", "--count", "--method", "--follow", "--class", "--augmented"):
        assert foreign not in shown
    examples = shown.partition("Examples:\n")[2].splitlines()
    assert examples[0].strip() == "mnistctl visualize confusion"
    assert 2 <= len(examples) <= 3
    for kind, own in all_kinds().items():
        assert 2 <= len(own.examples) <= 3
        assert run(kind, "--help").stdout.startswith(f"Usage: root visualize {kind} [OPTIONS]")


def test_help_of_the_group_lists_the_kinds() -> None:
    for flag in ("--help", "-h"):
        shown = run(flag).stdout
        assert all(f"\n  {kind} " in shown for kind in KEYS)
        assert "--device" not in shown


@pytest.mark.parametrize("words", [("--help",), ("saliency", "--help"), ("erors",), ("compare",)])
def test_nothing_heavy_is_imported_before_a_kind_runs(words: tuple[str, ...]) -> None:
    heavy = ("torch", "torchvision", "matplotlib", "numpy", "skimage", "scipy", "PIL")
    code = (
        "import sys; from typer.testing import CliRunner; from mnistctl.cli.app import app\n"
        f"CliRunner().invoke(app, ['visualize', *{words}])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@dataclass(frozen=True)
class Brightness:
    """A view of the kind that the next test adds."""

    index: int
    mean: float

    @property
    def title(self) -> str:
        return f"image {self.index}: mean {self.mean:.1f}"

    def to_dict(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def figure(self) -> Figure:
        figure = new_figure(4, 3, self.title)
        figure.subplots().bar([0], [self.mean])
        return figure

    def panel(self, console: Console) -> str:
        return "#" * round(self.mean / 10)


def test_a_kind_is_added_in_one_place(
    small_datasets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And has a command, help, JSON, a drawing and a figure at once."""
    monkeypatch.setattr(registry, "KINDS", dict(all_kinds()))

    @registry.kind("brightness", "", "--index 3 --scale 2")
    def brightness(
        data: sources.Split,
        index: Annotated[int, typer.Option("--index", help="Which image.")] = 0,
        scale: Annotated[float, typer.Option("--scale", help="A factor.")] = 1.0,
    ) -> Brightness:
        """How bright an image is."""
        images = data.load(data.name_for()).images
        return Brightness(index, scale * float(images[index].float().mean()))

    assert "brightness   How bright an image is." in run("--help").stdout
    shown = run("brightness", "--help").stdout
    assert "--scale" in shown
    assert "--dataset" in shown
    assert "mnistctl visualize brightness --index 3 --scale 2" in shown
    found = document("brightness", "--index", "3", "-o", "mean.png")
    mean = small_data.load_small_split("test", Path(), Reporter()).images[3].float().mean()
    assert found == {"kind": "brightness", "mean": pytest.approx(float(mean)), "output": "mean.png"}
    with Image.open("mean.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 3
    twice = run("brightness", "--index", "3", "--scale", "2").stdout.splitlines()
    assert twice == ["#" * round(float(mean) / 5), f"image 3: mean {2 * float(mean):.1f}"]
    assert "did you mean 'brightness'" in run("brightnes", code=2).stderr
    error = run("brightness", "--method", "x", code=2).stderr
    assert "'brightness' does not accept --method" in error


def test_show_says_that_there_is_no_display(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    result = run("filters", "-c", "wide", "--show", code=1)
    assert result.stderr.splitlines() == [
        "error: no window: there is no display here (DISPLAY is not set)",
        "  --output FILE saves a file",
    ]
    assert result.stdout == ""


def test_a_display_that_does_not_answer(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tkinter")
    monkeypatch.setenv("DISPLAY", "127.0.0.1:59")
    monkeypatch.setattr("sys.platform", "linux")
    result = run("filters", "-c", "wide", "--show", "--quiet", code=1)
    assert result.stderr.startswith("error: no window: the display can't be used (")


BAD = {
    ("erors",): (2, "unknown kind 'erors'; did you mean 'errors'?"),
    ("7",): (2, "to see that image: mnistctl visualize --index 7"),
    ("samples", "--method", "gradcam"): (2, "'samples' does not accept --method"),
    ("confusion", "--index", "0"): (2, "'confusion' does not accept --index"),
    ("samples", "-c", "wide"): (2, "'samples' does not accept -c"),
    ("filters", "--split", "test"): (2, "'filters' does not accept --split"),
    ("samples", "--coutn", "3"): (2, "did you mean --count?"),
    ("--follow",): (2, "'prediction' does not accept --follow"),
    ("compare", "-c", "wide"): (2, "two checkpoints are needed, not 1"),
    ("compare", "-c", "wide", "-c", "runs/wide"): (2, "are the same checkpoint"),
    ("compare",): (2, "two checkpoints are needed, not 0"),
    ("errors", "-c", "wide", "-c", "flat"): (2, "visualize compare -c wide -c flat"),
    ("curves", "--follow", "--json"): (2, "--json is one document"),
    ("samples", "--count", "0"): (2, "--count 0: must be between 1 and 400"),
    ("samples", "--count", "many"): (2, "'--count'"),
    ("samples", "--digit", "10"): (2, "unknown class '10'"),
    ("errors", "--class", "seven", "-c", "wide"): (2, "unknown class 'seven'"),
    ("samples", "--seed", "-1"): (2, "--seed -1: must be between 0 and 2**63 - 1"),
    ("samples", "--augmented", "fast"): (2, "recipes that augment: standard"),
    ("samples", "--augmented", "standart"): (2, "did you mean 'standard'"),
    ("samples", "--dataset", "mnits"): (2, "did you mean 'mnist'"),
    ("saliency", "--method", "grad-cam"): (2, "did you mean 'gradcam'"),
    ("saliency", "--index", "10000"): (2, "images 0 to 9999"),
    ("errors", "-o", "x.bmp"): (2, ".png, .svg, .pdf"),
    ("--image", "x.png", "--index", "3"): (2, "--index does not go with --image"),
    ("--invert", "yes"): (2, "give --image FILE"),
    ("--multi",): (2, "give --image FILE"),
    ("--image", "x.png", "--invert", "yess"): (2, "did you mean 'yes'"),
    ("--image", "missing.png"): (1, "can't read missing.png: No such file"),
    ("curves", "-c", "nothing"): (1, "no run called 'nothing'"),
    ("errors", "-c", "missing.pt"): (1, "missing.pt does not exist"),
    # Seen before the checkpoint is looked for.
    ("errors", "-o", "no/such/x.png", "-c", "missing.pt"): (1, "can't write no/such/x.png"),
    ("activations", "-c", "flat"): (1, "needs convolutions"),
}


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_input_is_one_or_two_lines(words: tuple[str, ...], store: Path) -> None:
    code, text = BAD[words]
    result = run(*words, code=code)
    error = result.stderr[result.stderr.index("error: ") :]
    assert text in error
    assert len(error.splitlines()) <= 2
    assert "\x1b" not in result.stderr


def test_networks_of_two_data_sets_need_one_to_compare_on(store: Path) -> None:
    words = ["train", "--recipe", "mlp", "--epochs", "1", "--quiet", "--name", "drawn"]
    CliRunner().invoke(app, [*words, "--dataset", "synthetic"])
    both = ("compare", "-c", "wide", "-c", "drawn")
    assert "e.g. --dataset mnist" in run(*both, code=2).stderr
    assert document(*both, "--dataset", "mnist")["total"] == 500
