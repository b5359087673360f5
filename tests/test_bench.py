"""The benchmarks themselves: damaged images, scores and tables, on cases worked out by hand."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from mnistctl import __version__
from mnistctl.data import synthetic
from mnistctl.data.images import DIGITS, LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.engine.inference.loading import load_model
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.run import train
from mnistctl.errors import UsageError
from mnistctl.events import Reporter
from mnistctl.models.registry import build
from mnistctl.recipes import RECIPES
from mnistctl.store import checkpoint
from mnistctl.visualize.registry import all_kinds
from tests.bench import figures, gpu, gpu_commands, gpu_steps, photo_time, photos, scaling, versions
from tests.bench.__main__ import app as bench_app
from tests.bench.corruptions import by_severity, mean_accuracy, table
from tests.bench.corruptions import measure as measure_corruptions
from tests.bench.damage import CORRUPTIONS, NUM_SEVERITIES, corrupt, corrupt_at
from tests.bench.figures import append, identity, markdown, recipe_hash, show_share, wilson
from tests.bench.machine_rate import flops
from tests.bench.numbers import (
    PAPERS,
    SETS,
    Answer,
    Join,
    Paper,
    called_digit,
    numbers,
    overlap,
)
from tests.bench.numbers import measure as measure_numbers
from tests.bench.ours import evaluation_rate, predictor_of, train_once, training_rate
from tests.bench.outlier_pictures import KINDS, NEW_KINDS
from tests.bench.photos import (
    Reading,
    accuracy_counts,
    read_index,
    resized,
    verdict_counts,
    verdict_table,
)
from tests.bench.ship import ship
from tests.bench.speed import bar_cost, loading, recipe_rates
from tests.bench.study import study
from tests.bench.temperature import fit_temperature, temperature
from tests.small_data import load_small_split

NOISE = ("gaussian noise", "impulse noise", "low contrast", "occlusion")
"""Corruptions that change the ground, too, not the ink alone."""


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """Drawn digits, uint8 (60, 28, 28)."""
    return synthetic.load("test").images[:60]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruption_keeps_form_and_seed(name: str, digits: Tensor) -> None:
    before = digits.clone()
    damaged = corrupt(name, digits)
    assert torch.equal(digits, before)
    assert (damaged.shape, damaged.dtype) == (digits.shape, torch.uint8)
    assert torch.equal(damaged, corrupt(name, digits))
    assert (damaged != digits).flatten(1).any(1).all()
    for severity in range(NUM_SEVERITIES):
        own = damaged[severity::NUM_SEVERITIES]
        assert torch.equal(own, corrupt_at(name, severity, digits[severity::NUM_SEVERITIES]))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severity_grows(name: str, digits: Tensor) -> None:
    distance = [
        (corrupt_at(name, severity, digits).float() - digits).abs().mean().item()
        for severity in range(NUM_SEVERITIES)
    ]
    assert distance == sorted(distance)
    assert distance[2] > 1.2 * distance[0]


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name not in NOISE])
def test_most_ink_stays_in_view(name: str, digits: Tensor) -> None:
    ink = digits.float().sum((1, 2))
    strongest = corrupt_at(name, 2, digits).float().sum((1, 2))
    limits = {"thin strokes": (0.2, 1.0), "thick strokes": (1.0, 2.5), "scale": (0.2, 1.6)}
    low, high = limits.get(name, (0.85, 1.1))
    share = strongest.sum() / ink.sum()
    assert low < share < high
    assert (strongest > 0.1 * ink).all()


@pytest.mark.parametrize("name", ["gaussian noise", "impulse noise", "rotation", "occlusion"])
def test_other_seed_other_damage(name: str, digits: Tensor) -> None:
    assert not torch.equal(corrupt(name, digits, seed=0), corrupt(name, digits, seed=1))


def bar(width: int) -> Tensor:
    """A white upright bar `width` pixels wide, uint8 (1, 28, 28)."""
    image = torch.zeros(1, 28, 28, dtype=torch.uint8)
    image[:, 4:24, 10 : 10 + width] = 255
    return image


def test_known_damage() -> None:
    def width(image: Tensor) -> float:
        return float(image[0, 14].float().sum()) / 255

    assert width(corrupt_at("thick strokes", 2, bar(4))) == pytest.approx(4 + 2 * 1.0, abs=0.2)
    assert width(corrupt_at("thin strokes", 2, bar(6))) == pytest.approx(6 - 2 * 1.0, abs=0.2)
    assert width(corrupt_at("thin strokes", 2, bar(1))) > 0.3  # not wiped out
    level = corrupt_at("low contrast", 0, bar(4))
    assert int(level.max()) - int(level.min()) == pytest.approx(0.5 * 255, abs=1)
    hit = corrupt_at("impulse noise", 2, torch.full((50, 28, 28), 100, dtype=torch.uint8))
    assert (hit != 100).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert set(hit.unique().tolist()) == {0, 100, 255}
    noise = corrupt_at("gaussian noise", 0, torch.full((50, 28, 28), 128, dtype=torch.uint8))
    assert noise.float().std().item() == pytest.approx(40, rel=0.03)
    covered = corrupt_at("occlusion", 2, torch.zeros(50, 28, 28, dtype=torch.uint8)) > 0
    assert covered.sum((1, 2)).tolist() == [49] * 50
    dot = torch.zeros(50, 28, 28, dtype=torch.uint8)
    dot[:, 13:15, 13:15] = 255
    moved = corrupt_at("shift", 1, dot).float()
    steps = torch.arange(28.0) - 13.5
    mass = moved.sum((1, 2))
    across, down = ((moved.sum(axis) * steps).sum(1) / mass for axis in (1, 2))
    assert torch.allclose(torch.hypot(across, down), torch.tensor(4.0), atol=0.1)


def test_corruption_scores_weigh_all_alike() -> None:
    right = torch.tensor([1.0, 0, 1, 1, 0, 1, 1])  # severities 0 1 2 0 1 2 0
    assert by_severity(right) == [1.0, 0.0, 1.0]
    found = dict.fromkeys(CORRUPTIONS, [1.0, 0.5, 0.0])
    found["blur"] = [1.0, 1.0, 1.0]
    count = len(CORRUPTIONS)
    assert mean_accuracy(found) == pytest.approx((0.5 * (count - 1) + 1) / count)
    lines = table(["a", "b"], [0.99, 0.98], [found, found]).splitlines()
    assert lines[0] == "| corruption | a | b |"
    assert lines[2] == "| none | 99.00 | 98.00 |"
    assert "| blur | 100.00 | 100.00 |" in lines
    assert lines[-1] == "| **mean error** | **45.45** | **45.45** |"
    assert len(lines) == count + 5


READINGS = [
    Reading("photo", 3, 3, "digit"),
    Reading("photo", 3, 5, "digit"),
    Reading("scan", 7, 7, "uncertain"),
    Reading("scan", 7, None, "not-a-digit"),
    Reading("scan", 1, None, "unreadable"),
]
LETTERS = [
    Reading("letter", None, 5, "digit"),
    Reading("letter", None, None, "not-a-digit"),
]


def test_photo_scores() -> None:
    plain, polar = [True, False, False, False, True], [True] * 5
    counts = accuracy_counts(READINGS, plain, polar)
    assert list(counts) == ["all", "photo", "scan"]
    assert counts["all"] == {"n": 5, "predict": 2, "resize": 2, "resize_polarity": 5}
    assert counts["scan"] == {"n": 3, "predict": 1, "resize": 1, "resize_polarity": 3}
    verdicts = verdict_counts(READINGS)
    assert verdicts["all"] == {"digit": 2, "uncertain": 1, "not-a-digit": 1, "unreadable": 1}
    assert verdict_counts(LETTERS)["letter"] == {"digit": 1, "not-a-digit": 1}
    shown = verdict_table({"digits": verdicts}).splitlines()
    assert shown[2] == f"| digits: all | 5 | 2 | 1 | 1 | {show_share(2, 5)} |"


def test_resizing_and_polarity(tmp_path: Path) -> None:
    image = Image.new("RGB", (280, 280), (250, 250, 250))
    image.paste((10, 10, 10), (120, 40, 160, 240))
    image.save(tmp_path / "one.png")
    as_it_is, inverted = (resized(tmp_path / "one.png", find) for find in (False, True))
    assert as_it_is.shape == (28, 28)
    assert (as_it_is[0, 0], inverted[0, 0]) == (250, 5)
    assert (inverted == 255 - as_it_is).all()
    Image.fromarray(inverted).save(tmp_path / "light.png")
    assert (resized(tmp_path / "light.png", True) == inverted).all()


def test_index_is_read_and_kinds_are_grouped(tmp_path: Path) -> None:
    lines = ["file\tlabel\tkind\ttier", "a.png\t3\tcanvas\tstress", "b.jpg\t0\tscan\tstandard"]
    (tmp_path / "INDEX.tsv").write_text("\n".join(lines) + "\n")
    assert read_index(tmp_path) == [
        (tmp_path / "a.png", 3, "drawing"),
        (tmp_path / "b.jpg", 0, "scan"),
    ]


def test_wilson_interval() -> None:
    # 8 of 10: (0.8 + 3.8415/20 +- 1.96 sqrt(0.016 + 3.8415/400)) / 1.38415
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert show_share(8, 10) == "80.0 % (49.0-94.3)"


def test_results_are_appended_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    for number in range(2):
        append("some", {"number": number})
    lines = (tmp_path / "results" / "some.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1]
    assert all(json.loads(line)["version"] == __version__ for line in lines)


def test_source_outside_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "PACKAGE", tmp_path)
    assert figures.source() == {"version": __version__, "commit": None}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_source_names_the_commit_and_marks_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    monkeypatch.setattr(figures, "PACKAGE", tmp_path)
    (tmp_path / "module.py").write_text("one")
    git("init", "--quiet")
    git("add", "module.py")
    git("commit", "--quiet", "-m", "one")
    head = git("rev-parse", "HEAD")
    assert figures.source()["commit"] == head
    (tmp_path / "module.py").write_text("two")
    assert figures.source()["commit"] == f"{head}-dirty"


def test_recipe_hash_is_that_of_what_is_trained() -> None:
    settings = RECIPES["mlp"].to_dict()
    known = recipe_hash(settings)
    assert recipe_hash(settings | {"summary": "another", "temperature": 2.0}) == known
    assert recipe_hash(settings | {"momentum": 0.5}) != known


@pytest.fixture
def small_mlp(small_datasets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe `mlp` takes one epoch of few images."""
    monkeypatch.setitem(RECIPES, "mlp", replace(RECIPES["mlp"], epochs=1))


def test_study_records_each_run_once_and_only_of_todays_recipe(
    small_mlp: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    arguments = ("mlp", range(3, 5), 1, tmp_path, "cpu", tmp_path / "runs")
    study(*arguments)
    study(*arguments)
    lines = (tmp_path / "results" / "accuracy.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["seed"], row["ensemble"], row["parameters"]) for row in rows] == [
        (3, 1, 109_386),
        (4, 1, 109_386),
    ]
    assert {row["recipe_sha256"] for row in rows} == {recipe_hash(RECIPES["mlp"].to_dict())}
    assert rows[1]["command"] == (
        "python -m tests.bench study --recipe mlp --first 4"
        f" --precision {rows[1]['precision']} --ensemble 1 --runs 1"
    )
    mean = sum(row["correct"] for row in rows) / 10  # in per cent of 500
    assert f"mlp: n=2 mean {mean:.3f} SD" in capsys.readouterr().out
    monkeypatch.setitem(RECIPES, "mlp", replace(RECIPES["mlp"], momentum=0.5))
    with pytest.raises(UsageError, match="another form of mlp"):
        study(*arguments)


def test_study_of_another_data_set(
    small_mlp: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    for _ in range(2):  # the second time it finds the run of a recipe that suits the data set
        study("fast", range(1), 1, tmp_path, "cpu", tmp_path / "runs", "fashion", "fp32")
    (line,) = (tmp_path / "results" / "accuracy.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["dataset"], row["recipe"], row["precision"]) == ("fashion", "fast", "fp32")
    assert " --recipe fast --dataset fashion --first 0 " in row["command"]
    assert capsys.readouterr().out.startswith("fast-fashion-seed-0: ")


def test_study_records_members_and_their_ensemble(
    small_mlp: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    study("mlp", range(5, 7, 2), 2, tmp_path, "cpu", tmp_path / "runs")
    lines = (tmp_path / "results" / "accuracy.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["seed"], row["ensemble"]) for row in rows] == [(5, 1), (6, 1), (5, 2)]
    assert rows[2]["parameters"] == 2 * rows[0]["parameters"]


def test_shipped_weights_are_the_runs_in_8_bits(
    small_mlp: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "weights" / "shipped.pt"
    for module in ("tests.bench.ship", "mnistctl.store.resolve"):
        monkeypatch.setattr(f"{module}.SHIPPED", shipped)
    request = TrainRequest(store=tmp_path, data_dir=tmp_path, recipe="mlp", device="cpu")
    done = train(replace(request, ensemble=2, seed=3, name="x"), Reporter())
    assert done
    ship("x", tmp_path, tmp_path)
    found, run = checkpoint.load(shipped), checkpoint.load(done.checkpoint)
    assert found.config
    assert found.config.command == "mnistctl train --recipe mlp --seed 3 --ensemble 2"
    assert (found.config.ensemble, found.training) == (2, None)
    for name, value in run.weights.items():
        step = value.abs().flatten(1).amax(1) / 127 if value.dim() > 1 else torch.zeros(1)
        off = (found.weights[name] - value).abs()
        assert bool((off <= 0.501 * step.view(-1, *[1] * (value.dim() - 1))).all())
    card = shipped.with_name("README.md").read_text()
    assert f"| recipe | `mlp`: {RECIPES['mlp'].summary} |" in card
    assert "| networks | 2, 218,772 parameters in all, quantised to 8 bits |" in card
    assert f"| size | {shipped.stat().st_size:,} bytes |" in card
    model = load_model("shipped", tmp_path, "cpu", None, Reporter())
    assert len(model.predictor.members) == 2


def test_only_finished_runs_on_all_of_mnist_are_shipped(
    small_mlp: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.bench.ship.SHIPPED", tmp_path / "weights" / "shipped.pt")
    base = TrainRequest(store=tmp_path, data_dir=tmp_path, recipe="mlp", device="cpu")
    for name, change in {
        "drawn": {"dataset": "synthetic"},
        "held-out": {"validation": 100},
        "longer": {"epochs": 2},
    }.items():
        train(replace(base, name=name, **change), Reporter())
    train(replace(base, name="stopped"), Reporter())
    (tmp_path / "stopped" / "result.json").unlink()
    for name in ("drawn", "held-out", "longer", "stopped"):
        with pytest.raises(UsageError, match="is not `mnistctl train --recipe mlp`"):
            ship(name, tmp_path, tmp_path)
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_temperature_that_was_put_in_is_found(true: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 10, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    assert fit_temperature(true * logits, labels) == pytest.approx(true, rel=0.03)


def test_temperature_command_prints_one_of_each_seed(
    small_mlp: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    temperature("mlp", range(2), tmp_path, held_out=400)
    lines = capsys.readouterr().out.splitlines()
    pattern = r"mlp seed {}: temperature \d+\.\d{{3}}, calibration error 0\.\d{{4}}"
    assert len(lines) == 2
    for seed, line in enumerate(lines):
        assert re.fullmatch(pattern.format(seed), line)


def test_corruptions_command_measures_every_checkpoint_on_every_corruption(
    small_datasets: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    torch.save(build("mlp", 10).state_dict(), "x.pt")
    torch.save(build("mlp", 10).state_dict(), "y.pt")
    measure_corruptions(["x.pt", "y.pt"], tmp_path / "runs", tmp_path)
    rows = [
        json.loads(line)
        for line in (tmp_path / "results/corruptions.jsonl").read_text().splitlines()
    ]
    assert [(row["recipe"], row["images"]) for row in rows] == [("mlp", 500)] * 2
    assert all(list(row["by_severity"]) == list(CORRUPTIONS) for row in rows)
    assert rows[0]["weights_sha256"] != rows[1]["weights_sha256"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "| corruption | x.pt | y.pt |"
    assert printed[2] == f"| none | {100 * rows[0]['clean']:.2f} | {100 * rows[1]['clean']:.2f} |"


def strokes(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Upright strokes in MNIST's form, ever thicker."""
    drawn = np.zeros((count, 28, 28), np.uint8)
    for index, own in enumerate(drawn):
        own[4:24, 11 : 17 + index] = 255
    return drawn


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("join", ["touching", "separate"])
def test_numbers_are_drawn_as_asked(paper: Paper, join: Join) -> None:
    made = list(numbers(strokes(3), np.array([7, 1, 4]), 4, 3, paper, join, seed=5))
    assert [own.content for own in made] == [
        own.content for own in numbers(strokes(3), np.array([7, 1, 4]), 4, 3, paper, join, seed=5)
    ]
    for own in made:
        assert set(own.joints) == {join == "touching"}
        assert set(own.digits) <= {1, 4, 7}
        gaps = [b[0] - a[2] for a, b in pairwise(own.boxes)]
        assert all((gap <= 0) == (join == "touching") for gap in gaps)
        image = Image.open(io.BytesIO(own.content))
        pixels = np.asarray(image, float).mean(axis=2)
        paper_grey = float(np.median(pixels))
        for left, top, right, bottom in own.boxes:
            assert 0 < left < right < image.width
            assert 0 < top < bottom < image.height
            inside = pixels[top + 4 : bottom - 4, left + 3 : right - 3]
            assert abs(float(np.median(inside)) - paper_grey) > 50


def test_what_is_right_in_its_place() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (20, 20, 30, 30)) == 0
    found = [
        Answer("digit", True, True),
        Answer("digit", True, False),
        Answer("uncertain", True, True),
        Answer("digit", False, True),
    ]
    counts = called_digit(found)
    assert counts["cut off"] == {"n": 3, "right": 2, "digit": 2, "digit_right": 1}
    assert counts["apart"] == {"n": 1, "right": 1, "digit": 1, "digit_right": 1}


def test_numbers_command_counts_every_number(
    small_datasets: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    measure_numbers("shipped", tmp_path / "runs", tmp_path, 1, 0)
    measure_numbers("shipped", tmp_path / "runs", tmp_path, 1, 100)
    test, held_out = [
        json.loads(line) for line in (tmp_path / "results/numbers.jsonl").read_text().splitlines()
    ]
    assert (test["images"], held_out["images"]) == ("test", "100 held-out training")
    assert all(list(own["right"]) == list(SETS) for own in (test, held_out))
    assert all(set(own) == set(PAPERS) for own in test["right"].values())
    assert sum(own["n"] for own in test["called_digit"].values()) > 0
    assert "| pairs that touch | 3 |" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux")
def test_photographs_are_timed_beside_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(photo_time, "MANY", 3)
    Image.new("L", (60, 60), 240).save(tmp_path / "one.png")
    (tmp_path / "INDEX.tsv").write_text("file\tlabel\tkind\none.png\t1\tphoto\n")
    other = tmp_path / "other"
    shutil.copytree(photo_time.PACKAGE, other / "mnistctl")
    prepare = other / "mnistctl/imaging/prepare.py"
    prepare.write_text(
        "import time\n"
        "def prepare(picture):\n"
        "    start = time.thread_time()\n"
        "    while time.thread_time() < start + 0.2: pass\n"
    )
    monkeypatch.chdir(photo_time.PACKAGE.parent)  # where Python finds this version first
    photo_time.measure(tmp_path, other, 1)
    row = json.loads((tmp_path / "results/photo_time.jsonl").read_text())
    assert row["ms"]["now"][0][0] < 100 < 200 <= row["ms"]["before"][0][0]
    assert all(0 < own["megabytes"] < 4000 for runs in row["many"].values() for own in runs)
    assert "| before | 1 |" in capsys.readouterr().out


def test_versions_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    for name, rate in (("now", 300), ("before", 200)):
        package = tmp_path / name / "mnistctl"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()  # or an installed package comes first
        figures_of = {"images_per_second": rate, "train_seconds": 1, "parameters": 2, "run": "r"}
        (package / "__main__.py").write_text(
            "import os, sys\n"
            f"words = ' '.join([os.environ['OMP_NUM_THREADS'], {name!r}, *sys.argv[1:]])\n"
            f"print(words, file=open({str(log)!r}, 'a'))\n"
            f"print({json.dumps(json.dumps(figures_of))})\n"
        )
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(versions, "PACKAGE", tmp_path / "now" / "mnistctl")
    versions.measure(["fast"], tmp_path / "before", tmp_path, "fp32", 2, 2)
    commands = [line.split() for line in log.read_text().splitlines()]
    # Each once to begin with, then in turn.
    assert [words[:2] for words in commands] == [["2", "now"], ["2", "before"]] * 3
    assert all("--precision fp32" in " ".join(words) for words in commands)
    assert "| `fast` | 2 | 300 (300-300) | 200 (200-200) | 1.50 (1.50-1.50) |" in (
        capsys.readouterr().out
    )
    row = json.loads((tmp_path / "results/versions.jsonl").read_text())
    assert (row["against"], row["machine"]["cpu_threads"]) == (None, 2)
    assert len(row["runs"]["before"]) == 2


def test_photos_command_counts_every_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(photos, "NUM_OUTLIERS", 2)
    image = Image.new("L", (200, 200), 240)
    image.paste(10, (90, 30, 110, 170))
    image.save(tmp_path / "one.png")
    (tmp_path / "broken.png").write_bytes(b"")
    lines = ["file\tlabel\tkind", "one.png\t1\tphoto", "one.png\t1\tscan"]
    (tmp_path / "INDEX.tsv").write_text("\n".join(lines) + "\n")
    photos.measure("shipped", tmp_path, tmp_path / "runs")
    (row,) = [
        json.loads(line) for line in (tmp_path / "results/photos.jsonl").read_text().splitlines()
    ]
    assert (row["recipe"], row["parameters"]) == ("robust", 897_288)
    assert row["accuracy"]["all"]["n"] == 2
    assert sum(row["verdicts"]["all"].values()) == 2
    assert sum(row["outliers"]["all"].values()) == 2 * len(KINDS)
    assert sum(row["new_outliers"]["all"].values()) == 2 * len(NEW_KINDS)


def test_speed_is_measured_of_both_sides(small_datasets: None, tmp_path: Path) -> None:
    load = get_dataset("mnist").load
    train_set, test = (load(split, tmp_path, Reporter()) for split in ("train", "test"))
    cpu = torch.device("cpu")
    recipe = RECIPES["fast"]
    assert training_rate(recipe, train_set, cpu, "fp32") > 0
    assert evaluation_rate(recipe, test, cpu, "fp32") > 0
    state, seconds = train_once(replace(recipe, epochs=2), train_set, cpu, "fp32")
    assert state.seconds <= seconds
    predictor = predictor_of(state, recipe, cpu, "fp32")
    assert predictor.scores(test.images, test.labels).accuracy > 0.9
    assert flops(RECIPES["mlp"], training=True) == 2 * (3 * 109_184 - 784 * 128)
    assert flops(RECIPES["mlp"], training=False) == 2 * 109_184
    assert bar_cost(train_set, "fp32", 1)["n"] == 1
    assert loading(tmp_path, 2)["n"] == 2


def test_scaling_trains_until_the_goal_and_shows_it(
    small_datasets: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "EPOCHS", (1, 2))
    rows = [
        scaling.trained(scaling.Point("batch_size", batch_size=size, images=2_000), tmp_path)
        for size in (50, 2_000)
    ]
    assert rows[0]["seconds"] == pytest.approx(2_000 * rows[0]["epochs"] / rows[0]["rate"])
    assert rows[1]["epochs"] is None, "a step or two are too few"
    older = {**rows[0], "rate": 1.0}
    rows = scaling.latest("\n".join(map(json.dumps, [older, *reversed(rows)])))
    assert rows[0]["rate"] > 1
    lines = scaling.table(rows).splitlines()
    assert lines[2].startswith("| batch size | 50 |")
    assert "not reached" in lines[3]
    panels = scaling.figure([{**row, "varied": name} for name in scaling.NAMES for row in rows])
    assert [axes.get_xlabel() for axes in panels.axes[:3]] == list(scaling.NAMES.values())


def test_speed_shows_a_recipe_beside_the_plain_loop(
    small_datasets: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("plain_training_rate", "plain_evaluation_rate"):
        monkeypatch.setattr(f"tests.bench.speed.{name}", lambda *_: 2.0)
    data = [load_small_split(split, tmp_path, Reporter()) for split in ("train", "test")]
    found = recipe_rates("mlp", *data, tmp_path, "fp32", 2)
    own, rate = found["training"], max(found["matmul_flops"].values())
    assert own["ratio"]["max"] == own["rates"][0]["max"] / 2
    share = own["rates"][0]["median"] * flops(RECIPES["mlp"], training=True) / rate
    assert own["share_of_matmul_rate"] == pytest.approx(share)
    assert recipe_rates("fast", *data, tmp_path, "fp32", 1)["evaluation"]["ratio"] is None


def test_identity_is_that_of_the_weights() -> None:
    def hashed(seed: int, layout: torch.memory_format) -> str:
        torch.manual_seed(seed)
        model = build("cnn-small", 10).to(memory_format=layout)
        predictor = Predictor(model, RECIPES["cnn-small"], DIGITS, torch.device("cpu"), "fp32")
        known = identity(predictor)
        assert (known["recipe"], known["parameters"]) == ("cnn-small", 21_840)
        return str(known["weights_sha256"])

    first = hashed(0, torch.contiguous_format)
    assert first == hashed(0, torch.channels_last)
    assert first != hashed(1, torch.contiguous_format)


def test_markdown_table() -> None:
    assert markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_the_gpu_benchmark_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "why_unusable", lambda name: "it is on the moon")
    done = CliRunner().invoke(bench_app, ["gpu"])
    assert (done.exit_code, done.stdout) == (
        1,
        "cuda:0: it is on the moon; this benchmark needs a GPU\n",
    )


def test_the_gpu_benchmark_keeps_what_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And goes on; two processes on one card are to be refused, in these words."""
    program = [sys.executable, "-c", "import sys; sys.exit('no' if 'bad' in sys.argv else None)"]
    asked = {
        "one": gpu_commands.Command([*program, "good"]),
        "two": gpu_commands.Command([*program, "bad"]),
        "three": gpu_commands.Command([*program, "bad"], 1, "no"),
        "four": gpu_commands.Command([*program, "bad"], 1, "yes"),
        "five": gpu_commands.Command([sys.executable, "-c", "import time; time.sleep(60)"]),
    }
    found = {}
    for name, own in asked.items():
        monkeypatch.setattr(gpu_commands, "COMMAND_SECONDS", 5.0 if name == "five" else 300.0)
        found[name] = gpu_commands.run(name, own, str(tmp_path), {})
    assert [name for name, row in found.items() if row["wrong"]] == ["two", "four", "five"]
    assert found["two"]["said"] == ["no"]
    assert "ended with 1, not 0: ['no']" in capsys.readouterr().out
    rows = gpu_commands.commands_on("cuda:1", ["m"]) | gpu_commands.trainings_on("cuda:1", ["m"])
    assert rows["train mlp bf16"].words[-4:] == ["--name", "mlp-bf16", "--device", "cuda:1"]
    assert [name for name, row in rows.items() if row.code] == ["torchrun, two on one card"]
    assert {f"visualize {kind}" for kind in all_kinds()} < rows.keys()


def test_a_step_of_the_gpu_benchmark_that_fails_ends_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> dict[str, Any]:
        raise RuntimeError("no kernel")

    later = time.perf_counter() + 60
    assert gpu.figures_of("a", broken, later) == ({"error": "RuntimeError: no kernel"}, True)
    assert gpu.figures_of("b", lambda: {"x": 1}, later) == ({"x": 1}, False)
    assert gpu.figures_of("c", lambda: {"wrong": True}, later)[1]
    assert gpu.figures_of("d", broken, 0.0) == ({"skipped": True}, True)
    assert "a: RuntimeError: no kernel" in capsys.readouterr().out


def test_steps_of_the_gpu_benchmark_on_a_cpu(small_datasets: None) -> None:
    cpu = torch.device("cpu")
    few = LabelledImages(torch.zeros(300, 28, 28, dtype=torch.uint8), torch.arange(300) % 10)
    assert gpu_steps.alone_in_a_group(cpu) == {"backend": "gloo", "wrong": False}
    steps = dict(gpu_steps.without_waiting(few, cpu))
    assert "steps robust bf16" in steps
    assert not steps["steps standard fp32"]()["wrong"]


def test_commands_of_the_gpu_benchmark_find_the_package(tmp_path: Path) -> None:
    """Begun elsewhere, with nothing installed."""
    words = [sys.executable, "-c", "import mnistctl; print(mnistctl.__version__)"]
    steps = gpu_commands.commands(tmp_path, "cpu", words)
    _, step = next(steps)
    assert not step()["wrong"]
