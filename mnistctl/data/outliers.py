"""Pictures that show no digit, drawn at run time to train against.

Left out are characters that people, too, could read as a digit: O o D Q (0), I l i j | ! / and
brackets (1), Z z ? (2), S s $ (5), G b (6), B & (8), g q (9), and rings, bars and hooks.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mnistctl.imaging.normalize import SIDE, fit

Pixels = NDArray[np.uint8]

LETTERS = "ACEFHJKLMNPRTUVWXYacdefhkmnprtuvwxy"
SYMBOLS = "#%@=+*~^<>{}¿§¶€±÷∞√∑ΩΨΠΔΛЖЩЮ★♥♫→↔⌂✈☠"
# Never trained against, so that they can show what a network makes of what is new to it.
HELD_OUT = LETTERS[2::5] + SYMBOLS[2::5]
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSansMono")
SHAPES = (
    "square", "disc", "triangle", "star", "cross", "grid", "spiral", "wave", "face", "house",
    "dots", "scribble",
)  # fmt: skip
DRAWN_SIDE = 96


def drawn_outliers(count: int, seed: int) -> Pixels:
    """`count` letters, symbols and shapes in MNIST's form, uint8 (count, 28, 28), the same by seed.

    None of HELD_OUT is among them.
    """
    rng = np.random.default_rng(seed)
    letters = [letter for letter in LETTERS if letter not in HELD_OUT]
    symbols = [symbol for symbol in SYMBOLS if symbol not in HELD_OUT]
    drawn = np.empty((count, SIDE, SIDE), np.uint8)
    for index in range(count):
        image = Image.new("L", (DRAWN_SIDE, DRAWN_SIDE), 0)
        while image.getbbox() is None:  # a few shapes come out too thin to survive
            kind = rng.choice(3, p=(0.5, 0.3, 0.2))
            if kind == 2:
                draw_shape(str(rng.choice(SHAPES)), image, rng)
            else:
                draw_text(str(rng.choice((letters, symbols)[kind])), image, rng)
            image = warped(image, rng)
        ink = np.asarray(image, np.float32) / np.float32(255)
        drawn[index] = fit(ink, ink > 0)
    return drawn


def draw_text(text: str, image: Image.Image, rng: np.random.Generator) -> None:
    """Write `text` in white in the middle of `image`, in a font and size drawn from `rng`."""
    import matplotlib

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    size = image.width * rng.uniform(0.4, 0.75) / (1 if len(text) == 1 else len(text) * 0.6)
    font = ImageFont.truetype(folder / f"{rng.choice(FONTS)}.ttf", max(round(size), 8))
    middle = (image.width / 2, image.height / 2)
    ImageDraw.Draw(image).text(middle, text, fill=255, font=font, anchor="mm")


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


def draw_shape(kind: str, image: Image.Image, rng: np.random.Generator) -> None:
    """Draw the shape `kind`, one of SHAPES, in white on `image`; size and turn from `rng`."""
    draw, middle = ImageDraw.Draw(image), image.width / 2
    width, radius = max(image.width // 24, 2), image.width * rng.uniform(0.2, 0.4)
    if kind in ("disc", "face"):
        draw.circle((middle, middle), radius, fill=255 * (kind == "disc"), outline=255, width=width)
    if kind == "face":
        smile = (middle - radius / 2, middle - radius / 2, middle + radius / 2, middle + radius / 2)
        draw.arc(smile, 20, 160, fill=255, width=width)
    if kind in ("face", "dots"):
        dots = (
            rng.uniform(-1, 1, (12, 2)) if kind == "dots" else np.array([(-0.3, -0.4), (0.3, -0.4)])
        )
        for x, y in middle + radius * dots:
            draw.circle((x, y), width, fill=255)
    for line in _outlines(kind, rng):
        points = [(float(x), float(y)) for x, y in middle + radius * line]
        draw.line(points, fill=255, width=width, joint="curve")


def _outlines(kind: str, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Lines of a shape, each (points, 2), within -1..1 in x and y."""
    turn = rng.uniform(0, 2 * np.pi)

    def around(angles: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.cos(turn + angles), np.sin(turn + angles)], axis=1)

    if kind in ("triangle", "square", "star"):
        corners, stride = {"triangle": (3, 1), "square": (4, 1), "star": (5, 2)}[kind]
        outline = around(np.arange(corners + 2) * stride * 2 * np.pi / corners)
        return [outline, outline[[0, 2]]] if kind == "square" else [outline]
    if kind == "cross":
        return [around(np.array([0, np.pi]) + k * np.pi / 3) for k in range(3)]
    if kind == "grid":
        steps = np.linspace(-1, 1, 5)
        upright = [np.array([(at, -1.0), (at, 1.0)]) for at in steps]
        return upright + [line[:, ::-1] for line in upright]
    if kind == "spiral":
        steps = np.linspace(0.1, 1, 120)
        return [around(20 * steps) * steps[:, None]]
    if kind == "wave":
        steps = np.linspace(-1, 1, 80)
        return [np.stack([steps, np.sin(9 * steps) / 3], axis=1)]
    if kind == "house":
        walls = [
            (-1.0, 0.0),
            (1.0, 0.0),
            (1.0, 1.0),
            (-1.0, 1.0),
            (-1.0, 0.0),
            (0.0, -1.0),
            (1.0, 0.0),
        ]
        return [np.array(walls)]
    if kind == "scribble":
        return [rng.uniform(-1, 1, (14, 2))]
    return []
