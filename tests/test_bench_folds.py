"""Cross-validation: every image held out once, trainings kept, candidates compared in pairs."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from mnistctl.data import synthetic
from mnistctl.data.images import LabelledImages
from mnistctl.recipes import RECIPES
from tests.bench import distil, figures, folds, ours
from tests.bench.__main__ import app
from tests.bench.candidates import CANDIDATES, Erased
from tests.bench.folds import (
    NUM_FOLDS,
    Answers,
    ensembles_table,
    folds_of,
    logits_path,
    table,
)


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
    train_once = ours.train_once

    def noted(recipe, data, *own):  # type: ignore[no-untyped-def]
        trained_on.append(len(data.images))
        return train_once(recipe, data, *own)

    monkeypatch.setattr(ours, "train_once", noted)
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


def test_two_processes_share_the_folds(tmp_path: Path) -> None:
    path = logits_path(tmp_path / "new", "a, bf16, 1234567", 0, 0)
    with figures.claimed(path) as first, figures.claimed(path) as second:
        assert (first, second) == (True, False)
    with figures.claimed(path) as again:
        assert again


def answered(candidate: str, fold: int, seed: int, *wrong: int) -> Answers:
    """Of 100 images; a candidate "a" is its recipe as it is."""
    return Answers(candidate, "a", "1234567", fold, seed, 100, frozenset(wrong))


def test_candidates_are_compared_where_both_were_trained() -> None:
    """By hand: of fold 0, a misses 1 and 2, b misses 2 and 7, 8, 9; fold 1 only a answered."""
    answers = [
        answered("b", 0, 0, 2, 7, 8, 9),
        answered("a", 0, 0, 1, 2),
        answered("a", 1, 0, 101),
        answered("c", 1, 5),
    ]
    b, a, c = table(answers).splitlines()[2:]
    assert a.startswith("| a | 0 | 1234567 | 200 | 3 | 98.500 (")
    assert a.endswith("| - |")
    assert b.startswith("| b | 0 | 1234567 | 100 | 4 | 96.000 (")
    assert b.endswith("| -2.000 points, p=0.62 (n=100) |")
    assert c.endswith("| - |")


def test_an_ensemble_is_the_mean_of_what_its_members_answered(tmp_path: Path) -> None:
    """Of 12 images the folds are of 2; of fold 0 one member is sure, and right where it is."""
    labels = torch.arange(12) % 10
    held_out = folds_of(12)[0]
    sure = torch.full((2, 10), -20.0).scatter(1, labels[held_out][:, None], 0.0)
    other = torch.full((2, 10), -3.0).scatter(1, (labels[held_out][:, None] + 1) % 10, 0.0)
    for name, logits in (("a", sure), ("b", other)):
        torch.save(logits, logits_path(tmp_path, name, 0, 0))
    answers = [answered("a", 0, 0), answered("b", 0, 0), answered("b", 1, 0), answered("c", 0, 0)]
    rows = ensembles_table(answers, 2, tmp_path, labels).splitlines()[2:]
    assert rows == ["| a, seed 0 + b, seed 0 | 2 | 0 | 100.000 |"]
    torch.save(sure, logits_path(tmp_path, "a", 1, 0))  # another seed is another network
    rows = ensembles_table([*answers, answered("a", 0, 1)], 2, tmp_path, labels).splitlines()[2:]
    assert "| a, seed 0 + a, seed 1 | 2 | 0 | 100.000 |" in rows
    assert len(rows) == 3


def test_a_candidate_that_became_the_recipe_stays_itself(tmp_path: Path) -> None:
    tried, now = "r (epochs=8), bf16, 1234567", "r, bf16, 1234567"
    former, soft = "r, bf16, 7654321", "r, bf16, 1234567, soft labels 0.5"
    assert logits_path(tmp_path, tried, 0, 0) == logits_path(tmp_path, now, 0, 0)
    answers = [
        Answers(former, former, "c", 0, 0, 100, frozenset({1, 2})),
        Answers(tried, former, "c", 0, 0, 100, frozenset({1})),
        Answers(soft, now, "c", 0, 0, 100, frozenset()),
        Answers(now, now, "c", 1, 0, 100, frozenset()),
    ]
    rows = table(answers).splitlines()[2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [former, tried, soft]
    assert "+1.000 points" in rows[1]
    assert " 200 | 1 |" in rows[1]
    assert "+1.000 points" in rows[2]


def test_a_teacher_knows_neither_what_it_labels_nor_what_judges_its_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = synthetic.load("test")
    few = LabelledImages(digits.images[:60], digits.labels[:60])
    parts = folds_of(60)
    seen: list[set[bytes]] = []

    def trained(
        recipe: object, data: LabelledImages, *own: object
    ) -> tuple[SimpleNamespace, float]:
        seen.append({image.numpy().tobytes() for image in data.images})
        return SimpleNamespace(seconds=0.0), 0.0

    logits = torch.eye(10).repeat(6, 1)
    answering = type("Asked", (), {"logits": lambda self, images: logits[: len(images)]})
    monkeypatch.setattr(ours, "train_once", trained)
    monkeypatch.setattr(ours, "predictor_of", lambda *own: answering())
    teachers = distil.Teachers(RECIPES["mlp"], "mlp", torch.device("cpu"), "fp32", tmp_path)
    soft = teachers.labels_for(few, parts, judged=2, share=0.25, seed=0)
    assert len(seen) == 5
    for images, fold in zip(seen, (0, 1, 3, 4, 5), strict=True):
        unseen = torch.cat([parts[2], parts[fold]])
        assert len(images) == 40
        assert not images & {few.images[i].numpy().tobytes() for i in unseen.tolist()}
    assert torch.allclose(soft.sum(1), torch.ones(60))
    hard = torch.nn.functional.one_hot(few.labels, 10).float()
    assert torch.equal(soft[parts[2]], hard[parts[2]])
    assert torch.allclose(soft[parts[0]], 0.25 * logits[:10].softmax(1) + 0.75 * hard[parts[0]])
    teachers.labels_for(few, parts, judged=0, share=1.0, seed=0)
    assert len(seen) == 9  # that of folds 0 and 2 serves both


def test_an_erased_network_sees_rectangles_of_a_third_of_its_images_as_black() -> None:
    torch.manual_seed(0)
    images = torch.rand(3000, 1, 28, 28) + 1
    network = Erased(torch.nn.Identity())
    seen = network(images)
    hidden = (seen != images)[:, 0]
    heights, widths = hidden.any(2).sum(1), hidden.any(1).sum(1)
    assert torch.equal(hidden.sum((1, 2)), heights * widths)
    assert 0.3 < (heights > 0).float().mean() < 0.37
    assert {int(own) for own in heights.unique()} == {0, *range(3, 11)}
    assert (seen[:, 0][hidden] == images.min()).all()
    assert torch.equal(network.eval()(images), images)


def test_candidates_compute_logits() -> None:
    for name, build in CANDIDATES.items():
        network = build(7).eval()
        assert network(torch.zeros(3, 1, 28, 28)).shape == (3, 7), name
