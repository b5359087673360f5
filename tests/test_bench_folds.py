"""Cross-validation: every image held out once, trainings kept, candidates compared in pairs."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mnistctl.data import synthetic
from mnistctl.data.images import LabelledImages
from tests.bench import figures, folds
from tests.bench.__main__ import app
from tests.bench.folds import NUM_FOLDS, Answers, folds_of, table


def test_every_image_is_held_out_once_in_the_same_folds() -> None:
    parts = folds_of(60_000)
    assert [len(part) for part in parts] == [10_000] * NUM_FOLDS
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(60_000))
    assert all(torch.equal(a, b) for a, b in zip(parts, folds_of(60_000), strict=True))
    assert parts[0][:5].tolist() != list(range(5))


def test_a_candidate_is_trained_once_on_what_is_not_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (figures, folds):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    digits = synthetic.load("test")
    few = LabelledImages(digits.images[:600], digits.labels[:600])
    rows = {"mnist": type("Row", (), {"load": staticmethod(lambda *own: few)})}
    monkeypatch.setattr(folds, "get_dataset", rows.__getitem__)
    trained_on: list[int] = []
    train_once = folds.train_once

    def noted(recipe, data, *own):  # type: ignore[no-untyped-def]
        trained_on.append(len(data.images))
        return train_once(recipe, data, *own)

    monkeypatch.setattr(folds, "train_once", noted)
    words = ["folds", "--recipe", "mlp", "--set", "epochs=8", "--set", "learning_rate=0.02"]
    words += ["--device", "cpu", "--precision", "fp32", "--first", "3"]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.output
    lines = [json.loads(line) for line in (tmp_path / "folds.jsonl").read_text().splitlines()]
    assert [(line["seed"], line["fold"]) for line in lines] == [(3, k) for k in range(6)]
    assert trained_on == [500] * NUM_FOLDS
    for line, held_out in zip(lines, folds_of(600), strict=True):
        assert line["total"] == 100
        assert set(line["misclassified"]) <= set(held_out.tolist())
        assert 0 < len(line["misclassified"]) < 80
    assert lines[0]["command"].endswith("--recipe mlp --set epochs=8 --set learning_rate=0.02")
    assert "mlp (epochs=8, learning_rate=0.02), fp32" in first.output
    assert "600 |" in first.output
    again = CliRunner().invoke(app, words)
    assert trained_on == [500] * NUM_FOLDS
    assert again.output.splitlines()[-1] == first.output.splitlines()[-1]


def test_candidates_are_compared_where_both_were_trained() -> None:
    """By hand: of fold 0, a misses 1 and 2, b misses 2 and 7, 8, 9; fold 1 only a answered."""
    answers = [
        Answers("a", 0, 0, 100, frozenset({1, 2})),
        Answers("a", 1, 0, 100, frozenset({101})),
        Answers("b", 0, 0, 100, frozenset({2, 7, 8, 9})),
        Answers("c", 1, 5, 100, frozenset()),
    ]
    a, b, c = table(answers).splitlines()[2:]
    assert a.startswith("| a | 0 | 200 | 98.500 (")
    assert a.endswith("| - |")
    assert b.startswith("| b | 0 | 100 | 96.000 (")
    assert b.endswith("| -2.000 points, p=0.62 (n=100) |")
    assert c.endswith("| - |")
