"""`confusion`: labels are rows, predictions columns, and mistakes stand out."""

from collections.abc import Sequence

import numpy as np
import pytest
from drawn import console_of, screen_of
from matplotlib.backends.backend_agg import FigureCanvasAgg
from results_made import CLOTHES, LETTERS, answers, many_answers

from mnistctl.data.images import DIGITS
from mnistctl.visualize.confusion import ConfusionView, confusion_table

# 4 is taken for 9 twelve times, 9 never for 4.
LABELS = [*range(10)] * 20 + [4] * 12 + [7] * 3
PREDICTIONS = [*range(10)] * 20 + [9] * 12 + [2] * 3
VIEW = ConfusionView(answers(LABELS, PREDICTIONS))


def test_numbers_are_the_ones_counted() -> None:
    counts = VIEW.answers.scores.confusion
    axes = VIEW.figure().axes[0]
    assert [text.get_text() for text in axes.texts] == [str(n) for row in counts for n in row]
    at = {text.get_position(): text.get_text() for text in axes.texts}
    assert at[(9, 4)] == "12"  # x is the prediction
    assert at[(4, 9)] == "0"
    assert axes.get_ylabel() == "label"
    assert axes.get_xlabel().startswith("prediction")
    assert VIEW.title == "wide on mnist test: accuracy 93.02 % (200/215)"


def test_mistakes_stand_out() -> None:
    """No mistake is nearly white, the most frequent one the darkest, what is right a cool grey."""
    figure = VIEW.figure()
    FigureCanvasAgg(figure).draw()
    shown = figure.axes[0].images[0].to_rgba(figure.axes[0].images[0].get_array(), bytes=True)
    light = shown[..., :3].astype(int).sum(-1)
    wrong = ~np.eye(10, dtype=bool)
    assert light[4, 9] == light[wrong].min() < 300
    assert light[9, 4] == light[wrong].max() > 700
    assert light[4, 9] < light[7, 2] < light[9, 4]
    red, _, blue = shown[3, 3, :3].astype(int)
    assert blue > red
    assert shown[4, 9, 0] > shown[4, 9, 2]


def test_rows_of_the_terminals_table_are_labels() -> None:
    console = console_of(80, colours=False)
    lines = screen_of(VIEW.panel(console), console).splitlines()
    assert lines[0] == "label (rows) against prediction (columns)"
    assert lines[1].split() == [*"0123456789", "accuracy"]
    row = next(line for line in lines if line.startswith("4 "))
    assert row.split() == ["4", *"0000", "20", *"0000", "12", "62.50", "%"]
    nine = next(line for line in lines if line.startswith("9 "))
    assert nine.split()[5] == "0"
    coloured = console_of(80)
    screen = screen_of(VIEW.panel(coloured), coloured)
    assert "\x1b[31m12\x1b[0m" in screen
    assert "\x1b[1;32m20\x1b[0m" in screen


def test_worst_pairs_are_named_and_broken_between_pairs() -> None:
    assert VIEW.worst(80) == "most often misclassified: 4 as 9 (12), 7 as 2 (3)"
    assert [pair["count"] for pair in VIEW.worst_pairs] == [12, 3]
    lines = ConfusionView(many_answers()).worst(40).splitlines()
    assert len(lines) > 1
    assert all(line.endswith((",", ")")) for line in lines)
    perfect = ConfusionView(answers([0, 1], [0, 1]))
    assert perfect.worst(80) == "no image is misclassified"


def test_classes_are_called_by_their_names() -> None:
    view = ConfusionView(answers([4, 4, 9], [4, 9, 9], classes=CLOTHES))
    axes = view.figure().axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == list(CLOTHES)
    assert view.worst(80) == "most often misclassified: Coat as Ankle boot (1)"
    console = console_of(80, colours=False)
    lines = screen_of(view.panel(console), console).splitlines()
    assert lines[1].split()[:10] == list("0123456789")
    assert any(line.startswith("9 Ankle boot") for line in lines)


def test_columns_headed_by_indexes_are_as_wide_as_these() -> None:
    names = [f"class {k}" for k in range(24)]
    view = ConfusionView(answers(range(24), range(24), classes=names))
    console = console_of(100, colours=False)
    heading = screen_of(view.panel(console), console).splitlines()[1]
    assert heading.split()[:24] == [str(k) for k in range(24)]


def test_a_matrix_too_wide_for_the_terminal_becomes_a_list() -> None:
    own = answers([0, 46, 46, 46], [0, 46, 1, 1], classes=LETTERS)
    console = console_of(80, colours=False)
    table = confusion_table(own.scores, LETTERS, console)
    lines = screen_of(table, console).splitlines()
    assert len(lines) == 48
    assert lines[-1].split() == ["t", "33.33", "%", "3", "1", "(2)"]
    assert "most often misclassified as" in lines[0]


@pytest.mark.parametrize("width", [30, 40])
@pytest.mark.parametrize("classes", [CLOTHES, DIGITS], ids=["clothes", "digits"])
def test_rows_keep_their_labels_in_a_narrow_terminal(classes: Sequence[str], width: int) -> None:
    own = answers([4, 4, 9] * 4000, [4, 9, 9] * 4000, classes=classes)
    console = console_of(width, colours=False)
    lines = screen_of(confusion_table(own.scores, classes, console), console).splitlines()
    assert max(map(len, lines)) <= width
    assert [line[0] for line in lines if line[:1].isdigit()] == [*"0123456789"]
    row = next(line for line in lines if line.startswith("4"))
    assert "50.00 %   8000" in row
    assert any("accuracy images" in line for line in lines)
