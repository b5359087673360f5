"""`samples`: each image over its label and index, its augmented versions beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import console_of, screen_of
from results_made import samples

from mnistctl.data.registry import DATASETS
from mnistctl.recipes import Augmentation
from mnistctl.visualize import sources
from mnistctl.visualize.samples import NUM_VARIANTS, _chosen, _variants
from mnistctl.visualize.samples import samples as samples_of


def test_beside_an_image_stand_versions_of_itself() -> None:
    images = torch.arange(0, 250, 50, dtype=torch.uint8)[:, None, None].expand(5, 28, 28)
    variants = _variants(images, Augmentation(flip=0.5), 0)
    assert variants.shape == (5, NUM_VARIANTS, 28, 28)
    middles = variants[:, :, 14, 14]
    assert (abs(middles.astype(int) - [[0], [50], [100], [150], [200]]) <= 1).all()


def test_augmentation_is_the_one_that_suits_the_data_set(
    small_datasets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = {"rotate": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0, "flip": 1.0}
    monkeypatch.setitem(DATASETS, "fashion", replace(DATASETS["fashion"], augmentation=ranges))
    data = sources.Split(dataset="fashion", data_dir=Path("data"))
    view = samples_of(data, count=5, augmented="standard")
    assert view.variants is not None
    mirrored = view.images[:, None, :, ::-1].astype(int)
    assert (abs(view.variants.astype(int) - mirrored) <= 1).all()


def test_what_one_class_lacks_others_give() -> None:
    labels = torch.tensor([0, 1, 1, 1, 1, 2, 2, 1])
    assert _chosen(labels, 6, (0, 1, 2), None).tolist() == [0, 1, 2, 3, 5, 6]
    assert len(_chosen(labels, 20, (0, 1, 2), None)) == 8


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
