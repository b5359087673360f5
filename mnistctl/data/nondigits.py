"""Pictures that show no digit, drawn at run time, for setting the threshold of `not-a-digit`.

Left out are characters that people, too, could read as a digit: O o D Q (0), I l i j | ! / and
brackets (1), Z z ? (2), S s $ (5), G b (6), B & (8), g q (9), and rings, bars and hooks.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Pixels = NDArray[np.uint8]

LETTERS = "ACEFHJKLMNPRTUVWXYacdefhkmnprtuvwxy"
SYMBOLS = "#%@=+*~^<>{}¿§¶€±÷∞√∑ΩΨΠΔΛЖЩЮ★♥♫→↔⌂✈☠"
WORDS = ("cat", "No", "MNIST", "hello", "abc", "xyz", "km/h", "A+B")
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSansMono")
SHAPES = (
    "square", "disc", "triangle", "star", "cross", "grid", "spiral", "wave", "face", "house",
    "dots", "scribble",
)  # fmt: skip
TEXTURES = (
    "black", "white", "grey", "colour", "noise", "speckle", "gradient", "checks", "stripes",
    "clouds", "scene", "paper",
)  # fmt: skip
KINDS = ("letter", "symbol", "word", "shape", "texture")


def nondigits(num_each: int, seed: int = 0) -> Iterator[tuple[str, Pixels]]:
    """`num_each` pictures of each kind: (kind, uint8 pixels, grey or RGB), the same by seed."""
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        for index in range(num_each):
            yield kind, _draw(kind, index, rng)


def _draw(kind: str, index: int, rng: np.random.Generator) -> Pixels:
    if kind == "texture":
        return _texture(TEXTURES[index % len(TEXTURES)], rng)
    side = int(rng.choice([64, 128, 256]))
    image = Image.new("L", (side, side), 0)
    if kind == "shape":
        _shape(SHAPES[index % len(SHAPES)], image, rng)
    else:
        texts = {"letter": LETTERS, "symbol": SYMBOLS, "word": WORDS}[kind]
        _text(texts[index % len(texts)], image, rng)
    return _on_paper(_warped(image, rng), rng)


def _text(text: str, image: Image.Image, rng: np.random.Generator) -> None:
    import matplotlib

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    size = image.width * rng.uniform(0.4, 0.75) / (1 if len(text) == 1 else len(text) * 0.6)
    font = ImageFont.truetype(folder / f"{rng.choice(FONTS)}.ttf", max(round(size), 8))
    middle = (image.width / 2, image.height / 2)
    ImageDraw.Draw(image).text(middle, text, fill=255, font=font, anchor="mm")


def _warped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
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


def _on_paper(image: Image.Image, rng: np.random.Generator) -> Pixels:
    ink = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255
    paper, pen = (rng.uniform(190, 255), rng.uniform(0, 90))
    if rng.random() < 0.3:
        paper, pen = pen / 3, paper
    grain = rng.standard_normal(ink.shape) * rng.uniform(0, 5)
    return np.clip(paper + (pen - paper) * ink + grain, 0, 255).astype(np.uint8)


def _shape(kind: str, image: Image.Image, rng: np.random.Generator) -> None:
    draw, side = ImageDraw.Draw(image), image.width
    middle, radius, width = side / 2, side * rng.uniform(0.2, 0.4), max(side // 24, 2)
    turn = rng.uniform(0, 2 * np.pi)

    def corner(angle: float, distance: float = 1.0) -> tuple[float, float]:
        reach = radius * distance
        return middle + reach * float(np.cos(angle)), middle + reach * float(np.sin(angle))

    box = (middle - radius, middle - radius, middle + radius, middle + radius)
    if kind == "square":
        draw.rectangle(box, outline=255, width=width)
        draw.line([box[:2], box[2:]], fill=255, width=width)
    elif kind == "disc":
        draw.ellipse(box, fill=255)
    elif kind == "triangle":
        points = [corner(turn + 2 * np.pi * k / 3) for k in range(4)]
        draw.line([*points, points[1]], fill=255, width=width)
    elif kind == "star":
        points = [corner(turn + 4 * np.pi * k / 5) for k in range(6)]
        draw.line(points, fill=255, width=width)
    elif kind == "cross":
        for angle in np.arange(3) * np.pi / 3 + turn:
            draw.line([corner(angle), corner(angle + np.pi)], fill=255, width=width)
    elif kind == "grid":
        for at in np.linspace(middle - radius, middle + radius, 5):
            draw.line([(at, box[1]), (at, box[3])], fill=255, width=width)
            draw.line([(box[0], at), (box[2], at)], fill=255, width=width)
    elif kind == "spiral":
        steps = np.linspace(0.1, 1, 120)
        draw.line([corner(turn + 20 * step, step) for step in steps], fill=255, width=width)
    elif kind == "wave":
        steps = np.linspace(-1, 1, 80)
        draw.line(
            [(middle + s * radius, middle + np.sin(9 * s) * radius / 3) for s in steps],
            fill=255,
            width=width,
        )
    elif kind == "face":
        draw.ellipse(box, outline=255, width=width)
        for angle in (-2.2, -0.95):
            x, y = corner(angle, 0.5)
            draw.ellipse((x - width, y - width, x + width, y + width), fill=255)
        inner = (middle - radius / 2, middle - radius / 2, middle + radius / 2, middle + radius / 2)
        draw.arc(inner, 20, 160, fill=255, width=width)
    elif kind == "house":
        draw.rectangle((box[0], middle, box[2], box[3]), outline=255, width=width)
        draw.line([(box[0], middle), (middle, box[1]), (box[2], middle)], fill=255, width=width)
    elif kind == "dots":
        for x, y in rng.uniform(0.1, 0.9, (12, 2)) * side:
            draw.ellipse((x - width, y - width, x + width, y + width), fill=255)
    else:
        points = rng.uniform(0.15, 0.85, (14, 2)) * side
        draw.line([tuple(point) for point in points], fill=255, width=width)


def _texture(kind: str, rng: np.random.Generator) -> Pixels:
    side = int(rng.choice([28, 64, 128, 256]))
    down, right = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    period = rng.uniform(4, 14)
    if kind == "colour":
        return np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), (side, side, 3)).copy()
    flat = {"black": 0.0, "white": 255.0, "grey": rng.uniform(40, 215)}
    if kind in flat:
        grey = np.full((side, side), flat[kind])
    elif kind == "noise":
        grey = rng.uniform(0, 255, (side, side))
    elif kind == "speckle":
        grey = 255.0 * (rng.random((side, side)) < rng.uniform(0.02, 0.3))
    elif kind == "gradient":
        grey = 255 * (down * rng.random() + right * rng.random()) / 2
    elif kind == "checks":
        grey = 255.0 * ((np.floor(down * period) + np.floor(right * period)) % 2)
    elif kind == "stripes":
        grey = 127 + 127 * np.sin(2 * np.pi * period * (down * rng.random() + right))
    elif kind == "paper":
        grey = rng.uniform(150, 250) + 30 * down + rng.normal(0, 5, (side, side))
    else:
        grey = _clouds(side, rng)
        if kind == "scene":
            grey = np.where(down > rng.uniform(0.4, 0.7), grey * 0.5, 160 + 0.3 * grey)
    return np.clip(grey, 0, 255).astype(np.uint8)


def _clouds(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of several scales, as in photographs of most things."""
    total = np.zeros((side, side))
    for cells in (3, 6, 12, 24):
        coarse = Image.fromarray(rng.uniform(0, 1, (cells, cells)).astype(np.float32))
        total += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) / cells
    return 255 * (total - total.min()) / np.ptp(total)
