"""The Python API: the same models, answers and places as on the command line."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from test_readme import README

import mnistctl
from mnistctl import api
from mnistctl.cli.help import page
from mnistctl.data.registry import DATASETS
from mnistctl.errors import ImageError, UsageError
from mnistctl.events import Reporter
from mnistctl.store import checkpoint


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


def test_trainings_in_threads_end_as_they_do_alone(small_datasets: None) -> None:
    """Initial weights and dropout come from torch's generator, of which there is one."""

    def weights(name: str, seed: int) -> Any:
        done = mnistctl.train(
            "cnn-small", epochs=1, seed=seed, name=name, device="cpu", precision="fp32"
        )
        return checkpoint.load(done.checkpoint).weights

    alone = [weights(f"alone-{seed}", seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(weights, ("a", "b"), (0, 1)))
    for one, other in zip(alone, together, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_it_is_trained_found_and_measured_as_on_the_command_line(
    small_datasets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("MNISTCTL_STORE", "MNISTCTL_DATA", "MNISTCTL_PRECISION"):
        monkeypatch.setenv(variable, "")  # as if it were not set
    assert api._store(None) == Path("runs")
    assert api._data_dir(None) == Path("data")
    assert api._usual_precision() is None
    monkeypatch.delenv("MNISTCTL_PRECISION")
    monkeypatch.delenv("MNISTCTL_DATA")
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


def test_its_types_are_for_others_too() -> None:
    assert Path(mnistctl.__file__).with_name("py.typed").is_file()


@pytest.mark.parametrize("text", [README, page("python")], ids=["README", "help"])
def test_python_on_the_pages_runs_as_it_stands(text: str, small_datasets: None) -> None:
    seven().save("photo.png")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.S)
    names: dict[str, Any] = {}
    exec(compile(block, "page", "exec"), names)
    assert names["model"].predict("photo.png").digit == 7
    assert Path("runs/fast-1/last.pt").is_file()


def test_arguments_as_notebooks_have_them(small_datasets: None) -> None:
    torch.manual_seed(42)
    drawn = torch.rand(3)
    torch.manual_seed(42)
    done = mnistctl.train(
        "mlp",
        epochs=np.int64(1),
        learning_rate=np.logspace(-3, -2, 2)[0],
        seed=np.int32(3),
        device=torch.device("cpu"),
        precision="fp32",
    )
    assert torch.equal(torch.rand(3), drawn)  # the caller's generator is as it was
    assert done.config.command == (
        "mnistctl.train(recipe='mlp', epochs=1, learning_rate=0.001, seed=3, device='cpu',"
        " precision='fp32')"
    )
    model = mnistctl.load(done.checkpoint, device=torch.device("cpu"))
    assert model.recipe.learning_rate == 0.001
    again = mnistctl.train(resume=done.directory, epochs=2)
    assert again.result.epochs == 2
    assert mnistctl.train(init=again.checkpoint, epochs=1, device="cpu").config.init


@pytest.mark.parametrize("option", [{"epochs": 3.0}, {"log_every": 20.0}, {"seed": True}])
def test_what_no_checkpoint_could_hold_is_refused(
    option: dict[str, Any], small_datasets: None
) -> None:
    with pytest.raises(UsageError):
        mnistctl.train("mlp", device="cpu", **option)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 28, 28), np.uint8),
        np.zeros((0, 28), np.uint8),
        np.zeros((28, 28)),
        torch.zeros(28, 28, dtype=torch.uint8),
        None,
    ],
)
def test_what_is_no_image(image: Any) -> None:
    with pytest.raises(ImageError, match="this is no image"):
        mnistctl.load("shipped").predict([image])


def test_a_model_is_measured_on_the_data_set_that_it_was_trained_on(
    small_datasets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load(split: str, data_dir: Path, reporter: object) -> object:
        asked.append((split, data_dir))
        return DATASETS["mnist"].load(split, data_dir, Reporter())

    monkeypatch.setitem(DATASETS, "kmnist", replace(DATASETS["kmnist"], load=load))
    monkeypatch.setenv("MNISTCTL_DATA", "my-data")
    done = mnistctl.train("mlp", "kmnist", epochs=1, device="cpu", precision="fp32")
    asked.clear()
    model = mnistctl.load(done.directory, device="cpu", precision="fp32")
    assert model.dataset == "kmnist"
    model.evaluate()
    model.evaluate(data_dir="elsewhere")
    assert asked == [("test", Path("my-data")), ("test", Path("elsewhere"))]
