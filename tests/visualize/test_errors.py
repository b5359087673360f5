"""`errors`: the right images, the most confident first, with their labels and predictions."""

from dataclasses import replace

import numpy as np
import pytest
from results_made import CLOTHES, answers

from mnistctl.data.registry import DATASETS
from mnistctl.visualize.errors import ErrorsView

# Image k is of the grey value k; images 1, 3 and 4 are misclassified.
OWN = answers([0, 1, 2, 3, 4], [0, 7, 2, 8, 9], strength=[9, 3, 9, 5, 4])


def test_images_and_captions_belong_together() -> None:
    view = ErrorsView(OWN)
    assert view.title == "wide on mnist test: 3 errors"
    axes = view.figure().axes[0]
    assert [int(np.asarray(own.get_array())[0, 0]) for own in axes.images] == [3, 4, 1]
    assert [text.get_text().splitlines()[0] for text in axes.texts] == [
        "3 predicted as 8",
        "4 predicted as 9",
        "1 predicted as 7",
    ]
    confidence = view.shown[0]["confidence"]
    assert axes.texts[0].get_text().splitlines()[1] == f"{100 * confidence:.2f} %  #3"
    assert [own["index"] for own in view.to_dict()["errors"]] == [3, 4, 1]


def test_some_of_them_and_those_of_a_class() -> None:
    view = ErrorsView(OWN, count=2)
    assert view.title == "wide on mnist test: 3 errors, the 2 most confident"
    assert len(view.shown) == 2
    four = ErrorsView(OWN, label=4)
    assert four.title == "wide on mnist test: 1 error on class 4"
    assert four.to_dict()["num_errors"] == 1
    assert (four.to_dict()["digit"], four.to_dict()["class_name"]) == (4, "4")


def test_known_label_errors_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(DATASETS["mnist"], label_errors={"test": (2, 4), "train": (1,)})
    monkeypatch.setitem(DATASETS, "mnist", row)
    view = ErrorsView(OWN)
    assert [own["label_error"] for own in view.to_dict()["errors"]] == [False, True, False]
    marked = [text.get_text().endswith(" *") for text in view.figure().axes[0].texts]
    assert marked == [False, True, False]
    assert view.title.endswith("3 errors; *: known label error")


def test_classes_are_called_by_their_names() -> None:
    view = ErrorsView(answers([4], [9], classes=CLOTHES), label=4)
    assert view.title.endswith("1 error on class Coat")
    (text,) = view.figure().axes[0].texts
    assert text.get_text().startswith("Coat predicted as Ankle boot\n")
    document = view.to_dict()
    assert (document["digit"], document["class_index"], document["class_name"]) == (None, 4, "Coat")
