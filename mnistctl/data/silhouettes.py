"""Solid and outlined shapes, and textures, that are no digits."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnistctl.data.glyphs import Points, around

SHAPES = (
    "square", "disc", "triangle", "star", "cross", "grid", "spiral", "wave", "face", "house",
    "dots", "scribble",
)  # fmt: skip


def draw_silhouette(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """One to three filled shapes on `image`, now and then with parts cut out of them."""
    draw, side = ImageDraw.Draw(image), image.width
    outlines = {"blob": _blob, "body": _body, "polygon": _polygon}
    kinds = rng.choice(list(outlines), rng.choice((1, 2, 3), p=(0.6, 0.25, 0.15)))
    for number, kind in enumerate(kinds):
        scale, shift = (0.42, 0.0) if number == 0 else (rng.uniform(0.1, 0.3), 0.25)
        middle = 0.5 + rng.uniform(-shift, shift, 2)
        points = side * (middle + scale * outlines[kind](rng))
        # What comes later is added, or taken away: a collar, a handle, a slit.
        value = 255 if number == 0 or rng.random() < 0.5 else 0
        draw.polygon([(float(x), float(y)) for x, y in points], fill=value)
    if rng.random() < 0.3:
        for at in rng.uniform(0.2, 0.8, rng.integers(1, 4)) * side:
            width = max(round(rng.uniform(0.01, 0.06) * side), 1)
            ends = [(at, 0), (at, side)] if rng.random() < 0.5 else [(0, at), (side, at)]
            draw.line([(float(x), float(y)) for x, y in ends], fill=0, width=width)
    return image


def _blob(rng: np.random.Generator) -> Points:
    """A round outline with bulges."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(1, 6):
        radius += rng.normal(0, 0.5 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    radius = np.abs(radius) / np.abs(radius).max()
    stretch = np.array([rng.uniform(0.3, 1), 1.0])[:: rng.choice((-1, 1))]
    blob: Points = around(angles) * radius[:, None] * stretch
    return blob


def _body(rng: np.random.Generator) -> Points:
    """Mirrored left and right, as clothes, bottles, vases, leaves and towers are."""
    heights = np.sort(rng.uniform(-1, 1, rng.integers(3, 8)))
    heights[0], heights[-1] = -1, 1
    widths = rng.uniform(0.1, 1, len(heights)) * rng.uniform(0.3, 1)
    if rng.random() < 0.5:  # smooth
        fine = np.linspace(-1, 1, 30)
        heights, widths = fine, np.interp(fine, heights, widths)
    right = np.stack([widths, heights], axis=1)
    body = np.vstack([right, right[::-1] * (-1, 1)])
    return body if rng.random() < 0.7 else body[:, ::-1]


def _polygon(rng: np.random.Generator) -> Points:
    """A polygon of 3 to 8 corners around its middle."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    radius = rng.uniform(0.4, 1, len(angles))
    return around(angles) * radius[:, None]


def shaded(shape: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A shape, (side, side) in 0..1, with light, shade and a pattern on it."""
    down, across = np.mgrid[0 : 1 : shape.shape[0] * 1j, 0 : 1 : shape.shape[1] * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    along = down * np.sin(turn) + across * np.cos(turn)
    light = rng.uniform(0.4, 1) + rng.uniform(-0.6, 0.6) * along
    kind = rng.choice(("plain", "stripes", "checks", "grain"), p=(0.4, 0.2, 0.15, 0.25))
    if kind == "stripes":
        light = light * np.where(
            np.sin(along * rng.uniform(10, 60)) > rng.uniform(-0.5, 0.5), 1, 0.3
        )
    elif kind == "checks":
        period = rng.uniform(10, 50)
        light = light * np.where(np.sin(down * period) * np.sin(across * period) > 0, 1, 0.4)
    elif kind == "grain":
        light = light + rng.normal(0, rng.uniform(0.05, 0.3), shape.shape)
    lit: NDArray[np.float32] = (shape * np.clip(light, 0.05, 1)).astype(np.float32)
    return lit


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


def _outlines(kind: str, rng: np.random.Generator) -> list[Points]:
    """Lines of a shape, each (points, 2), within -1..1 in x and y."""
    turn = rng.uniform(0, 2 * np.pi)

    if kind in ("triangle", "square", "star"):
        corners, stride = {"triangle": (3, 1), "square": (4, 1), "star": (5, 2)}[kind]
        outline = around(turn + np.arange(corners + 2) * stride * 2 * np.pi / corners)
        return [outline, outline[[0, 2]]] if kind == "square" else [outline]
    if kind == "cross":
        return [around(turn + np.array([0, np.pi]) + k * np.pi / 3) for k in range(3)]
    if kind == "grid":
        steps = np.linspace(-1, 1, 5)
        upright = [np.array([(at, -1.0), (at, 1.0)]) for at in steps]
        return upright + [line[:, ::-1] for line in upright]
    if kind == "spiral":
        steps = np.linspace(0.1, 1, 120)
        return [around(turn + 20 * steps) * steps[:, None]]
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
