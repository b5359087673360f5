"""Runs taken together: disjoint ensembles, and what all of them misclassify."""

import json
from pathlib import Path

import pytest
import torch

from mnistctl.data.images import LabelledImages
from mnistctl.engine.inference.loading import load_model
from mnistctl.events import Reporter
from tests.bench import figures
from tests.bench.study import study
from tests.bench.together import (
    accuracies,
    ensembles,
    errors_table,
    image_alone,
    measure,
    misclassified,
    shared_errors,
)


def test_errors_are_counted_by_how_many_share_them() -> None:
    shared = shared_errors([{1, 2, 5}, {2, 5}, {5, 9}])
    assert shared == {3: {5}, 2: {2, 5}, 1: {1, 2, 5, 9}}
    assert errors_table(shared, {5, 9, 100}).splitlines()[2:] == [
        "| 3 | 1 | 1 |",
        "| 2 | 2 | 1 |",
        "| 1 | 4 | 2 |",
    ]


def test_accuracies_of_several_and_of_one() -> None:
    rows = accuracies({"1": [{1, 2}, {3}, set()], "3": [{1}]}, 200).splitlines()[2:]
    assert rows == ["| 1 | 3 | 99.500 | 0.500 | 99.00 to 100.00 |", "| 3 | 1 | 99.500 |  | 99.50 |"]


def test_what_is_not_labelled_so_is_misclassified() -> None:
    data = LabelledImages(torch.zeros(3, 28, 28, dtype=torch.uint8), torch.tensor([0, 1, 1]))
    assert misclassified(torch.tensor([[2.0, 1.0], [1.0, 2.0], [2.0, 1.0]]), data) == {2}


def test_runs_alone_and_as_disjoint_ensembles(
    small_datasets: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    store = tmp_path / "runs"
    study("fast", range(3), 1, tmp_path, "cpu", store)
    capsys.readouterr()
    runs = [f"fast-seed-{seed}" for seed in range(3)]
    measure(runs, [2, 3], store, tmp_path)
    (line,) = (tmp_path / "results" / "together.jsonl").read_text().splitlines()
    found = json.loads(line)["misclassified"]
    assert [(name, len(own)) for name, own in found.items()] == [
        ("1, averaged over its views", 3),
        ("1, the image alone", 3),
        ("2", 1),
        ("3", 1),
    ]
    # `fast` sees the image alone in any case.
    assert found["1, averaged over its views"] == found["1, the image alone"]
    everyone = set.intersection(*map(set, found["1, the image alone"]))
    assert capsys.readouterr().out.endswith(
        f"misclassified by all: {', '.join(map(str, sorted(everyone)))}\n"
    )


def test_ensembles_are_disjoint_and_their_probabilities_means(tmp_path: Path) -> None:
    shipped = load_model("shipped", tmp_path, "cpu", None, Reporter())
    logits = [torch.randn(5, 10) for _ in range(5)]
    pairs = ensembles(logits, 2, shipped)
    assert len(pairs) == 2
    assert shipped.predictor.recipe.rejects
    for pair, first in zip(pairs, (0, 2), strict=True):
        odds = torch.stack([torch.nn.functional.pad(own, (0, 1)) for own in logits])
        mean = odds.softmax(2)[first : first + 2].mean(0)
        assert torch.allclose(torch.nn.functional.pad(pair, (0, 1)).softmax(1), mean, atol=1e-6)


def test_the_image_alone_is_no_mean_over_views(tmp_path: Path) -> None:
    shipped = load_model("shipped", tmp_path, "cpu", None, Reporter()).predictor
    assert not image_alone(shipped).recipe.tta_shifts
    assert image_alone(shipped).network is shipped.network
