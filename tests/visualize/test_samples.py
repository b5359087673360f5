"""`samples`: each image over its label and index, its augmented versions beside it."""

import numpy as np
from drawn import console_of, screen_of
from results_made import samples


def test_images_stand_over_their_labels() -> None:
    view = samples(count=20)
    axes = view.figure().axes[0]
    assert len(axes.images) == 20
    assert np.array_equal(axes.images[7].get_array(), view.images[7])
    assert axes.texts[7].get_text() == "3  #59907"
    assert view.title == "mnist test: 20 images, by class"


def test_augmented_versions_follow_their_original() -> None:
    view = samples(count=10, variants=True)
    axes = view.figure().axes[0]
    assert len(axes.images) == 80
    assert view.variants is not None
    assert np.array_equal(axes.images[16].get_array(), view.images[2])
    assert np.array_equal(axes.images[17].get_array(), view.variants[2, 0])
    assert [text.get_text() for text in axes.texts[16:18]] == ["2  #59902", ""]
    assert view.title == "mnist test: 10 images, by class, each augmented as in standard"


def test_a_row_of_augmented_images_stays_one_row() -> None:
    console = console_of(60, colours=False)
    screen = screen_of(samples(count=2, variants=True).panel(console), console)
    rows = [line for line in screen.splitlines() if "augmented" in line]
    assert [row.split()[:2] for row in rows] == [["0", "#59900"], ["5", "#59901"]]
