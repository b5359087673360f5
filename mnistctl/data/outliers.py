"""Pictures of no digit in MNIST's form, made at run time to train against.

Exposure to outliers is that of Hendrycks et al. (arXiv:1812.04606). What helps against outliers
of a kind never seen is that the ones seen are of many kinds, so most of them are made up.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mnistctl.data.glyphs import draw_character
from mnistctl.data.silhouettes import SHAPES, draw_shape, draw_silhouette, shaded
from mnistctl.events import Advance, no_progress
from mnistctl.imaging.normalize import BOX, SIDE, fit

Pixels = NDArray[np.uint8]

DRAWN_SIDE = 96
INK = 25
"""Grey level above which a pixel belongs to a shape."""
KINDS = {"character": 0.45, "silhouette": 0.32, "shaded": 0.16, "shape": 0.07}
"""Share of each kind among drawn outliers."""
BREAKS = {
    "marked": 0.5, "turned": 0.1, "mirrored": 0.1, "joined": 0.1, "overlaid": 0.1, "beside": 0.1
}  # fmt: skip
"""Share of each way to make no digit of digits."""
MARKED = (2, 3, 4, 5, 6, 7, 8, 9)
NUM_TRIES = 20
TURNED = {1: (1, 2, 3, 4, 5, 7, 8), 2: (3, 4, 7), 3: (1, 2, 3, 4, 5, 7, 8)}
MIRRORED = (3, 4, 6, 7, 9)
"""Digits that are none with another stroke, when turned by so many right angles, or mirrored."""


def drawn_outliers(count: int, seed: int, advance: Advance = no_progress) -> Pixels:
    """`count` characters, shapes and silhouettes, uint8 (count, 28, 28), same by seed.

    None of `glyphs.HELD_OUT` is among them.
    """
    rng = np.random.default_rng(seed)
    drawn = np.empty((count, SIDE, SIDE), np.uint8)
    for index in range(count):
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        image = Image.new("L", (DRAWN_SIDE, DRAWN_SIDE), 0)
        while _may_be_1(image):
            image = warped(_draw(kind, Image.new("L", image.size, 0), rng), rng)
        drawn[index] = _framed(image, rng) if kind == "shaded" else fitted(np.asarray(image))
        advance(index + 1)
    return drawn


def _may_be_1(image: Image.Image) -> bool:
    """Whether a picture is upright and narrow, or nothing of it was wide enough to survive."""
    box = image.getbbox()
    return box is None or box[2] - box[0] < 0.35 * (box[3] - box[1])


def _draw(kind: str, image: Image.Image, rng: np.random.Generator) -> Image.Image:
    if kind == "character":
        return draw_character(image, rng)
    if kind == "shape":
        draw_shape(str(rng.choice(SHAPES)), image, rng)
        return image
    return draw_silhouette(image, rng)


def fitted(pixels: Pixels) -> Pixels:
    """Light shapes on black, uint8 of any size, in MNIST's form as `predict` brings them there."""
    return fit(pixels.astype(np.float32) / np.float32(255), pixels > INK)


def _framed(image: Image.Image, rng: np.random.Generator) -> Pixels:
    """A shaded shape as it is, in the middle 20 pixels or larger: not prepared by `fit`."""
    own = image.crop(image.getbbox())
    side = rng.integers(BOX, SIDE + 1)
    scale = side / max(own.size)
    own = own.resize([max(round(length * scale), 1) for length in own.size])
    canvas = Image.new("L", (SIDE, SIDE), 0)
    canvas.paste(own, ((SIDE - own.width) // 2, (SIDE - own.height) // 2))
    shape = shaded(np.asarray(canvas, np.float32) / np.float32(255), rng)
    pixels: Pixels = np.rint(255 * shape / max(float(shape.max()), 1e-3)).astype(np.uint8)
    return pixels


def warped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Slant, turn and shake the outline a little, as a hand does."""
    turned = image.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC)
    slant = rng.uniform(-0.25, 0.25)
    slanted = turned.transform(
        image.size,
        Image.Transform.AFFINE,
        (1, slant, -slant * image.height / 2, 0, 1, 0),
        Image.Resampling.BICUBIC,
    )
    radius = image.width * rng.uniform(0.005, 0.02)
    return slanted.filter(ImageFilter.GaussianBlur(radius)).point(lambda v: 255 * (v > 110))


def broken_digits(
    images: Pixels,
    labels: NDArray[np.int64],
    count: int,
    seed: int,
    advance: Advance = no_progress,
) -> Pixels:
    """`count` pictures made of digits that are none: uint8 (count, 28, 28), the same by seed.

    `images` (n, 28, 28) with their `labels` get strokes too many, are turned, mirrored, cut and
    joined with others, laid over each other, or set side by side.
    """
    rng = np.random.default_rng(seed)
    inked = images.max((1, 2)) > INK
    images, labels = images[inked], labels[inked]
    made = np.empty((count, SIDE, SIDE), np.uint8)
    for index in range(count):
        first, second = rng.integers(len(images), size=2)
        kind = rng.choice(list(BREAKS), p=list(BREAKS.values()))
        made[index] = fitted(
            _broken(str(kind), images[first], images[second], int(labels[first]), rng)
        )
        advance(index + 1)
    return made


def _broken(
    kind: str, image: Pixels, other: Pixels, label: int, rng: np.random.Generator
) -> Pixels:
    if kind == "marked" and label in MARKED:
        return _marked(image, rng)
    if kind == "mirrored" and label in MIRRORED:
        return image[:, ::-1]
    if kind == "turned":
        turns = int(rng.integers(1, 4))
        if label in TURNED[turns]:
            return np.rot90(image, turns)
    if kind == "overlaid":
        shift = rng.choice((-1, 1), 2) * rng.integers(3, 8, 2)
        return np.maximum(image, np.roll(other, shift, (0, 1)))
    if kind == "beside":
        left, right = (own[:, np.flatnonzero(own.any(0))] for own in (image, other))
        return np.hstack([left, right])
    # The upper half of one, moved sideways, on that of another upside down: none of the two.
    upper = np.roll(image, int(rng.choice((-1, 1)) * rng.integers(4, 8)), 1)
    joined = np.vstack([upper[: SIDE // 2], other[::-1][SIDE // 2 :]])
    return joined if rng.random() < 0.5 else joined.T


def _marked(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A digit with one or two strokes too many, as many characters of other scripts look."""
    large = Image.fromarray(image).resize((DRAWN_SIDE, DRAWN_SIDE), Image.Resampling.BICUBIC)
    marked = np.asarray(large)
    for _ in range(rng.choice((1, 2), p=(0.6, 0.4))):
        marked = np.maximum(marked, _stroke_beside(np.asarray(large) > INK, rng))
    return marked


def _stroke_beside(ink: NDArray[np.bool_], rng: np.random.Generator) -> Pixels:
    """A stroke of 8 to 16 of MNIST's pixels, if it can be less than 40 % of it on `ink`."""
    scale = len(ink) / SIDE
    for _ in range(NUM_TRIES):
        angle = rng.integers(8) * np.pi / 4 + rng.normal(0, 0.25)
        along = rng.uniform(8, 16) * np.array([np.cos(angle), np.sin(angle)])
        start, bend = rng.uniform(3, 25, 2), rng.normal(0, 0.15) * np.array([-along[1], along[0]])
        points = scale * np.array([start, start + along / 2 + bend, start + along])
        image = Image.new("L", ink.shape, 0)
        line = [(float(x), float(y)) for x, y in points]
        ImageDraw.Draw(image).line(line, 255, round(scale * rng.uniform(1.6, 3)), joint="curve")
        stroke = np.asarray(image)
        if np.count_nonzero(stroke[ink]) < 0.4 * np.count_nonzero(stroke):
            break
    return stroke
