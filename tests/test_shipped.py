"""The weights in the package are what their card says: right, honest, sealed and small."""

import re
from pathlib import Path

import pytest

from mnistctl.data.registry import get_dataset
from mnistctl.engine.inference.evaluate import evaluate
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.errors import CheckpointError
from mnistctl.events import Reporter
from mnistctl.recipes import RECIPES
from mnistctl.store import checkpoint
from mnistctl.store.resolve import SHIPPED
from tests.bench import photos
from tests.bench.__main__ import DIGITS
from tests.bench.outlier_pictures import KINDS
from tests.bench.photos import ask, read_index, read_outliers, reading_of

CARD = SHIPPED.with_name("README.md").read_text()


def number(pattern: str) -> float:
    found = re.search(pattern, CARD)
    assert found is not None
    return float(found[1].replace(",", ""))


def test_the_file_is_small_and_sealed(tmp_path: Path) -> None:
    content = SHIPPED.read_bytes()
    assert len(content) == number(r"([\d,]+) bytes")
    assert len(content) <= 3_000_000
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    (tmp_path / "flipped.pt").write_bytes(bytes(flipped))
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path / "flipped.pt")


def test_the_card_names_recipe_command_and_temperature() -> None:
    config = checkpoint.load(SHIPPED).config
    assert config is not None
    assert f"| recipe | `{config.recipe.name}`: {RECIPES[config.recipe.name].summary} |" in CARD
    assert config.command in CARD
    assert number(r"networks \| (\d+)") == config.ensemble
    assert number(r"temperature \| ([\d.]+)") == config.recipe.temperature
    assert config.dataset_sha256 == get_dataset("mnist").fingerprint()
    assert config.dataset_sha256 in CARD
    assert config.validation == 0


@pytest.mark.mnist
def test_accuracy_is_the_cards(mnist_data_dir: Path, tmp_path: Path) -> None:
    evaluations = evaluate(
        [],
        store=tmp_path / "no-runs",
        data_dir=mnist_data_dir,
        dataset=None,
        split="test",
        device="cpu",
        precision="fp32",
        reporter=Reporter(),
    )
    scores = evaluations[0].scores
    assert evaluations[0].model.label == "shipped weights"
    # The card's figure may have been measured in another precision.
    assert abs(scores.correct - number(r"([\d,]+) of 10,000")) <= 3
    assert scores.accuracy >= 0.9965
    assert scores.calibration_error < 0.005


def shipped(store: Path) -> LoadedModel:
    return load_model("shipped", store, "cpu", None, Reporter())


def test_few_outliers_are_called_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "NUM_OUTLIERS", 40)
    verdicts = [reading.verdict for reading in read_outliers(shipped(tmp_path), KINDS)]
    assert len(verdicts) == 40 * len(KINDS)
    assert verdicts.count("digit") <= 0.05 * len(verdicts)


def test_photographs_of_handwriting_are_classified_and_accepted(tmp_path: Path) -> None:
    if not (DIGITS / "INDEX.tsv").is_file():
        pytest.skip(f"no photographs of digits in {DIGITS}")
    entries = read_index(DIGITS)
    answers = ask(shipped(tmp_path), [path for path, _, _ in entries])
    readings = [reading_of(kind, label, answers[str(path)]) for path, label, kind in entries]
    assert len(readings) >= 100
    assert sum(reading.right for reading in readings) >= 0.95 * len(readings)
    assert sum(reading.verdict != "digit" for reading in readings) <= 0.02 * len(readings)
