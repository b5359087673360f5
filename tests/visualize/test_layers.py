"""`filters` and `activations`: their shades are the weights and the maps."""

import numpy as np
from drawn import console_of, screen_of
from results_made import layers, model, one_image

from mnistctl.visualize.activations import ActivationsView
from mnistctl.visualize.filters import FiltersView

WEIGHTS = np.random.default_rng(1).normal(size=(40, 5, 5))


def test_shades_of_a_filter_are_its_weights() -> None:
    view = FiltersView(model(), "conv1", WEIGHTS, 2)
    axes, bar = view.figure().axes
    drawn = axes.images
    assert [np.asarray(own.get_array()).tolist() for own in drawn] == WEIGHTS[:2].tolist()
    low, high = drawn[0].get_clim()
    assert -low == high == np.abs(WEIGHTS[:2]).max()
    assert bar.get_ylabel() == "weight"
    assert view.title == "wide: 2 of 40 filters of the first layer, conv1"
    assert len(FiltersView(model(), "conv1", WEIGHTS).shown) == 32


def test_positive_weights_are_red_in_the_terminal() -> None:
    weights = np.array([[[2.0, 2.0]], [[-2.0, -2.0]]])
    console = console_of(80)
    screen = screen_of(FiltersView(model(), "conv1", weights).panel(console), console)
    red, blue = screen.index("38;2;103;0;31"), screen.index("38;2;5;48;97")
    assert red < blue


def test_maps_are_brighter_where_a_layer_is_more_active() -> None:
    view = ActivationsView(model(), one_image(), layers(16))
    assert view.title == "wide: activations for mnist test image 0, label 4"
    image, first, second = view.figure().axes
    assert np.array_equal(image.images[0].get_array(), view.shown.pixels)
    for axes, layer in zip((first, second), view.layers, strict=True):
        assert [np.asarray(own.get_array()).tolist() for own in axes.images] == layer.maps.tolist()
        assert axes.images[0].get_clim() == (0, layer.maps.max())
        off, strong = (axes.images[0].to_rgba(value)[:3] for value in (0.0, layer.maps.max()))
        assert sum(off) < 1 < sum(strong)
        assert [text.get_text() for text in axes.texts] == [str(k) for k in layer.channels]
    assert [axes.get_ylabel() for axes in (image, first, second)] == [
        "image",
        "conv1\n24x24",
        "conv2\n3x3",
    ]


def test_the_terminal_shows_a_row_of_the_strongest_channels() -> None:
    console = console_of(80, colours=False)
    lines = screen_of(
        ActivationsView(model(), one_image(), layers(16)).panel(console), console
    ).splitlines()
    assert "conv1, 24x24, strongest channels first" in [line.strip() for line in lines]
    numbers = [line.split() for line in lines if line.split()[:1] == ["100"]]
    assert numbers == [[str(k) for k in range(100, 105)]] * 2


def test_feature_maps_fill_the_figure() -> None:
    figure = ActivationsView(model(), one_image(), layers(16)).figure()
    figure.draw_without_rendering()
    right = max(axes.get_position().x1 for axes in figure.axes)
    assert right > 0.95
