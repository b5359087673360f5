"""What kinds are shown: which network, which split, which image, and which class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from results_made import CLOTHES, LETTERS, model

from mnistctl.errors import UsageError
from mnistctl.events import Reporter
from mnistctl.visualize import sources


class Listener(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_of_an_ensemble_the_first_member_is_looked_at() -> None:
    listener = Listener()
    source = sources.Network(store=Path("runs"), reporter=listener)
    pair = model(members=2)
    assert source.inside(pair) is pair.predictor.members[0]
    assert listener.said == ["Looking into the first of the 2 members"]
    single = model()
    single.predictor.network.train()
    assert not source.inside(single).training
    assert len(listener.said) == 1


def test_a_class_is_meant_by_its_name_or_index() -> None:
    assert sources.class_index("Coat", CLOTHES) == 4
    assert sources.class_index("4", CLOTHES) == 4
    assert sources.class_index("7", tuple("0123456789")) == 7
    assert sources.class_index("7", ("9", "8", "7")) == 2
    assert sources.class_index("0", ("2", "1", "0")) == 2  # the name comes first
    assert sources.class_index("A", LETTERS) == 10
    with pytest.raises(UsageError, match="unknown class 'Coatt'; did you mean 'Coat'"):
        sources.class_index("Coatt", CLOTHES)
    with pytest.raises(UsageError, match="unknown class '10'"):
        sources.class_index("10", CLOTHES)


def test_a_class_in_json_is_a_digit_only_among_digits() -> None:
    digits = sources.class_document(7, tuple("0123456789"))
    assert digits == {"digit": 7, "class_index": 7, "class_name": "7"}
    coat = sources.class_document(4, CLOTHES)
    assert coat == {"digit": None, "class_index": 4, "class_name": "Coat"}


def test_the_data_set_is_the_one_that_the_network_was_trained_on() -> None:
    split = sources.Split(data_dir=Path("data"))
    assert split.name_for(model()) == "mnist"
    assert split.name_for() == "mnist"
    other = sources.Split(data_dir=Path("data"), dataset="synthetic")
    assert other.name_for(model()) == "synthetic"
    with pytest.raises(UsageError, match="the classes of run wide are not those of the data set"):
        split.name_for(model(classes=LETTERS))


@pytest.mark.usefixtures("small_datasets")
def test_an_image_of_a_split_and_one_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.Model, "load", lambda self: model())
    network = sources.Network(store=Path("runs"))
    source = sources.Image(data_dir=Path("data"), index=3)
    _, shown = source.load_with(network)
    data = source.load("mnist")
    assert np.array_equal(shown.pixels, data.images[3].numpy())
    assert shown.label == int(data.labels[3])
    assert shown.caption == f"mnist test image 3, label {shown.label}"
    Picture.fromarray(np.full((50, 50), 255, np.uint8)).save("blank.png")
    _, blank = sources.Image(data_dir=Path("data"), image="blank.png").load_with(network)
    assert (blank.label, blank.caption, blank.origin) == (
        None,
        "blank.png",
        {"image": "blank.png"},
    )
    assert blank.prepared.doubt == "no ink found: the picture is blank"
