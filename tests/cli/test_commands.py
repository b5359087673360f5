"""The commands as a person types them: results, JSON keys, where things are printed, exit codes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import small_data
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.errors import ExitCode

TRAIN_KEYS = {
    "run",
    "run_dir",
    "checkpoint",
    "recipe",
    "dataset",
    "device",
    "precision",
    "threads",
    "seed",
    "epochs",
    "parameters",
    "train_seconds",
    "wall_seconds",
    "images_per_second",
    "test",
    "validation",
}
EVALUATE_KEYS = {
    "checkpoint",
    "recipe",
    "dataset",
    "split",
    "loss",
    "accuracy",
    "correct",
    "total",
    "seconds",
    "per_class",
    "confusion",
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in small_data.USERS:
        monkeypatch.setattr(f"{name}.load_split", small_data.load_small_split)


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
    assert trained.keys() >= TRAIN_KEYS
    assert trained["run"] == "first"
    assert trained["test"].keys() == {"loss", "accuracy", "correct", "total"}
    assert Path(trained["checkpoint"]).is_file()
    for argument in ([], ["first"], ["latest"], ["fir"], [trained["run_dir"]]):
        evaluated = json.loads(run("evaluate", *argument, "--json").stdout)
        assert evaluated.keys() >= EVALUATE_KEYS
        assert evaluated["accuracy"] == trained["test"]["accuracy"]
        assert evaluated["loss"] == pytest.approx(trained["test"]["loss"])
    seen = json.loads(run("visualize", "--index", "0", "--output", "x.png", "--json").stdout)
    assert seen.keys() >= {"kind", "output", "index", "label", "prediction", "confidence"}
    assert sum(seen["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")


def test_train_prints_result_on_stdout_and_progress_on_stderr() -> None:
    result = run("train", "--recipe", "mlp", "--epochs", "2", "--batch-size", "50")
    assert result.stdout.startswith("Test: ")
    assert " of 500 (" in result.stdout
    assert "Checkpoint: " in result.stdout
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
    assert result.stdout.startswith("Test: ")


def test_evaluate_shows_the_confusion_matrix() -> None:
    train()
    result = run("evaluate")
    assert "label (rows) against prediction (columns)" in result.stdout
    assert result.stdout.count("%") == 12  # ten digits, the whole, the calibration error


def test_gate() -> None:
    train()
    assert run("evaluate", "--min-accuracy", "0.0").exit_code == ExitCode.OK
    result = run("evaluate", "--min-accuracy", "1.0", "--json", code=ExitCode.GATE_FAILED)
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
    for share, code in ((summary["mean"], ExitCode.OK), (summary["max"], ExitCode.GATE_FAILED)):
        result = run("evaluate", "1", "2", "--min-accuracy", str(share), code=code)
    assert "mean accuracy" in result.stderr


def test_a_bad_checkpoint_among_several_leaves_no_result() -> None:
    train("--name", "a")
    result = run("evaluate", "a", "missing.pt", "--json", code=1)
    assert json.loads(result.stdout).keys() == {"error", "hint", "exit_code"}


def test_lists() -> None:
    recipes = json.loads(run("train", "--list-recipes", "--json").stdout)
    assert {"mlp", "cnn-small"} <= {recipe["name"] for recipe in recipes["recipes"]}
    assert "cnn-dropout" in run("train", "--recipe", "list").stdout
    assert "No runs in" in run("train", "--list-runs").stdout
    train("--name", "one")
    rows = json.loads(run("train", "--list-runs", "--json").stdout)["runs"]
    assert [(row["name"], row["state"]) for row in rows] == [("one", "finished")]


def test_resume_of_a_finished_run_says_so() -> None:
    train("--name", "one")
    result = run("train", "--resume", "one")
    assert "is finished" in result.stderr
    assert result.stdout.startswith("Test: ")


BAD = {
    ("train", "--recipe", "cnn-smal"): (2, "did you mean 'cnn-small'"),
    ("train", "--dataset", "mnits"): (2, "did you mean 'mnist'"),
    ("train", "--epochs", "0"): (2, "--epochs 0"),
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
    ("--bogus",): (2, "No such option"),
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
    # What was chosen on the way (`Device cpu ...`) may stand before the error.
    error = result.stderr[result.stderr.index("error: ") :]
    assert len(error.splitlines()) <= 2


@pytest.mark.parametrize(
    ("words", "code", "text", "hint"),
    [
        (("evaluate", "missing.pt"), 1, "does not exist", ""),
        (("train", "--epochs", "x"), 2, "--epochs", "train --help"),
        (("predict",), 2, "Missing argument", "predict --help"),
        (("visualize", "--bogus"), 2, "No such option", "visualize --help"),
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
    for command in commands.values():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                seen.setdefault(parameter.opts[0], set()).add(
                    f"{parameter.help} {parameter.default}"
                )
    shared = ("--data-dir", "--store", "--device", "--json", "--quiet", "--precision", "--debug")
    shared += ("--dataset", "--split", "--checkpoint")
    assert {name: len(seen[name]) for name in shared} == dict.fromkeys(shared, 1)
