"""`compare`: who is right where, not swapped, and what the test says."""

from dataclasses import replace

import numpy as np
from drawn import console_of, screen_of
from results_made import answers, compared

from mnistctl.visualize.compare import CompareView

# Both are correct on 5 images, only A on 3, only B on 1, neither on 2.
LABELS = [0] * 11
A = answers(LABELS, [0] * 5 + [0] * 3 + [1] + [2, 2], "first")
B = replace(answers(LABELS, [0] * 5 + [4] * 3 + [0] + [2, 3], "second"), data=A.data)
VIEW = CompareView(A, B)


def test_counts() -> None:
    assert VIEW.counts == {"both_correct": 5, "only_a": 3, "only_b": 1, "both_misclassified": 2}
    assert VIEW.title == "A = first (72.73 %), B = second (54.55 %), on mnist test: 5 disagreements"
    assert [own["index"] for own in VIEW.disagreements] == [5, 6, 7, 8, 10]


def test_cells_of_the_figure_are_where_their_headings_say() -> None:
    table = VIEW.figure().axes[0]
    places = {text.get_text(): text.get_position() for text in table.texts}
    columns = {places["B correct"][0]: "correct", places["B misclassified"][0]: "misclassified"}
    rows = {places["A correct"][1]: "correct", places["A misclassified"][1]: "misclassified"}
    found = {n: (rows[places[n][1]], columns[places[n][0]]) for n in ("5", "3", "1", "2")}
    assert found == {
        "5": ("correct", "correct"),
        "3": ("correct", "misclassified"),
        "1": ("misclassified", "correct"),
        "2": ("misclassified", "misclassified"),
    }
    assert places["A correct"][1] < places["A misclassified"][1]
    assert table.get_ylim()[0] > table.get_ylim()[1]  # down


def test_cells_of_the_terminal_are_where_their_headings_say() -> None:
    console = console_of(80, colours=False)
    lines = screen_of(VIEW.panel(console), console).splitlines()
    top = next(k for k, line in enumerate(lines) if "B correct" in line)
    assert lines[top].split() == ["B", "correct", "B", "misclassified"]
    assert lines[top + 1].split() == ["A", "correct", "5", "3"]
    assert lines[top + 2].split() == ["A", "misclassified", "1", "2"]


def test_headings_of_the_terminal_are_folded_where_it_is_narrow() -> None:
    console = console_of(40, colours=False)
    screen = screen_of(VIEW.panel(console), console)
    assert screen.count("misclassified") == 2
    assert "…" not in screen


def test_the_images_are_those_they_disagree_on() -> None:
    grid = VIEW.figure().axes[1]
    assert [int(np.asarray(own.get_array())[0, 0]) for own in grid.images] == [5, 6, 7, 8, 10]
    assert grid.texts[0].get_text() == "label 0\nA 0  B 4\n#5"
    assert grid.texts[4].get_text() == "label 0\nA 2  B 3\n#10"


def test_conclusions() -> None:
    assert VIEW.conclusion == "The difference in accuracy is not significant (McNemar, p = 0.62)"
    assert VIEW.better is None
    better = compared()
    assert better.better == "a"
    assert better.conclusion == "A is more accurate than B: significant (McNemar, p < 1e-12)"
    swapped = CompareView(better.b, better.a)
    assert swapped.conclusion.startswith("B is more accurate than A: significant")
    nine = CompareView(
        answers([0] * 60, [0] * 40 + [1] * 20), answers([0] * 60, [1] * 40 + [0] * 20)
    )
    assert nine.conclusion == "A is more accurate than B: significant (McNemar, p = 0.013)"


def test_networks_that_agree() -> None:
    alike = CompareView(A, A)
    assert alike.title.endswith("0 disagreements")
    assert alike.conclusion.endswith("is not significant (McNemar, p = 1)")
    assert alike.better is None
    texts = [text.get_text() for text in alike.figure().axes[1].texts]
    assert texts == ["both predict the same classes"]
