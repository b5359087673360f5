"""`calibration`: bars as high as the accuracies, at their confidences."""

import pytest
from drawn import console_of, screen_of
from results_made import many_answers

from mnistctl.text import percent
from mnistctl.visualize.calibration import CalibrationView

VIEW = CalibrationView(many_answers(accuracy=0.8))
FILLED = [own for own in VIEW.bins if own["count"]]


def test_bins_hold_every_image_once() -> None:
    assert sum(own["count"] for own in VIEW.bins) == 2_000
    assert len(FILLED) < len(VIEW.bins) == 15
    assert all(own["low"] <= own["confidence"] <= own["high"] for own in FILLED)
    hits = sum(own["count"] * own["accuracy"] for own in FILLED)
    assert round(hits) == VIEW.answers.scores.correct


def test_bars_are_as_high_as_the_accuracies() -> None:
    diagram, histogram = VIEW.figure().axes
    heights = [bar.get_height() for bar in diagram.patches]
    assert heights == pytest.approx([own["accuracy"] for own in FILLED])
    centres = [bar.get_x() + bar.get_width() / 2 for bar in diagram.patches]
    assert centres == pytest.approx([(own["low"] + own["high"]) / 2 for own in FILLED])
    means = [segment[0, 1] for segment in diagram.collections[0].get_segments()]
    assert means == pytest.approx([own["confidence"] for own in FILLED])
    assert [bar.get_height() for bar in histogram.patches] == [own["count"] for own in VIEW.bins]
    named = [text.get_text() for text in diagram.get_legend().get_texts()]
    assert sorted(named) == ["accuracy", "mean confidence", "perfect calibration"]
    ticks = [label.get_text() for label in diagram.get_yticklabels()]
    assert ticks[:6] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]


def test_a_line_for_each_bin_that_has_images() -> None:
    console = console_of(80, colours=False)
    heading, *lines = screen_of(VIEW.panel(console), console).splitlines()
    assert heading.split() == ["confidence", "images", "mean", "accuracy"]
    assert len(lines) == len(FILLED)
    last = FILLED[-1]
    assert f"{last['count']:,}" in lines[-1]
    assert percent(last["accuracy"]) in lines[-1]
    assert [line.count("█") for line in lines] == [round(own["accuracy"] * 32) for own in FILLED]


def test_the_title_is_the_error() -> None:
    error = VIEW.answers.scores.calibration_error
    assert VIEW.title == f"wide on mnist test: expected calibration error {percent(error)}"


def test_confidence_is_that_shown_to_people() -> None:
    """After the recipe's temperature: the gaps of the bins add up to the error in the title."""
    gaps = sum(own["count"] * abs(own["confidence"] - own["accuracy"]) for own in FILLED)
    assert VIEW.answers.model.predictor.recipe.temperature != 1.0
    assert gaps / 2_000 == pytest.approx(VIEW.answers.scores.calibration_error)
