"""Temperature and calibration error on cases with known answers."""

import pytest
import torch

from mnistctl.engine.inference.calibration import (
    calibration_error,
    confidence_gaps,
    fit_temperature,
)

GENERATOR = torch.Generator().manual_seed(0)


def test_temperature_that_was_put_in_is_found() -> None:
    true_logits = 3 * torch.randn(20_000, 10, generator=GENERATOR)
    labels = torch.multinomial(true_logits.softmax(1), 1, generator=GENERATOR)[:, 0]
    for temperature in (0.4, 1.0, 2.5):
        assert fit_temperature(temperature * true_logits, labels) == pytest.approx(
            temperature, rel=0.03
        )


def test_calibrated_answers_have_no_error_and_sure_wrong_ones_do() -> None:
    logits = 2 * torch.randn(50_000, 10, generator=GENERATOR)
    labels = torch.multinomial(logits.softmax(1), 1, generator=GENERATOR)[:, 0]
    assert calibration_error(confidence_gaps(logits, labels, 1.0), 50_000) < 0.01
    assert calibration_error(confidence_gaps(logits, labels, 0.3), 50_000) > 0.1
    sure = torch.full((100, 10), -50.0)
    sure[:, 3] = 50.0
    wrong = torch.full((100,), 4)
    assert calibration_error(confidence_gaps(sure, wrong, 1.0), 100) == pytest.approx(1.0)


def test_answers_that_are_no_numbers_count_as_unsure() -> None:
    gaps = confidence_gaps(torch.full((10, 10), torch.nan), torch.ones(10).long(), 1.0)
    assert calibration_error(gaps, 10) == 0.0


def test_gaps_of_parts_add_up() -> None:
    logits = torch.randn(100, 10, generator=GENERATOR)
    labels = torch.randint(10, (100,), generator=GENERATOR)
    parts = [
        confidence_gaps(logits[part], labels[part], 1.0) for part in (slice(30), slice(30, 100))
    ]
    assert torch.allclose(parts[0] + parts[1], confidence_gaps(logits, labels, 1.0))
