"""`prediction`: the answer in words, at its bar and in its colour are one."""

from drawn import console_of, screen_of
from matplotlib.colors import to_hex
from results_made import CLOTHES, LETTERS, prediction

from mnistctl.draw.style import OTHER, RIGHT, WRONG
from mnistctl.visualize.prediction import PredictionView

SURE = (*[0.00001] * 9, 0.99991)


def bars(view: PredictionView) -> dict[str, tuple[float, str, str]]:
    """Name of each bar -> its length, colour and text."""
    figure = view.figure()
    axes = next(own for own in figure.findobj() if getattr(own, "patches", None))
    names = [label.get_text() for label in axes.get_yticklabels()]
    return {
        name: (bar.get_width(), to_hex(bar.get_facecolor()).upper(), text.get_text())
        for name, bar, text in zip(names, axes.patches, axes.texts, strict=True)
    }


def test_title_and_bar_agree() -> None:
    view = prediction("mnist test image 0", 9, SURE)
    assert view.title == "mnist test image 0, label 9: predicted as 9 (99.99 %)"
    drawn = bars(view)
    assert drawn["9 (label)"] == (0.99991, RIGHT, "99.99 %")
    assert drawn["0"] == (0.00001, OTHER, "0.00 %")
    assert len(drawn) == 10


def test_classes_stand_from_the_top_in_their_order() -> None:
    axes = prediction().figure().axes[1]
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["0", "1"]
    low, high = axes.get_ylim()
    assert low > high  # the first bar, at 0, is at the top


def test_a_mistake_is_said_and_seen() -> None:
    view = prediction("mnist test image 0", 4)
    assert view.title == "mnist test image 0, label 4: misclassified as 9 (91.00 %)"
    assert bars(view)["9"][1] == WRONG
    assert bars(view)["4 (label)"][1] == OTHER


def test_verdicts_on_files() -> None:
    assert prediction("a.png", None).title == "a.png: predicted as 9 (91.00 %)"
    assert bars(prediction("a.png", None))["9"][1] == RIGHT
    unsure = prediction("a.png", None, verdict="uncertain")
    assert unsure.title == "a.png: predicted as 9 (91.00 %) - uncertain"
    blank = prediction("a.png", None, verdict="not-a-digit", doubt="no ink found")
    assert blank.title == "a.png: not a digit: no ink found"
    assert bars(blank)["9"][1] == WRONG
    assert prediction("a.png", None, verdict="unknown").title == "a.png: unknown"


def test_classes_are_called_by_their_names() -> None:
    view = prediction("fashion test image 0", 4, classes=CLOTHES)
    assert view.title.endswith("label Coat: misclassified as Ankle boot (91.00 %)")
    assert list(bars(view))[4] == "Coat (label)"
    letters = prediction("x", 40, (*[0.001] * 46, 0.954), LETTERS)
    assert list(bars(letters))[0] == "t"
    assert f"{LETTERS[40]} (label)" in bars(letters)


def test_the_terminal_shows_the_same() -> None:
    console = console_of(80)
    screen = screen_of(prediction("x", 9, SURE).panel(console), console)
    (line,) = [line for line in screen.splitlines() if "<- label" in line]
    assert "\x1b[1;32m9  " in line
    assert "99.99 %" in line
    other = console_of(80)
    wrong = screen_of(prediction("x", 4, SURE).panel(other), other)
    assert "\x1b[1;31m9  " in wrong
    assert "4  " in next(line for line in wrong.splitlines() if "<- label" in line)


def test_steps_stand_above_the_answer() -> None:
    view = prediction("x", None, steps=3)
    figure = view.figure()
    assert [axes.get_xlabel() for axes in figure.axes[:4]] == ["image", "ink", "strokes", "28x28"]
    assert figure.axes[0].images[0].get_array().shape == (90, 768, 3)
    console = console_of(80, colours=False)
    lines = screen_of(view.panel(console), console).splitlines()
    named = next(k for k, line in enumerate(lines) if line.split() == ["image", "ink", "strokes"])
    assert any("91.00 %" in line for line in lines[named:])
