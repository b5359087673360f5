"""The commands as a person types them: results, JSON keys, where things are printed, exit codes."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import program
import pytest
from PIL import Image
from small_data import load_small_split
from torch import nn
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import DATASETS
from mnistctl.events import Reporter
from mnistctl.models import registry
from mnistctl.recipes import RECIPES

TRAIN_KEYS = {
    "run",
    "run_dir",
    "checkpoint",
    "recipe",
    "dataset",
    "classes",
    "device",
    "precision",
    "threads",
    "world_size",
    "seed",
    "epochs",
    "parameters",
    "train_seconds",
    "wall_seconds",
    "images_per_second",
    "test",
    "validation",
    "settings",
    "init",
}
EVALUATE_KEYS = {
    "checkpoint",
    "recipe",
    "dataset",
    "classes",
    "split",
    "loss",
    "accuracy",
    "correct",
    "total",
    "seconds",
    "per_class",
    "confusion",
    "calibration_error",
    "label_errors",
    "device",
    "precision",
}


pytestmark = pytest.mark.usefixtures("small_datasets")


def run(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def train(*words: str) -> dict[str, Any]:
    short = ("--recipe", "mlp", "--epochs", "1", "--device", "cpu", "--json")
    document: dict[str, Any] = json.loads(run("train", *short, *words).stdout)
    return document


def test_train_evaluate_visualize() -> None:
    trained = train("--name", "first")
    assert trained.keys() == TRAIN_KEYS
    assert trained["run"] == "first"
    assert trained["test"].keys() == {"loss", "accuracy", "correct", "total"}
    assert Path(trained["checkpoint"]).is_file()
    for argument in ([], ["first"], ["latest"], ["fir"], [trained["run_dir"]]):
        evaluated = json.loads(run("evaluate", *argument, "--json").stdout)
        assert evaluated.keys() == EVALUATE_KEYS
        assert evaluated["accuracy"] == trained["test"]["accuracy"]
        assert evaluated["loss"] == pytest.approx(trained["test"]["loss"])
    seen = json.loads(run("visualize", "--index", "0", "--output", "x.png", "--json").stdout)
    assert seen.keys() >= {"kind", "output", "index", "label", "prediction", "confidence"}
    assert sum(seen["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")


def test_train_prints_result_on_stdout_and_progress_on_stderr() -> None:
    result = run("train", "--recipe", "mlp", "--epochs", "2", "--batch-size", "50")
    first, second, third = result.stdout.splitlines()
    shown = re.fullmatch(r"Test: accuracy ([\d.]+) % \((\d+)/500\), loss \d+\.\d{4}", first)
    assert shown
    assert float(shown[1]) == pytest.approx(int(shown[2]) / 5)
    assert re.fullmatch(
        r"Trained mlp \(epochs=2, batch_size=50\) for 2 epochs in [\d.]+ s"
        r" \([\d,]+ images/s\) on mnist",
        second,
    )
    assert third == "Checkpoint: runs/mlp-1/last.pt"
    assert "step 20/40 loss" in result.stderr
    assert "Epoch 2/2: train loss" in result.stderr
    assert "test" not in result.stderr.lower()
    assert "\x1b" not in result.stderr + result.stdout


def test_force_color_draws_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("train", "--recipe", "mlp", "--epochs", "1")
    assert "\x1b" not in result.stderr


def test_every_epoch_test_is_labelled() -> None:
    result = run("train", "--recipe", "mlp", "--epochs", "1", "--test-every-epoch")
    assert "test (reported only) loss" in result.stderr


def test_quiet_leaves_the_result_alone() -> None:
    result = run("train", "--recipe", "mlp", "--epochs", "1", "--quiet")
    assert result.stderr == ""
    assert result.stdout.startswith("Test: accuracy ")


@pytest.mark.parametrize("words", [("train", "--recipe", "mlp", "--epochs", "1"), ("evaluate",)])
def test_json_is_one_document_without_progress(words: tuple[str, ...]) -> None:
    if words == ("evaluate",):
        train()
    result = run(*words, "--json")
    assert result.stderr == ""
    assert isinstance(json.loads(result.stdout), dict)


def test_evaluate_shows_the_confusion_matrix() -> None:
    train()
    result = run("evaluate")
    assert "label (rows) against prediction (columns)" in result.stdout
    assert result.stdout.count("%") == 12  # ten digits, the whole, the calibration error


def test_what_is_typed_is_what_is_trained() -> None:
    typed = {
        **{"--batch-size": "40", "--lr": "0.02", "--seed": "7", "--validation": "300"},
        **{"--log-every": "9", "--checkpoint-every": "13", "--set": "momentum=0.25"},
    }
    train("--test-every-epoch", *(word for pair in typed.items() for word in pair))
    config = json.loads(Path("runs/mlp-1/config.json").read_text())
    recipe = config["recipe"]
    assert (recipe["epochs"], recipe["batch_size"], recipe["learning_rate"]) == (1, 40, 0.02)
    assert (recipe["momentum"], config["seed"], config["validation"]) == (0.25, 7, 300)
    assert (config["log_every"], config["checkpoint_every"]) == (9, 13)
    assert config["test_every_epoch"] is True


def test_gate() -> None:
    reached = train()["test"]["accuracy"]
    run("evaluate", "--min-accuracy", str(reached), "--quiet", code=0)
    run("evaluate", "--min-accuracy", "0.0", "--quiet", code=0)
    result = run("evaluate", "--min-accuracy", "1.0", "--json", code=3)
    assert json.loads(result.stdout)["total"] == 500
    assert "below --min-accuracy" in result.stderr


def test_several_checkpoints_have_a_line_each_and_one_for_all() -> None:
    trained = [train("--name", name, "--seed", seed) for name, seed in (("a", "1"), ("b", "2"))]
    accuracies = [document["test"]["accuracy"] for document in trained]
    document = json.loads(run("evaluate", "a", trained[1]["checkpoint"], "--json").stdout)
    assert document.keys() == {"evaluations", "summary", "dataset", "split"}
    assert [own["accuracy"] for own in document["evaluations"]] == accuracies
    for own, name in zip(document["evaluations"], ("a", "b"), strict=True):
        alone = json.loads(run("evaluate", name, "--json").stdout)
        own["seconds"] = alone["seconds"]
        assert own == alone
    summary = document["summary"]
    assert summary.keys() == {"n", "mean", "sd", "min", "max", "ci95"}
    assert summary["n"] == 2
    assert summary["mean"] == pytest.approx(sum(accuracies) / 2)
    assert summary["sd"] == pytest.approx(abs(accuracies[0] - accuracies[1]) / 2**0.5)
    lines = run("evaluate", "a", "b").stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["run a", "run b"]
    assert f"2 checkpoints: mean {100 * summary['mean']:.3f} %, SD " in lines[2]
    assert len(lines) == 3
    low, high = re.search(r"of the mean ([\d.]+) to ([\d.]+) %", lines[2]).groups()  # type: ignore[union-attr]
    assert 0 <= float(low) <= 100 * summary["mean"] <= float(high) <= 100


def test_unlike_checkpoints_are_no_repetitions() -> None:
    train("--name", "a")
    both = ("evaluate", "a", "shipped")
    assert "not runs of one recipe" in run(*both).stderr
    assert "not runs of one recipe" in run(*both, "--json").stderr


def test_gate_is_on_the_mean_of_several() -> None:
    for seed in "12":
        train("--name", seed, "--seed", seed)
    summary = json.loads(run("evaluate", "1", "2", "--json").stdout)["summary"]
    assert summary["min"] < summary["max"]  # or the gate could be on either
    for share, code in ((summary["mean"], 0), (summary["max"], 3)):
        result = run("evaluate", "1", "2", "--min-accuracy", str(share), code=code)
    assert "mean accuracy" in result.stderr


def test_a_bad_checkpoint_among_several_leaves_no_result() -> None:
    train("--name", "a")
    result = run("evaluate", "a", "missing.pt", "--json", code=1)
    assert json.loads(result.stdout).keys() == {"error", "hint", "exit_code"}


def test_lists() -> None:
    recipes = json.loads(run("info", "recipes", "--json").stdout)
    assert {"mlp", "cnn-small"} <= {recipe["name"] for recipe in recipes["recipes"]}
    assert "cnn-dropout" in run("info", "recipes").stdout
    assert "No runs in" in run("runs").stdout
    train("--name", "one")
    rows = json.loads(run("runs", "--json").stdout)["runs"]
    assert [(row["run"], row["state"]) for row in rows] == [("one", "finished")]


def test_resume_of_a_finished_run_says_so() -> None:
    train("--name", "one")
    result = run("train", "--resume", "one")
    assert "Run 'one' is finished after epoch 1. A larger --epochs extends it." in result.stderr
    assert result.stdout.startswith("Test: accuracy ")


def test_set_changes_a_field_and_is_recorded() -> None:
    words = ("--set", "momentum=0.5", "--set", "augmentation.rotate=5", "--name", "one")
    document = train(*words)
    settings = RECIPES["mlp"].to_dict() | {"epochs": 1, "momentum": 0.5}
    settings["augmentation"] |= {"rotate": 5.0}
    assert document["settings"] == settings
    assert document["recipe"] == "mlp"
    config = json.loads(Path("runs/one/config.json").read_text())
    assert config["recipe"] == settings
    (row,) = json.loads(run("runs", "--json").stdout)["runs"]
    label = "mlp (epochs=1, momentum=0.5, augmentation.rotate=5)"
    assert row["recipe"] == "mlp"
    shown = run("train", "--resume", "one", "--set", "momentum=0.5").stdout
    assert f"Trained {label} for 1 epoch in" in shown
    refused = run("train", "--resume", "one", "--set", "momentum=0.6", code=2).stderr
    assert f"conflicts with --set momentum=0.6 (the run has {label})" in refused


def test_a_network_a_recipe_and_a_data_set_are_added_by_one_row_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing else knows their names: they are trained, listed, evaluated and asked."""
    registry.networks()
    known = dict(registry._registered)
    monkeypatch.setattr(registry, "_registered", known)

    @registry.network("one-layer")
    def one_layer(num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, num_classes))

    recipe = replace(RECIPES["mlp"], name="plain", network="one-layer", summary="one layer")
    monkeypatch.setitem(RECIPES, "plain", recipe)

    def load(split: str, data_dir: Path, reporter: Reporter) -> LabelledImages:
        found = load_small_split(split, data_dir, reporter)
        return LabelledImages(found.images, found.labels % 3)

    row = replace(DATASETS["synthetic"], name="thirds", classes=("ab", "cd", "ef"), load=load)
    monkeypatch.setitem(DATASETS, "thirds", row)
    words = ("--recipe", "plain", "--dataset", "thirds", "--epochs", "3", "--json")
    trained = json.loads(run("train", *words).stdout)
    assert trained["classes"] == ["ab", "cd", "ef"]
    assert trained["parameters"] == 785 * 3
    listed = json.loads(run("info", "recipes", "--json").stdout)["recipes"]
    assert listed[-1]["network"] == "one-layer"
    evaluated = json.loads(run("evaluate", "--json").stdout)
    assert (evaluated["dataset"], len(evaluated["confusion"])) == ("thirds", 3)
    assert evaluated["accuracy"] == trained["test"]["accuracy"]
    Image.fromarray(load("test", Path(), Reporter()).images[0].numpy()).save("x.png")
    document = json.loads(run("predict", "x.png", "--json").stdout)
    (prediction,) = document["predictions"]
    assert document["classes"] == ["ab", "cd", "ef"]
    assert prediction["digit"] is None
    assert prediction["class_name"] == document["classes"][prediction["class_index"]]
    assert prediction["verdict"] in ("known", "uncertain", "unknown")
    (csv_row,) = csv.DictReader(io.StringIO(run("predict", "x.png", "--csv").stdout))
    assert csv_row["digit"] == ""
    assert {"pab", "pcd", "pef"} < csv_row.keys()
    refused = run("evaluate", "--dataset", "synthetic", "--json", code=2)
    assert "are not those of the data set 'synthetic': ab, cd, ef (3)" in refused.stderr


BAD = {
    ("train", "--recipe", "cnn-smal"): (2, "did you mean 'cnn-small'"),
    ("train", "--dataset", "mnits"): (2, "did you mean 'mnist'"),
    ("train", "--epochs", "0"): (2, "--epochs 0: must be between 1 and 10000"),
    ("train", "--epochs", "10001"): (2, "--epochs 10001: must be between 1 and 10000"),
    ("train", "--set", "momentum"): (2, "--set momentum: must be KEY=VALUE"),
    ("train", "--set", "momentm=1"): (2, "did you mean 'momentum'"),
    ("train", "--set", "ema_decay=x"): (2, "--set ema_decay=x: must be a number"),
    ("train", "--set", "ema_decay=1"): (2, "must be at least 0 and less than 1"),
    ("train", "--set", "network=cnn-wid"): (2, "did you mean 'cnn-wide'"),
    ("train", "--set", "epochs=2", "--epochs", "2"): (
        2,
        "--set epochs=2 conflicts with --epochs 2",
    ),
    ("train", "--set", "learning_rate=2", "--lr", "1"): (2, "conflicts with --lr 1.0"),
    ("train", "--set", "batch_size=2", "--batch-size", "1"): (2, "conflicts with --batch-size 1"),
    ("train", "--set", "batch_size=70000"): (2, "larger than the 60000"),
    ("train", "--epochs", "x"): (2, "--epochs"),
    ("train", "--lr", "-1"): (2, "--lr -1.0"),
    ("train", "--lr", "nan"): (2, "--lr nan"),
    ("train", "--batch-size", "70000"): (2, "larger than the 60000"),
    ("train", "--batch-size", "0"): (2, "--batch-size 0"),
    ("train", "--validation", "60000"): (2, "--validation 60000"),
    ("train", "--log-every", "0"): (2, "--log-every 0"),
    ("train", "--device", "gpu"): (2, "unknown device 'gpu'"),
    ("train", "--device", "cuda:99"): (1, "available: cpu"),
    ("train", "--seed", "-1"): (2, "--seed -1"),
    ("train", "--seed", str(1 << 65)): (2, "2**63"),
    ("train", "--precision", "fp8"): (2, "unknown precision"),
    ("train", "--name", "../x"): (2, "can't name a run"),
    ("train", "--name", "latest"): (2, "can't name a run"),
    ("train", "--resume", "nothing"): (1, "no run called 'nothing'"),
    ("train", "--epoch", "3"): (2, "--epochs"),
    ("trian",): (2, "Did you mean 'train'"),
    ("--bogus",): (2, "does not accept --bogus"),
    ("evaluate", "latest"): (1, "no finished run"),
    ("evaluate", "missing.pt"): (1, "missing.pt does not exist"),
    ("evaluate", "--split", "tset"): (2, "did you mean 'test'"),
    ("evaluate", "--min-accuracy", "99"): (2, "between 0 and 1"),
    ("visualize", "--index", "10000"): (2, "images 0 to 9999"),
    ("visualize", "--index", "-1"): (2, "images 0 to 9999"),
    ("visualize", "--output", "x.bmp"): (2, ".png, .svg, .pdf"),
}


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_input_is_one_or_two_lines(words: tuple[str, ...]) -> None:
    code, text = BAD[words]
    result = run(*words, code=code)
    assert text in result.stderr
    assert result.stdout == ""
    assert not Path("runs").exists()
    # What was chosen on the way (`Device: cpu ...`) may stand before the error.
    error = result.stderr[result.stderr.index("error: ") :]
    assert len(error.splitlines()) <= 2


@pytest.mark.parametrize(
    ("words", "code", "text", "hint"),
    [
        (("evaluate", "missing.pt"), 1, "does not exist", ""),
        (("train", "--epochs", "x"), 2, "--epochs", "train --help"),
        (("predict",), 2, "Missing argument", "predict --help"),
        (("visualize", "--bogus"), 2, "does not accept --bogus", "visualize prediction --help"),
    ],
)
def test_errors_are_a_json_document_too(
    words: tuple[str, ...], code: int, text: str, hint: str
) -> None:
    result = run(*words, "--json", code=code)
    document = json.loads(result.stdout)
    assert document["exit_code"] == code
    assert text in document["error"]
    assert hint in document["hint"]


def test_debug_adds_the_traceback_and_keeps_the_exit_code() -> None:
    result = run("train", "--recipe", "nope", "--debug", code=2)
    assert "Traceback" in result.stderr
    assert "error: unknown recipe" in result.stderr


def test_diverging_training_says_so() -> None:
    words = ("--recipe", "cnn-small", "--lr", "1e30", "--epochs", "2", "--log-every", "1")
    result = run("train", *words, "--quiet", code=1)
    assert "training diverged: the loss is" in result.stderr
    assert "--lr 1e+30" in result.stderr


def test_checkpoint_that_is_text() -> None:
    Path("note.pt").write_text("not a checkpoint")
    assert "not a PyTorch checkpoint" in run("evaluate", "note.pt", code=1).stderr


def test_store_that_is_a_file() -> None:
    Path("runs").write_text("")
    result = run("train", "--recipe", "mlp", "--epochs", "1", "--quiet", code=1)
    assert "is a file, not a directory" in result.stderr


def test_name_taken_names_both_ways_on() -> None:
    train("--name", "one")
    result = run("train", "--recipe", "mlp", "--name", "one", "--quiet", code=2)
    assert "--resume one" in result.stderr
    assert "another --name" in result.stderr


def test_unwritable_picture() -> None:
    train()
    result = run("visualize", "--output", "no/such/x.png", "--quiet", code=1)
    assert "can't write no/such/x.png" in result.stderr


def test_same_option_same_help_everywhere() -> None:
    from typer.main import get_command

    commands = get_command(app).commands  # type: ignore[attr-defined]
    seen: dict[str, set[str]] = {}
    for name, command in commands.items():
        if name == "download":
            continue  # its --dataset also takes `all`, and no directory
        for parameter in command.params:
            if parameter.param_type_name == "option":
                # What stands for --dataset in train is not what does in evaluate.
                help = parameter.help.partition(" [default:")[0]
                seen.setdefault(parameter.opts[0], set()).add(f"{help} {parameter.default}")
    shared = ("--data-dir", "--store", "--device", "--json", "--quiet", "--precision", "--debug")
    shared += ("--dataset", "--split", "--checkpoint")
    assert {name: len(seen[name]) for name in shared} == dict.fromkeys(shared, 1)


TRAIN = ("train", "--recipe", "mlp", "--epochs", "2", "--device", "cpu")


def on_a_terminal(*words: str, **settings: str) -> str:
    """All that the real program shows on a terminal."""
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    environment = program.environment() | {"TERM": "xterm-256color", "COLUMNS": "100"} | settings
    command = [sys.executable, program.__file__, *words]
    with subprocess.Popen(command, stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        shown = b""
        try:
            while part := os.read(parent, 65536):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
    os.close(parent)
    assert process.returncode == 0, shown.decode()
    return shown.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*[0-9]m")
"""Of SGR sequences those with a parameter; a bare reset colours nothing."""


def test_no_color_is_obeyed_on_a_terminal() -> None:
    assert any(code != "\x1b[0m" for code in COLOUR.findall(on_a_terminal(*TRAIN)))
    plain = on_a_terminal(*TRAIN, NO_COLOR="1")
    assert "epoch 1/2" in plain
    colours = [code for code in COLOUR.findall(plain) if re.search(r"[34]\dm|[34]8;", code)]
    assert colours == []


def test_bars_begin_where_a_resumed_run_stands() -> None:
    """With a recipe whose epochs take longer than it takes to redraw."""
    run("train", "--recipe", "standard", "--epochs", "1", "--name", "x", "--quiet")
    shown = on_a_terminal("train", "--resume", "x", "--epochs", "3", "--log-every", "1")
    seen = re.findall(r"epoch (\d)/3", shown)
    assert seen[0] == "2"
    assert set(seen) == {"2", "3"}


def test_a_reader_that_closes_early_ends_with_an_error_and_no_traceback() -> None:
    command = [sys.executable, program.__file__, "info", "recipes", "--json"]
    reader, writer = os.pipe()
    os.close(reader)  # before it starts: whoever closes it later may be too late
    try:
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, env=program.environment()
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
