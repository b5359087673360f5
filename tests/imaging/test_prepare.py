"""From pictures of digits to 28x28: the same digit must come out however it was photographed."""

import gzip
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mnistctl.imaging.files import Picture, read_image
from mnistctl.imaging.marks import MANY_MARKS
from mnistctl.imaging.normalize import fit, is_mnist_form
from mnistctl.imaging.prepare import find_digits, prepare, prepared_as
from tests.bench.outlier_pictures import KINDS, outlier_pictures

Pixels = NDArray[np.uint8]

# A digit as lines within 0..1, x to the right and y down.
SHAPES: dict[str, list[list[tuple[float, float]]]] = {
    "1": [[(0.5, 0), (0.5, 1)]],
    "2": [[(0.1, 0.25), (0.3, 0), (0.7, 0), (0.8, 0.3), (0.1, 1), (0.9, 1)]],
    "4": [[(0.5, 0), (0.1, 0.65), (0.9, 0.65)], [(0.65, 0.35), (0.65, 1)]],
    "5": [[(0.2, 0.1), (0.2, 0.45), (0.7, 0.5), (0.7, 0.9), (0.15, 1)], [(0.2, 0), (0.8, 0)]],
    "7": [[(0.1, 0), (0.9, 0), (0.4, 1)]],
}


def ink(digit: str, side: int = 300, height: int = 120, at: tuple[int, int] | None = None,
        width: int = 10) -> Image.Image:  # fmt: skip
    """White strokes on black, `height` tall, in a square picture."""
    image = Image.new("L", (side, side))
    draw_digit(image, digit, height, at or ((side - height) // 2, (side - height) // 2), width)
    return image


def draw_digit(
    image: Image.Image, digit: str, height: int, at: tuple[int, int], width: int
) -> None:
    draw = ImageDraw.Draw(image)
    for line in SHAPES[digit]:
        points = [(at[0] + x * height * 0.7, at[1] + y * height) for x, y in line]
        draw.line(points, fill=255, width=width, joint="curve")
        for x, y in points:
            draw.circle((x, y), width / 2 - 0.5, fill=255)


def on_paper(strokes: Image.Image, paper: float = 230, pen: float = 40) -> NDArray[np.float64]:
    share = np.asarray(strokes.filter(ImageFilter.GaussianBlur(0.7)), float) / 255
    return paper + (pen - paper) * share


def picture(pixels: NDArray[np.float64] | Pixels | Image.Image) -> Picture:
    array = np.clip(np.rint(np.asarray(pixels, float)), 0, 255).astype(np.uint8)
    return Picture(array, array.shape[1], array.shape[0])


def likeness(first: Pixels, second: Pixels) -> float:
    """The correlation of two pictures, a row or column apart at most: -1..1."""
    shifts = (np.roll(first, shift, (0, 1)) for shift in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)))
    return max(float(np.corrcoef(own.ravel(), second.ravel())[0, 1]) for own in shifts)


def clean(digit: str) -> Pixels:
    return prepare(picture(ink(digit))).pixels


def likely(pixels: Pixels) -> NDArray[np.float32]:
    """How like each of SHAPES pictures are: what a network would answer."""
    return np.log(
        [[max(likeness(own, clean(digit)), 0.01) for digit in SHAPES] for own in pixels],
        dtype=np.float32,
    )


def unsure(pixels: Pixels) -> NDArray[np.float32]:
    return np.full((len(pixels), 10), -2.3, np.float32)


def grain(strength: float) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(0, strength, (300, 300))


def ruled(image: NDArray[np.float64], both: bool) -> NDArray[np.float64]:
    image = image.copy()
    image[12::30] = np.minimum(image[12::30], 150)
    if both:
        image[:, 12::30] = np.minimum(image[:, 12::30], 150)
    return image


def slope() -> NDArray[np.float64]:
    return np.linspace(0.45, 1, 300)[:, None] * np.linspace(0.8, 1, 300)


def shadow() -> NDArray[np.float64]:
    down, right = np.mgrid[0:300, 0:300]
    return 1 - 0.35 / (1 + np.exp(-(down + right - 260) / 12))


def on_a_table(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(image, 40, constant_values=60)


def framed(image: NDArray[np.float64]) -> NDArray[np.float64]:
    image = image.copy()
    image[:6] = image[-6:] = 0
    image[:, :6] = image[:, -6:] = 0
    return image


def speckled(image: NDArray[np.float64]) -> NDArray[np.float64]:
    image = image.copy()
    for row, column in np.random.default_rng(1).integers(5, 290, (12, 2)):
        image[row : row + 2, column : column + 2] = 30
    return image


SCENES = {
    "dark on light": lambda s: on_paper(s),
    "light on dark": lambda s: on_paper(s, 30, 220),
    "faint": lambda s: on_paper(s, 230, 200) + grain(1.5),
    "grain": lambda s: on_paper(s) + grain(12),
    "slope": lambda s: on_paper(s) * slope(),
    "slope on a board": lambda s: on_paper(s, 40, 230) * slope(),
    "shadow": lambda s: on_paper(s) * shadow(),
    "ruled": lambda s: ruled(on_paper(s), both=False),
    "squared": lambda s: ruled(on_paper(s), both=True),
    "table": lambda s: on_a_table(on_paper(s)),
    "frame": lambda s: framed(on_paper(s)),
    "specks": lambda s: speckled(on_paper(s)),
}


@pytest.mark.parametrize("digit", SHAPES)
@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_gives_the_same_digit(scene: str, digit: str) -> None:
    prepared = prepare(picture(SCENES[scene](ink(digit))))
    assert likeness(prepared.pixels, clean(digit)) > 0.85
    assert prepared.doubt is None


@pytest.mark.parametrize("digit", SHAPES)
def test_thick_lines_of_the_paper_cut_no_stroke_that_crosses_them(digit: str) -> None:
    strokes = ink(digit, height=180, width=16)
    page = on_paper(strokes)
    for row in range(12, 300, 30):
        page[row : row + 3] = np.minimum(page[row : row + 3], 150)
    prepared = prepare(picture(page))
    assert prepared.doubt is None
    assert likeness(prepared.pixels, prepare(picture(strokes)).pixels) > 0.95


@pytest.mark.parametrize("height", [45, 250])
@pytest.mark.parametrize("at", [(10, 10), (110, 40)])
def test_place_and_size_do_not_matter(height: int, at: tuple[int, int]) -> None:
    strokes = ink("2", height=height, at=at, width=max(height // 12, 3))
    assert likeness(prepare(picture(on_paper(strokes))).pixels, clean("2")) > 0.85


@pytest.mark.parametrize(
    ("digit", "at", "height", "width", "paper", "pen"),
    [
        ("2", (40, 20), 280, 30, 230, 40),
        ("2", (40, 20), 280, 30, 30, 220),
        ("2", (10, 20), 280, 20, 230, 40),
        ("4", (175, 60), 180, 40, 230, 190),
    ],
)
def test_a_digit_that_reaches_the_border_is_read_whole(
    digit: str, at: tuple[int, int], height: int, width: int, paper: float, pen: float
) -> None:
    """It is not taken for the light, which would explain away its strokes along the border."""
    page = on_paper(ink(digit, height=height, at=at, width=width), paper, pen)
    amid = prepare(picture(np.pad(page, 150, constant_values=paper)))
    prepared = prepare(picture(page))
    assert prepared.doubt is None
    assert likeness(prepared.pixels, amid.pixels) > 0.95


@pytest.mark.parametrize("length", [20, 40])
def test_a_short_bar_belongs_to_its_digit_and_a_speck_does_not(length: int) -> None:
    image = Image.new("L", (300, 300))
    draw_digit(image, "5", 150, (100, 75), 10)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 300, 82), fill=0)  # without its bar
    bare = prepare(picture(on_paper(image))).box
    draw.line([(135, 70), (135 + length, 70)], fill=255, width=10)
    draw.rectangle((150, 40, 153, 43), fill=255)
    left, top, right, bottom = prepare(picture(on_paper(image))).box
    assert bare[1] >= 82
    assert 60 <= top <= 66
    assert (left, bottom) == (bare[0], bare[3])


@pytest.mark.parametrize("width", [2, 30])
def test_stroke_width_is_brought_to_mnists(width: int) -> None:
    pixels = prepare(picture(on_paper(ink("7", height=200, width=width)))).pixels
    assert 0.045 < (pixels > 127).mean() < 0.2
    assert pixels.max() == 255


@pytest.mark.parametrize(
    ("paper", "pen"),
    [
        ((255, 255, 255), (255, 230, 0)),
        ((250, 240, 220), (40, 60, 170)),
        ((40, 90, 60), (240, 240, 230)),
        ((0, 255, 255), (20, 20, 160)),
    ],
)
def test_coloured_ink(paper: tuple[int, ...], pen: tuple[int, ...]) -> None:
    share = np.asarray(ink("4"), float)[..., None] / 255
    pixels = np.array(paper) * (1 - share) + np.array(pen) * share
    assert likeness(prepare(picture(pixels)).pixels, clean("4")) > 0.9


def test_pale_yellow_ink_on_grainy_paper() -> None:
    """Hardly there in grey, where the grain drowns it, and clear in blue."""
    share = np.asarray(ink("4", width=16, height=180), float)[..., None] / 255
    pixels = 240 - np.array([0, 0, 40]) * share + grain(4)[..., None]
    prepared = prepare(picture(pixels))
    assert prepared.doubt is None
    assert likeness(prepared.pixels, prepare(picture(share[..., 0] * 255)).pixels) > 0.85


@pytest.mark.parametrize("digit", ["2", "4", "7"])
def test_strokes_that_cross_a_printed_line_stay_whole(digit: str) -> None:
    """The line is as dark as the pen, so it can't be told by its grey."""
    page = on_paper(ink(digit))
    for line in (slice(12, None, 40), slice(13, None, 40)):
        page[line] = np.minimum(page[line], 60)
    prepared = prepare(picture(page))
    assert prepared.doubt is None
    assert likeness(prepared.pixels, clean(digit)) > 0.9


def test_small_drawings() -> None:
    for side in (8, 16, 28, 64):
        small = ink("7", side=side * 8, height=side * 6, width=side).resize((side, side))
        assert likeness(prepare(picture(small)).pixels, clean("7")) > 0.6


def test_the_user_is_warned_of_faint_ink_alone() -> None:
    for pen, warnings in ((40, ()), (200, ()), (221, ("very faint ink",))):
        prepared = prepare(picture(on_paper(ink("4"), 230, pen)))
        assert prepared.warnings == warnings
        assert prepared.doubt is None


def test_invert_says_which_is_ink() -> None:
    light = picture(on_paper(ink("4"), 30, 220))
    assert likeness(prepare(light, "no").pixels, clean("4")) > 0.9
    assert prepare(light, "yes").doubt is not None
    assert np.array_equal(prepare(light).pixels, prepare(light, "no").pixels)
    dark = Picture(255 - light.pixels, light.width, light.height)
    assert np.array_equal(prepare(dark).pixels, prepare(dark, "yes").pixels)


def test_box_is_in_pixels_of_the_original() -> None:
    strokes = ink("4", at=(20, 130), height=120)
    pixels = np.asarray(strokes)
    left, top, right, bottom = prepare(Picture(pixels, 900, 900)).box
    expected = Image.fromarray(pixels).getbbox()
    assert expected is not None
    for found, true in zip((left, top, right, bottom), expected, strict=True):
        assert abs(found - 3 * true) <= 9


def test_no_box_leaves_the_picture() -> None:
    pixels = np.full((218, 321), 235, np.uint8)
    pixels[90:, 150:170] = 20
    assert prepare(Picture(pixels, 321, 218)).box == (149, 89, 171, 218)


def test_steps_of_a_whole_picture_are_kept_when_asked_for() -> None:
    """They are much larger than the input, and a data set has many."""
    source = picture(on_paper(ink("4")))
    assert prepared_as("resize", source).steps == ()
    assert [name for name, _ in prepared_as("resize", source, keep_steps=True).steps] == ["image"]


def test_steps_are_kept_when_asked_for() -> None:
    source = picture(on_paper(ink("4")))
    assert prepare(source).steps == ()
    assert [name for name, _ in prepare(source, keep_steps=True).steps] == [
        "image",
        "ink",
        "strokes",
    ]


def mnist_like(count: int) -> list[Pixels]:
    """Images prepared as MNIST's were, drawn here."""
    rng = np.random.default_rng(0)
    made = []
    for index in range(count):
        digit = list(SHAPES)[index % len(SHAPES)]
        strokes = np.asarray(ink(digit, width=int(rng.integers(8, 20))), np.float32) / 255
        made.append(fit(strokes, strokes > 0.5))
    return made


def test_fit_centres_by_mass_in_a_20_pixel_box() -> None:
    for pixels in mnist_like(10):
        steps = np.arange(28) + 0.5
        centre = [profile @ steps / profile.sum() for profile in (pixels.sum(0), pixels.sum(1))]
        assert np.abs(np.array(centre) - 14).max() < 0.15
        rows = np.flatnonzero((pixels > 60).any(axis=1))
        assert 18 <= np.ptp(rows) + 1 <= 21


def whole_pixel_centred(pixels: Pixels) -> Pixels:
    """Cropped to 20 rows and put back as MNIST's preparation does, on whole pixels."""
    canvas = np.zeros((28, 28), np.uint8)
    canvas[4:24, 4:24] = np.asarray(Image.fromarray(pixels).crop((4, 4, 24, 24)))
    canvas[4, 10] = canvas[23, 10] = 255
    steps = np.arange(28)
    shifts = [14 - round(float(p @ steps / p.sum())) for p in (canvas.sum(1), canvas.sum(0))]
    return np.roll(canvas, shifts, axis=(0, 1))


def test_mnists_own_form_is_left_alone() -> None:
    pixels = whole_pixel_centred(clean("2"))
    assert is_mnist_form(pixels)
    assert np.array_equal(prepare(picture(pixels)).pixels, pixels)
    assert not np.array_equal(prepare(picture(pixels), "yes").pixels, pixels)
    (only,) = find_digits(picture(pixels), likely)
    assert np.array_equal(only.pixels, pixels)


@pytest.mark.mnist
@pytest.mark.parametrize("name", ["t10k", "train"])
def test_all_of_mnist_passes_unchanged(name: str, mnist_dir: Path) -> None:
    content = gzip.decompress((mnist_dir / f"{name}-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28)
    assert all(is_mnist_form(pixels) for pixels in images)
    for pixels in images[::50]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        assert np.array_equal(prepare(read_image(file.getvalue())).pixels, pixels)


def test_other_28x28_drawings_are_not_mnists_form() -> None:
    pixels = whole_pixel_centred(clean("2"))
    assert not is_mnist_form(255 - pixels)
    assert not is_mnist_form(np.roll(pixels, 2, axis=1))
    assert not is_mnist_form((pixels // 2).astype(np.uint8))
    assert not is_mnist_form(np.zeros((28, 28), np.uint8))
    assert not is_mnist_form(np.full((28, 28), 255, np.uint8))
    short = np.zeros((28, 28), np.uint8)
    short[9:19, 13:15] = 255  # in the middle, and to be enlarged
    assert not is_mnist_form(short)
    smaller = np.pad(np.asarray(Image.fromarray(pixels).resize((20, 20))), 4)
    assert not is_mnist_form(smaller)


def test_mnists_form_needs_no_image_library() -> None:
    code = (
        "import sys, numpy as np\n"
        "from mnistctl.imaging.prepare import prepare\n"
        "from mnistctl.imaging.files import Picture\n"
        "pixels = np.zeros((28, 28), np.uint8); pixels[4:24, 13:15] = 255\n"
        "assert (prepare(Picture(pixels, 28, 28)).pixels == pixels).all()\n"
        "print([name for name in ('scipy', 'skimage', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_mnists_form_is_fast() -> None:
    source = picture(whole_pixel_centred(clean("2")))
    start = time.process_time()
    for _ in range(1000):
        prepare(source)
    assert time.process_time() - start < 1


def test_several_digits_in_reading_order() -> None:
    image = Image.new("L", (500, 400))
    for at, digit in (((30, 30), "2"), ((150, 45), "7"), ((270, 25), "4"), ((390, 40), "1"),
                      ((60, 220), "5"), ((200, 230), "4")):  # fmt: skip
        draw_digit(image, digit, 110, at, 9)
    found = find_digits(picture(on_paper(image)), likely)
    assert len(found) == 6
    for prepared, digit in zip(found, "274154", strict=True):
        assert likeness(prepared.pixels, clean(digit)) > 0.85
    lefts = [prepared.box[0] for prepared in found]
    assert lefts[:4] == sorted(lefts[:4])
    assert found[4].box[1] > 200
    assert [prepared.line for prepared in found] == [0, 0, 0, 0, 1, 1]
    assert prepare(picture(on_paper(image))).doubt is not None


@pytest.mark.parametrize("turned", [0, 3])
@pytest.mark.parametrize("width", [5, 12])
def test_a_box_around_a_digit_is_no_part_of_it(width: int, turned: float) -> None:
    for digit in "274":
        image = Image.new("L", (420, 320))
        draw_digit(image, digit, 110, (165, 105), 9)
        ImageDraw.Draw(image).rectangle((130, 75, 280, 245), outline=255, width=width)
        prepared = prepare(picture(on_paper(image.rotate(turned))))
        assert prepared.doubt is None
        assert likeness(prepared.pixels, clean(digit)) > 0.8


def test_the_boxes_of_a_form_are_no_digits() -> None:
    image = Image.new("L", (560, 300))
    for place, digit in enumerate("2741"):
        draw_digit(image, digit, 70, (75 + 110 * place, 95), 7)
        box = (40 + 110 * place, 75, 150 + 110 * place, 185)
        ImageDraw.Draw(image).rectangle(box, outline=255, width=4)
    found = find_digits(picture(on_paper(image)), likely)
    assert len(found) == 4
    for prepared, digit in zip(found, "2741", strict=True):
        assert likeness(prepared.pixels, clean(digit)) > 0.8


def test_a_square_zero_around_a_speck_is_no_box() -> None:
    image = Image.new("L", (420, 320))
    ImageDraw.Draw(image).rounded_rectangle((150, 80, 270, 240), 45, outline=255, width=10)
    alone = prepare(picture(on_paper(image))).pixels
    ImageDraw.Draw(image).circle((210, 160), 12, fill=255)
    assert likeness(prepare(picture(on_paper(image))).pixels, alone) > 0.8


@pytest.mark.parametrize("slope", [-0.25, -0.1, 0.25])
def test_a_line_may_slant(slope: float) -> None:
    image = Image.new("L", (700, 420))
    for place, digit in enumerate("27415"):
        across = 40 + 130 * place
        for down in (0, 160):
            top = 40 + down + round(slope * across) + (140 if slope < 0 else 0)
            draw_digit(image, digit, 90, (across, top), 8)
    found = find_digits(picture(on_paper(image)), likely)
    assert [prepared.line for prepared in found] == [0] * 5 + [1] * 5
    lefts = [prepared.box[0] for prepared in found]
    assert lefts[:5] == sorted(lefts[:5])
    assert lefts[5:] == sorted(lefts[5:])


def test_touching_digits_are_cut_and_flagged() -> None:
    image = Image.new("L", (400, 300))
    draw_digit(image, "2", 120, (80, 80), 9)
    draw_digit(image, "2", 120, (150, 80), 9)
    found = find_digits(picture(on_paper(image.resize((560, 300)))), likely)
    assert len(found) == 2
    assert all("touched" in prepared.warnings[0] for prepared in found)
    assert all(likeness(prepared.pixels, clean("2")) > 0.5 for prepared in found)


@pytest.mark.parametrize("grey", [0, 90, 255])
@pytest.mark.parametrize("noise", [0, 4])
def test_empty_pages_show_nothing(grey: int, noise: float) -> None:
    prepared = prepare(picture(grey + grain(noise)))
    assert prepared.doubt is not None
    assert find_digits(picture(np.full((50, 50), float(grey))), likely) == []


def test_noise_and_texture_are_doubted() -> None:
    rng = np.random.default_rng(0)
    assert prepare(picture(rng.uniform(0, 255, (200, 200)))).doubt is not None
    assert prepare(picture(255.0 * (rng.random((200, 200)) < 0.1))).doubt is not None
    down, right = np.mgrid[0:200, 0:200]
    assert prepare(picture(255.0 * ((down // 10 + right // 10) % 2))).doubt is not None
    disc = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(disc).circle((100, 100), 70, fill=0)
    assert prepare(picture(disc)).doubt == "a blob, not strokes"


def test_any_shape_of_pixels_is_survived() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (1, 500), (500, 1), (2, 3), (3, 3, 3), (8, 8), (7, 13, 3), (768, 5)):
        for high in (1, 2, 30, 256):
            pixels = rng.integers(0, high, shape).astype(np.uint8)
            prepared = prepare(Picture(pixels, shape[1], shape[0]))
            assert prepared.pixels.shape == (28, 28)
            find_digits(Picture(pixels, shape[1], shape[0]), unsure)


def random_pictures(count: int) -> Iterator[Pixels]:
    """Blocks, lines, noise and slopes of any size, at random."""
    rng = np.random.default_rng(3)
    for _ in range(count):
        height, width = rng.integers(1, 200, 2)
        pixels = np.full((height, width), rng.uniform(0, 255))
        for _ in range(rng.integers(0, 6)):
            top, left = rng.integers(0, height), rng.integers(0, width)
            down, right = rng.integers(1, 60, 2) if rng.random() < 0.5 else (200, 2)
            pixels[top : top + down, left : left + right] = rng.uniform(0, 255)
        if rng.random() < 0.3:
            pixels += rng.normal(0, rng.uniform(0, 60), pixels.shape)
        if rng.random() < 0.3:
            pixels *= np.linspace(rng.random(), 1, width)
        yield np.clip(pixels, 0, 255).astype(np.uint8)


def test_a_page_full_of_digits_is_read_to_the_last() -> None:
    pixels = np.full((720, 720), 255, np.uint8)
    for row in range(12):
        for column in range(12):
            pixels[60 * row + 15 : 60 * row + 45, 60 * column + 28 : 60 * column + 32] = 0
    assert len(find_digits(picture(pixels), unsure)) == 144


def survive(count: int) -> None:
    for pixels in random_pictures(count):
        prepared = prepare(picture(pixels))
        assert prepared.pixels.shape == (28, 28)
        assert prepared.pixels.any() or prepared.doubt is not None
        left, top, right, bottom = prepared.box
        assert 0 <= left < right <= pixels.shape[1]
        assert 0 <= top < bottom <= pixels.shape[0]
        assert len(find_digits(picture(pixels), unsure)) <= 2 * MANY_MARKS


def test_fuzz() -> None:
    survive(40)


@pytest.mark.slow
def test_fuzz_long() -> None:
    survive(1000)


def test_outliers_are_the_same_by_seed() -> None:
    first, again = list(outlier_pictures(12, seed=5)), list(outlier_pictures(12, seed=5))
    assert [kind for kind, _ in first] == [kind for kind in KINDS for _ in range(12)]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, again, strict=True))
    other = list(outlier_pictures(12, seed=6))
    assert not all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, other, strict=True))
    assert all(pixels.dtype == np.uint8 and pixels.ndim in (2, 3) for _, pixels in first)
