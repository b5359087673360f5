"""A data set is added in one place, at run time, and used through the command line."""

import json
import os
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from idx_made import SIZES, idx_bytes, lay_out, small_row
from typer.testing import CliRunner

import mnistctl
from mnistctl.cli.app import app
from mnistctl.data.registry import DATASETS, emnist_dataset

# EMNIST bymerge, as CONTRIBUTING shows it, smaller.
ADDED = """
import sys
from mnistctl.data.registry import DATASETS, emnist_dataset
import string
row = emnist_dataset(
    "bymerge", "814,255 digits and letters in 47 classes",
    string.digits + string.ascii_uppercase + "abdefghnqrt", {"train": 240, "test": 94},
)
DATASETS[row.name] = row
from mnistctl.cli.app import main
main()
"""
COUNTS = {"train": 240, "test": 94}


def run(*words: str, cwd: Path, completing: str = "") -> subprocess.CompletedProcess[str]:
    package = Path(mnistctl.__file__).parents[1]
    environment = os.environ | {
        "PYTHONPATH": str(package),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    if completing:
        environment |= {
            "_MNISTCTL_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(("mnistctl", *words)),
            "COMP_CWORD": completing,
        }
    return subprocess.run(
        [sys.executable, "-c", ADDED, *words],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The files as torchvision lays them out; the images of a class are alike."""
    import numpy as np

    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    shapes = rng.integers(0, 256, (47, 28, 28), np.uint8)
    for split, size in COUNTS.items():
        labels = np.arange(size, dtype=np.uint8) % 47
        stem = folder / f"emnist-bymerge-{split}"
        Path(f"{stem}-images-idx3-ubyte").write_bytes(idx_bytes(shapes[labels], 8))
        Path(f"{stem}-labels-idx1-ubyte").write_bytes(idx_bytes(labels, 8))
    return tmp_path


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row in this process, too."""
    symbols = string.digits + string.ascii_uppercase + "abdefghnqrt"
    row = emnist_dataset("bymerge", "814,255 digits and letters in 47 classes", symbols, COUNTS)
    monkeypatch.setitem(DATASETS, row.name, row)


def invoke(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.stderr
    return result


def test_a_row_is_enough(added: None, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data_dir)
    words = ("--recipe", "standard", "--epochs", "2", "--name", "it", "--device", "cpu")
    document = json.loads(invoke("train", "--dataset", "emnist-bymerge", *words, "--json").stdout)
    assert document["dataset"] == "emnist-bymerge"
    assert len(document["classes"]) == 47
    config = json.loads((data_dir / "runs" / "it" / "config.json").read_text())
    assert config["recipe"]["pixel_mean"] == 0.1751
    assert document["test"]["total"] == 94
    scores = json.loads(invoke("evaluate", "it", "--json").stdout)
    assert scores["classes"][-1] == "t"
    assert len(scores["confusion"]) == len(scores["per_class"]) == 47
    assert sum(map(sum, scores["confusion"])) == 94
    for kind in ("samples", "confusion"):
        invoke("visualize", kind, "--dataset", "emnist-bymerge", "-o", "x.png")
        assert (data_dir / "x.png").stat().st_size > 2_000
    other = invoke("evaluate", "it", "--dataset", "mnist", code=2)
    assert other.stderr.splitlines()[-2:] == [
        "error: the classes of run it are not those of the data set 'mnist':"
        " 0, 1, 2, 3, ... (47); 0, 1, 2, 3, ... (10)",
        "  it was trained on emnist-bymerge: choose with --dataset",
    ]


def test_help_and_completion_know_it(tmp_path: Path) -> None:
    for command in ("train", "evaluate", "download"):
        assert "emnist-bymerge" in run(command, "--help", cwd=tmp_path).stdout
    completed = run("train", "--dataset", "emnist-b", cwd=tmp_path, completing="3")
    assert completed.stdout.split() == ["emnist-balanced", "emnist-bymerge"]
    listed = run("train", "--dataset", "emnist-bymerg", cwd=tmp_path)
    assert listed.returncode == 2
    assert "did you mean 'emnist-bymerge'" in listed.stderr


def test_a_name_that_is_a_directory_too(added: None) -> None:
    Path("emnist-bymerge").mkdir()
    done = invoke("evaluate", "shipped", "--dataset", "emnist-bymerge", code=2)
    assert done.stderr.splitlines()[0] == (
        "warning: 'emnist-bymerge' is the data set; for the directory: ./emnist-bymerge"
    )
    done = invoke("evaluate", "shipped", "--dataset", "./emnist-bymerge", code=1)
    assert "emnist-bymerge has 0 classes, not 2 to 1,000" in done.stderr


@pytest.mark.parametrize("name", ["qmnist", "emnist-digits"])
def test_what_was_trained_on_another_data_set_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = small_row(monkeypatch, name)
    assert row.published
    lay_out(row, tmp_path / row.published.folder, "raw")
    words = ["evaluate", "shipped", "--dataset", name, "--data-dir", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    assert f"warning: shipped weights: trained on mnist, asked about {name}" in result.stderr
    assert json.loads(result.stdout)["total"] == SIZES["test"]
