"""`prediction --multi`: every digit in its box, in the figure, in the terminal and in JSON."""

from dataclasses import replace

import numpy as np
from drawn import console_of, screen_of
from matplotlib.colors import to_hex
from results_made import number

from mnistctl.draw.style import ORANGE, RIGHT, WRONG


def test_title_is_what_is_read() -> None:
    assert number("a.png").title == "a.png: 40?7 - 1 uncertain"


def test_title_keeps_lines_of_writing_apart() -> None:
    view = number("a.png", "2048")
    below = [replace(own, line=1) for own in view.answers[2:]]
    assert replace(view, answers=view.answers[:2] + below).title == "a.png: 20 48 - 1 uncertain"


def test_boxes_are_where_the_digits_are_in_the_colour_of_the_verdict() -> None:
    image = number().figure().axes[0]
    assert image.images[0].get_extent() == [0, 400, 90, 0]
    assert [to_hex(line.get_color()).upper() for line in image.lines] == [
        RIGHT,
        ORANGE,
        WRONG,
        RIGHT,
    ]
    second = image.lines[1]
    assert (min(second.get_xdata()), max(second.get_xdata())) == (110, 170)
    assert (min(second.get_ydata()), max(second.get_ydata())) == (20, 80)
    assert [text.get_text() for text in image.texts] == ["4", "0", "?", "7"]


def test_every_input_is_shown_with_its_confidence() -> None:
    inputs = number().figure().axes[1]
    assert [text.get_text() for text in inputs.texts] == [
        *("4  91.00 %", "0  91.00 % uncertain", "?  91.00 %", "7  91.00 %")
    ]
    assert len(inputs.images) == 4


def test_the_terminal_shows_the_boxes_and_the_inputs() -> None:
    console = console_of(80)
    screen = screen_of(number().panel(console), console)
    assert "4  91.00 %" in screen
    red, green, blue = (int(RIGHT[at : at + 2], 16) for at in (1, 3, 5))
    assert f"{red};{green};{blue}" in screen


def test_a_box_thinner_than_a_pixel_of_the_terminal_is_a_line() -> None:
    view = number()
    thin = replace(view.answers[0], box=(6, 20, 7, 21))
    console = console_of(20)
    screen = screen_of(replace(view, answers=[thin]).panel(console), console)
    red, green, blue = (int(RIGHT[at : at + 2], 16) for at in (1, 3, 5))
    assert f"{red};{green};{blue}" in screen


def test_json_is_that_of_predict() -> None:
    found = number("a.png").to_dict()
    assert [own["box"] for own in found["predictions"]][1] == [110, 20, 170, 80]
    assert [own["verdict"] for own in found["predictions"]][1:3] == ["uncertain", "not-a-digit"]
    assert found["image"] == "a.png"
    assert np.array(found["predictions"][0]["probabilities"]).shape == (10,)
