"""`mnistctl download` for one data set and for all."""

import json
from pathlib import Path

import pytest
from idx_made import lay_out, published, small_row
from typer.testing import CliRunner

from mnistctl.cli.app import app

# Of EMNIST's parts one: here each would have an archive of its own.
NAMES = ("mnist", "fashion", "kmnist", "qmnist", "emnist-balanced")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made files of every data set, in torchvision's layout."""
    root = tmp_path / "source"
    monkeypatch.setattr("mnistctl.cli.download.NAMES", NAMES)
    for name in NAMES:
        row = small_row(monkeypatch, name)
        lay_out(row, root / published(name).folder, "zip" if published(name).archive else "gz")
    return root


def test_all_data_sets(source: Path) -> None:
    result = CliRunner().invoke(app, ["download", "--dataset", "all", "--from", str(source)])
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 25
    assert lines[0].startswith("downloaded  train-images-idx3-ubyte.gz  ")
    assert lines[-2].startswith("extracted   emnist-balanced-test-labels-idx1-ubyte  ")
    assert (
        "kmnist (Kuzushiji-MNIST: cursive Japanese, by ROIS-DS CODH, CC BY-SA 4.0)"
        " is complete in data, verified"
    ) in lines
    result = CliRunner().invoke(app, ["download", "--dataset", "all", "--json"])
    document = json.loads(result.stdout)
    assert (document["dataset"], len(document["files"])) == ("all", 4 * len(NAMES))
    assert [own["dataset"] for own in document["datasets"]] == list(NAMES)
    assert {file["status"] for file in document["files"]} == {"present"}


def test_force_fetches_what_is_there(source: Path) -> None:
    words = ["download", "--dataset", "fashion", "--from", str(source), "--json"]
    for more, status in (([], "downloaded"), ([], "present"), (["--force"], "downloaded")):
        document = json.loads(CliRunner().invoke(app, [*words, *more]).stdout)
        assert {file["status"] for file in document["files"]} == {status}


def test_what_fails_stops_no_other(source: Path) -> None:
    (source / "KMNIST" / "raw" / "train-labels-idx1-ubyte.gz").unlink()
    words = ["download", "--dataset", "all", "--from", str(source)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: kmnist: can't get train-labels-idx1-ubyte.gz; tried ")
    assert "emnist-balanced" in result.stdout.splitlines()[-1]
    document = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert document["exit_code"] == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fashon", "unknown data set 'fashon'; did you mean 'fashion'?"),
        ("synthetic", "'synthetic' needs no download: digits drawn at run time, no download"),
    ],
)
def test_nothing_to_download(name: str, reason: str) -> None:
    result = CliRunner().invoke(app, ["download", "--dataset", name])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == f"error: {reason}"
