"""Calibration error on cases with known answers."""

import pytest
import torch
from torch import Tensor

from mnistctl.engine.inference.calibration import NUM_BINS, calibration_error, reliability

GENERATOR = torch.Generator().manual_seed(0)


def gaps(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    return reliability(logits, labels, temperature).gaps


def logits_of(confidences: list[float]) -> Tensor:
    """Logits of two classes, of which class 1 has the given probabilities."""
    return torch.tensor([[1 - share, share] for share in confidences]).log()


def test_calibrated_answers_have_no_error_and_sure_wrong_ones_do() -> None:
    logits = 2 * torch.randn(50_000, 10, generator=GENERATOR)
    labels = torch.multinomial(logits.softmax(1), 1, generator=GENERATOR)[:, 0]
    assert calibration_error(gaps(logits, labels, 1.0), 50_000) < 0.01
    assert calibration_error(gaps(logits, labels, 0.3), 50_000) > 0.1
    sure = torch.full((100, 10), -50.0)
    sure[:, 3] = 50.0
    wrong = torch.full((100,), 4)
    assert calibration_error(gaps(sure, wrong, 1.0), 100) == pytest.approx(1.0)


def test_confidence_falls_into_fifteen_equal_bins() -> None:
    confidences = [0.51, 0.53, 0.534, 0.59, 0.61, 0.74, 0.934, 0.99, 1.0]
    labels = torch.tensor([1, 0, 1, 1, 1, 0, 1, 1, 0])
    found = reliability(logits_of(confidences), labels, 1.0)
    assert NUM_BINS == 15
    # Edges at 7/15 = 0.467, 0.533, 0.6, 0.667, 0.733, 0.8, ..., 0.933, 1.
    assert found.count.tolist() == [0] * 7 + [2, 2, 1, 0, 1, 0, 0, 3]
    assert found.hits.tolist() == [0] * 7 + [1, 2, 1, 0, 0, 0, 0, 2]
    sums = [0.51 + 0.53, 0.534 + 0.59, 0.61, 0.0, 0.74, 0.0, 0.0, 0.934 + 0.99 + 1.0]
    assert found.confidence.tolist() == pytest.approx([0.0] * 7 + sums, abs=1e-6)
    error = (abs(1.04 - 1) + abs(1.124 - 2) + abs(0.61 - 1) + 0.74 + abs(2.924 - 2)) / 9
    assert calibration_error(found.gaps, 9) == pytest.approx(error, abs=1e-6)


def test_temperature_divides_the_logits() -> None:
    logits = torch.tensor([[0.0, 2.0]])
    for temperature in (0.5, 1.0, 4.0):
        found = reliability(logits, torch.tensor([1]), temperature).confidence.sum()
        expected = torch.tensor([0.0, 2.0 / temperature]).softmax(0)[1]
        assert float(found) == pytest.approx(float(expected), abs=1e-6)


def test_gaps_of_parts_add_up() -> None:
    logits = torch.randn(100, 10, generator=GENERATOR)
    labels = torch.randint(10, (100,), generator=GENERATOR)
    parts = [gaps(logits[part], labels[part], 1.0) for part in (slice(30), slice(30, 100))]
    assert torch.allclose(parts[0] + parts[1], gaps(logits, labels))
