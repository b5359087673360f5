"""Pictures that show no digit, as a camera or a scanner gives them: to test with."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mnistctl.data.glyphs import HELD_OUT, LETTERS, SYMBOLS, Points, around, draw_text
from mnistctl.data.outliers import Pixels, warped
from mnistctl.data.silhouettes import SHAPES, draw_shape

# Of the held-out characters those without a look-alike among the others (as w and W).
NEW_LETTERS, NEW_SYMBOLS = "ELTf", "@¿÷Ψ"
WORDS = ("cat", "No", "MNIST", "hello", "abc", "xyz", "km/h", "A+B")
TEXTURES = (
    "black", "white", "grey", "colour", "noise", "speckle", "gradient", "checks", "stripes",
    "clouds", "scene", "paper",
)  # fmt: skip
# Of a script that is never trained against the letters that people don't read as digits.
ARMENIAN = "ԱԲԹԻԽՃՄՌՓաբթիխճմռք"
TIFINAGH = "ⴳⴷⴸⴹⴼⴽⴿⵃⵄⵅⵇⵉⵌⵍⵎⵓⵞⵟⵡⵣⵥ"
NEW_SHAPES = ("heart", "crescent", "gear", "drop", "flower", "ribbon")
KINDS = ("letter", "symbol", "word", "shape", "texture")
NEW_KINDS = ("new letter", "new symbol", "Tifinagh", "new shape")
CHOOSING_KINDS = ("Armenian", "held-out symbol")
"""Not trained against either, but looked at when thresholds were chosen."""


def outlier_pictures(
    num_each: int, seed: int = 0, kinds: Sequence[str] = KINDS
) -> Iterator[tuple[str, Pixels]]:
    """`num_each` pictures of each kind: (kind, uint8 pixels, grey or RGB), the same by seed.

    `kinds` are of KINDS, NEW_KINDS and CHOOSING_KINDS.
    """
    rng = np.random.default_rng(seed)
    for kind in kinds:
        for index in range(num_each):
            yield kind, _draw(kind, index, rng)


def _draw(kind: str, index: int, rng: np.random.Generator) -> Pixels:
    if kind == "texture":
        return _texture(TEXTURES[index % len(TEXTURES)], rng)
    side = int(rng.choice([64, 128, 256]))
    image = Image.new("L", (side, side), 0)
    if kind == "shape":
        draw_shape(SHAPES[index % len(SHAPES)], image, rng)
    elif kind == "new shape":
        outline = _outline(NEW_SHAPES[index % len(NEW_SHAPES)]) * rng.uniform(0.5, 1, 2)
        points = side / 2 + side * rng.uniform(0.25, 0.42) * outline
        ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=255)
    else:
        texts = {
            "letter": LETTERS,
            "symbol": SYMBOLS,
            "new letter": NEW_LETTERS,
            "new symbol": NEW_SYMBOLS,
            "word": WORDS,
            "Tifinagh": TIFINAGH,
            "Armenian": ARMENIAN,
            "held-out symbol": "".join(set(HELD_OUT) - set(NEW_LETTERS + NEW_SYMBOLS)),
        }[kind]
        draw_text(texts[index % len(texts)], image, rng)
    return _on_paper(warped(image, rng), rng)


def _outline(name: str) -> Points:
    """The outline of one of NEW_SHAPES, (points, 2), within -1..1."""
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    if name == "heart":
        down = -(13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn))
        return np.stack([np.sin(turn) ** 3, down / 16], axis=1)
    if name == "crescent":
        inner = 0.75 * around(turn[-20:19:-1]) + (0.55, 0)
        return np.vstack([around(turn[15:-15]), inner])
    if name == "drop":
        return np.stack([np.sin(turn) * np.sin(turn / 2) ** 2, np.cos(turn)], axis=1)
    if name == "ribbon":
        return np.stack([np.sin(turn), np.sin(2 * turn)], axis=1)
    gear, flower = 0.85 + 0.15 * np.sign(np.sin(9 * turn)), 0.65 + 0.35 * np.sin(5 * turn)
    return around(turn) * (gear if name == "gear" else flower)[:, None]


def _on_paper(image: Image.Image, rng: np.random.Generator) -> Pixels:
    ink = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255
    paper, pen = (rng.uniform(190, 255), rng.uniform(0, 90))
    if rng.random() < 0.3:
        paper, pen = pen / 3, paper
    grain = rng.standard_normal(ink.shape) * rng.uniform(0, 5)
    return np.clip(paper + (pen - paper) * ink + grain, 0, 255).astype(np.uint8)


def _texture(kind: str, rng: np.random.Generator) -> Pixels:
    side = int(rng.choice([28, 64, 128, 256]))
    down, right = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    period = rng.uniform(4, 14)
    if kind == "colour":
        plain: Pixels = np.full((side, side, 3), rng.integers(0, 256, 3), np.uint8)
        return plain
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
    pixels: Pixels = np.clip(grey, 0, 255).astype(np.uint8)
    return pixels


def _clouds(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of several scales, as in photographs of most things."""
    total = np.zeros((side, side))
    for cells in (3, 6, 12, 24):
        coarse = Image.fromarray(rng.uniform(0, 1, (cells, cells)).astype(np.float32))
        total += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) / cells
    stretched: NDArray[np.float64] = 255 * (total - total.min()) / np.ptp(total)
    return stretched
