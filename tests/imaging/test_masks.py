"""Connected pieces and their depths, beside scipy's."""

import numpy as np
import pytest
from scipy import ndimage

from mnistctl.imaging.masks import DEEPEST, around, connected, depths, width_of


@pytest.mark.parametrize("beyond", [((True, True), (True, True)), ((False, True), (True, False))])
def test_depths_are_euclidean_distances(
    beyond: tuple[tuple[bool, bool], tuple[bool, bool]],
) -> None:
    rng = np.random.default_rng(0)
    for height, width, share in ((40, 60, 0.9), (90, 20, 0.99), (1, 30, 0.8), (25, 1, 0.7)):
        own = rng.random((height, width)) < share
        own[0, 0] = False
        padded = np.pad(own, [[int(side) for side in pair] for pair in beyond])
        expected = ndimage.distance_transform_edt(padded)[padded]
        assert depths(own, beyond) == pytest.approx(expected)


def test_a_bar_is_as_wide_as_it_is() -> None:
    assert width_of(depths(np.ones((12, 200), bool))) == pytest.approx(12, rel=0.15)


def test_the_deepest_pixel_of_a_whole_picture_has_its_depth() -> None:
    assert depths(np.ones((320, 320), bool)).max() == 160
    assert depths(np.ones((500, 500), bool)).max() == DEEPEST


def test_pieces_are_numbered_as_in_the_whole_mask() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        mask = np.zeros((30, 40), bool)
        mask[5:20, 10:35] = rng.random((15, 25)) < rng.uniform(0.05, 0.5)
        whole = ndimage.label(mask, structure=np.ones((3, 3)))[0]
        assert np.array_equal(connected(mask), whole)
    assert not connected(np.zeros((3, 4), bool)).any()


def test_around_holds_all_and_a_margin_within_the_picture() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:6, 10:13] = True
    assert around(mask, 2) == (slice(2, 8), slice(8, 15))
    assert around(mask, 6)[0].start == 0
    assert around(np.zeros((2, 2), bool), 3) == (slice(0), slice(0))
