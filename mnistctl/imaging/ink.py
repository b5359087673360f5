"""Tell ink from paper: from pixels to an evenly lit map of how inky each one is.

Nothing here knows about digits: the likeliest reading of a picture (which polarity, which
background) is the one whose ink is most like strokes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistctl.imaging.masks import Grey, Mask, around, connected, stroke_score, thickened

Invert = Literal["auto", "yes", "no"]

# Sides, in pixels, between which a picture is analysed: below, strokes are thinner than the
# pixels they are measured in.
SMALL_SIDE, WORK_SIDE = 224, 320
# A picture no larger than this, with an even border, is an icon or a network's input: no shade.
TINY = 56
COARSE_SIDE = 160
# Contrast below this many of 255 grey levels can't be told from the file format's own noise.
MIN_CONTRAST = 6.0
# No stroke is wider, as a share of the picture's longer side.
STROKE = 0.15
# Grey levels of a lens's haze and the file format, by which dark paper isn't brightened.
DARKEST, MAX_GAIN = 10, 3
LEVELS = 24
# Share of the picture up to which ink may cover it without being suspicious.
MUCH_INK = 0.3
# Score from which an evenly lit picture needs no other reading.
CONVINCING = 0.6
# Pixels that differ from the paper, per pixel of ink, in an evenly lit picture: blurred edges.
PLAIN = 2.5
# Amount from which ink may be meant: faint strokes, shadows, stains.
FAINT_INK = 0.35
# Share of the best reading's score from which another one may be right.
LIKELY = 0.5
# Share of the ink's contrast below which a coarse pixel holds no ink.
LINGERS = 0.2
# Pixels around ink, more than smoothing reaches.
MARGIN = 8


@dataclass(frozen=True)
class Ink:
    """How inky each pixel is.

    `amount` is float32 (height, width), 0 for paper and about 1 for ink, sharp only as far as
    the picture was. `contrast` is the ink's levels of grey, or of a tint, against the paper,
    `noise` the paper's own. `rim` marks where the paper ends: the picture's border, or the
    sheet's edge.
    """

    amount: Grey
    rim: Mask
    contrast: float
    noise: float


def ink_maps(pixels: NDArray[np.uint8], invert: Invert = "auto") -> Iterator[Ink]:
    """Ink of uint8 pixels, (height, width) or (height, width, 3): the likeliest reading first.

    There are others where light or colour is uneven. `invert` says "yes" for dark ink on light
    paper, "no" for light on dark, "auto" for either, and then by its tint, too.
    A picture is worked on with its longer side at most WORK_SIDE pixels.
    """
    working = working_size(pixels)
    signs: tuple[int, ...] = {"yes": (-1,), "no": (1,), "auto": (-1, 1)}[invert]
    tiny = max(pixels.shape[:2]) <= TINY
    view = _view(to_grey(working))
    first, *others = _readings(view, signs, tiny and has_even_border(view.coarse, 1))
    yield _ink_of(first)
    if tiny or not others:
        return
    if invert == "auto" and working.ndim == 3:
        others += [_readings(own, (1,), even=True)[0] for own in _tints(working, view.sheet)]
    for own in others:
        if own.level and own.score >= LIKELY * first.score:
            yield _ink_of(own)


@dataclass(frozen=True)
class _View:
    """A picture in greys, or in tints, and what is common to all readings of it."""

    grey: Grey
    coarse: Grey
    """Smaller and smoother, what lies around the sheet of paper painted over."""
    sheet: Mask
    noise: float
    reach: float
    """Standard deviation of the smoothing, as a share of the longer side."""


@dataclass(frozen=True)
class _Reading:
    """What may be the paper of a view, and ink by so many levels, in the direction of `sign`."""

    view: _View
    sign: int
    paper: Grey
    level: float = 0.0
    score: float = -1.0


def _view(grey: Grey, sheet: Mask | None = None) -> _View:
    coarse = _resize(grey, COARSE_SIDE / max(grey.shape))
    noise = _noise(coarse)
    reach = (1 + min(noise / 4, 1.5)) / 400
    coarse = _smooth(coarse, reach * max(coarse.shape))
    if sheet is None:
        sheet = _sheet(coarse)
    if not sheet.all():
        coarse = np.where(sheet, coarse, np.median(coarse[sheet]))
    return _View(grey, coarse, sheet, noise, reach)


def _tints(pixels: NDArray[np.uint8], sheet: Mask) -> Iterator[_View]:
    """How blue, yellow, red and green each pixel is, as if all were as light as is usual.

    Neither shadows nor folds change the colour of paper, and a blue pen's is not that of coffee.
    None of a picture that is all grey.
    """
    red, green, blue = np.moveaxis(pixels, 2, 0).astype(np.float32)
    if max(float(np.abs(red - green).max()), float(np.abs(green - blue).max())) < MIN_CONTRAST:
        return
    light = (red + green + blue) / 3
    lit = np.float32(float(np.median(light)) + DARKEST) / (light + DARKEST)
    lit = np.minimum(lit, np.float32(MAX_GAIN))
    red, green, blue = red * lit, green * lit, blue * lit
    for tint in (blue - (red + green) / 2, red - green):
        view = _view(tint, sheet)
        yield view
        yield replace(view, grey=-view.grey, coarse=-view.coarse)


def _ink_of(reading: _Reading) -> Ink:
    view, paper, sign = reading.view, reading.paper, reading.sign
    amount, inside = np.zeros_like(view.grey), _resized_mask(view.sheet, view.grey.shape)
    if reading.level:
        rough = _stands_out(view.coarse, paper, sign, paper)
        near = _near_ink(rough > LINGERS * reading.level, inside)
        box = around(near, MARGIN)
        own = _resize_to(paper, view.grey.shape)[box]
        fine = _smooth(view.grey[box], view.reach * max(view.grey.shape))
        different = _stands_out(fine, own, sign, paper)
        amount[box] = near[box] * different / np.float32(reading.level)
    return Ink(amount, _rim(inside), reading.level, view.noise)


def _readings(view: _View, signs: Sequence[int], even: bool) -> list[_Reading]:
    """For each way to tell paper from ink the sign whose ink is most like strokes, the best first.

    Only one where there is no doubt, and where the paper is known to be `even`. Without ink, they
    are of level 0.
    """
    found: list[_Reading] = []
    rim = _rim(view.sheet)
    for way in (_flat, _local, _filled):
        best = _Reading(view, signs[0], view.coarse)
        for sign, paper in zip(signs, way(view.coarse, signs), strict=True):
            amount = _stands_out(view.coarse, paper, sign, paper)
            level = _ink_level(amount, view.noise)
            if level < MIN_CONTRAST:
                continue
            amount /= np.float32(level)
            # Ink is the smaller part, and darker than what else may look like strokes.
            rare = min(MUCH_INK / max(float((amount > FAINT_INK).mean()), 1e-9), 1.0)
            score = stroke_score(amount, rim) * rare * min(level / 128, 1.0) ** 0.2
            if score > best.score:
                best = _Reading(view, sign, paper, level, score)
        if way is _flat:
            amount = (view.coarse - best.paper) * np.float32(best.sign / max(best.level, 1))
            likely = best.score > CONVINCING or not (amount > FAINT_INK)[rim].any()
            if even or (likely and _is_plain(amount)):
                return [best]
        found.append(best)
    return sorted(found, key=lambda own: -own.score)


def _is_plain(amount: Grey) -> bool:
    """Whether a picture is ink on even paper: beside ink, little differs from the paper."""
    return int((np.abs(amount) > 0.15).sum()) < PLAIN * int((amount > 0.6).sum())


def _near_ink(coarse: Mask, inside: Mask) -> Mask:
    """Where there may be ink: not on the edges of shadows, where the coarse paper is blurred."""
    near = thickened(thickened(coarse, 1, axis=0), 1, axis=1)
    return _resized_mask(near, inside.shape) & inside


def _stands_out(grey: Grey, paper: Grey, sign: int, whole: Grey) -> Grey:
    """Grey levels from the paper's; for dark ink, as if all paper were as light as is usual.

    `paper` is that of `grey`, `whole` that of all the picture, in any size.
    """
    difference: Grey = np.maximum((grey - paper) * np.float32(sign), 0)
    if sign > 0 or paper.min() == paper.max():
        return difference
    lit: Grey = np.float32(float(np.median(whole)) + DARKEST) / (paper + DARKEST)
    return difference * np.minimum(lit, np.float32(MAX_GAIN))


def _flat(coarse: Grey, signs: Sequence[int]) -> list[Grey]:
    """Evenly lit paper."""
    return [np.full_like(coarse, np.median(coarse))] * len(signs)


def _local(coarse: Grey, signs: Sequence[int]) -> list[Grey]:
    """The median over half the picture around each pixel: follows light, but not strokes."""
    from scipy import ndimage

    tiny = _resize(coarse, 32 / max(coarse.shape))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(tiny, 8, "symmetric"), (17, 17))
    flat = windows.reshape(*tiny.shape, -1)
    local: Grey = np.partition(flat, flat.shape[-1] // 2)[..., flat.shape[-1] // 2]
    return [_resize_to(ndimage.gaussian_filter(local, 1.5), coarse.shape)] * len(signs)


def _filled(coarse: Grey, signs: Sequence[int]) -> list[Grey]:
    return [_closed(coarse, sign) for sign in signs]


def _closed(coarse: Grey, sign: int) -> Grey:
    """The picture with all narrow ink filled; wide things stay, such as shadows and fingers.

    What is darker than a level (lighter, for light ink) stays paper if a square wider than any
    stroke fits into the same piece: closing by reconstruction (Vincent, 1993), in LEVELS steps.
    """
    from scipy import ndimage

    dark = coarse * np.float32(-sign)
    wide = ndimage.grey_closing(dark, [max(round(STROKE * max(dark.shape)), 3)] * 2, mode="nearest")
    paper, darkest = np.full_like(dark, dark.max()), wide.min()
    for level in np.linspace(dark.max(), dark.min(), LEVELS, endpoint=False)[1:]:
        if level < darkest:  # from here on all is narrow
            break
        pieces, count = ndimage.label(dark <= level)
        stays = np.zeros(count + 1, bool)
        stays[pieces[wide <= level]] = True
        stays[0] = False
        np.copyto(paper, level, where=stays.take(pieces), casting="same_kind")
    # Exact outside of ink.
    step = np.float32(np.ptp(dark) / LEVELS)
    return np.where(paper - dark < step, dark, paper) * np.float32(-sign)


def _rim(inside: Mask) -> Mask:
    from scipy import ndimage

    if inside.all():  # no sheet in view: the picture's border, without the work
        rim = np.ones_like(inside)
        rim[1:-1, 1:-1] = False
        return rim
    edge: Mask = inside & ~ndimage.binary_erosion(inside)
    return edge


def has_even_border(grey: Grey, within: float) -> bool:
    """Whether most of the border is of one grey, to some grey levels, as no camera sees paper."""
    ring = border(grey)
    return bool(np.mean(np.abs(ring - np.median(ring)) < within) > 0.6)


def border(values: NDArray[Any]) -> NDArray[Any]:
    """The outermost values of (height, width); corners count twice."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def _sheet(coarse: Grey) -> Mask:
    """Where the sheet of paper lies, if its surroundings (a table, a drawn frame) are in view.

    A sheet is a large region with four corners unlike the whole border of the picture, and mostly
    bare. Without one, it is all of the picture.
    """
    from scipy import ndimage

    whole = np.ones_like(coarse, dtype=bool)
    if coarse.min() == coarse.max():
        return whole
    light = coarse > _otsu(coarse)
    share = float(border(light).mean())
    if 0.1 < share < 0.9:
        return whole
    labels = connected(light if share <= 0.1 else ~light)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    bare = labels == int(areas.argmax())
    spans = [np.ptp(np.flatnonzero(bare.any(axis))) + 1 for axis in (0, 1)]
    if spans[0] * spans[1] < 0.3 * coarse.size:
        return whole
    outside = ndimage.label(np.pad(~bare, 1, constant_values=True))[0]
    filled: Mask = (outside != outside[0, 0])[1:-1, 1:-1]
    area = int(filled.sum())
    if area < 0.3 * coarse.size or bare.sum() < 0.6 * area or not _has_four_corners(filled):
        return whole
    # Off the sheet's own edge, which throws a shadow.
    inner: Mask = ndimage.binary_erosion(filled, iterations=3)
    return inner if inner.any() else whole


def _has_four_corners(mask: Mask) -> bool:
    """Whether a region is a quadrilateral: convex, and between its outermost diagonal pixels."""
    rows, columns = np.nonzero(mask)
    for lines in (rows, columns):
        others = columns if lines is rows else rows
        first = np.full(int(lines.max()) + 1, mask.size)
        last = np.full_like(first, -1)
        np.minimum.at(first, lines, others)
        np.maximum.at(last, lines, others)
        if rows.size < 0.97 * (last - first + 1)[last >= 0].sum():
            return False
    ends = [np.argmax(a * rows + b * columns) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    down, right = rows[ends], columns[ends]
    between = abs(float(down @ np.roll(right, 1) - right @ np.roll(down, 1))) / 2
    return 0.9 * rows.size < between < 1.1 * rows.size


def to_grey(pixels: NDArray[np.uint8]) -> Grey:
    """Luma, or the one colour channel that shows far more: yellow ink on white is in blue only."""
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    channels = pixels.astype(np.float32)
    luma = channels @ np.array([0.299, 0.587, 0.114], np.float32)
    candidates = [luma, *np.moveaxis(channels, 2, 0)]
    spreads = [_spread(candidate) for candidate in candidates]
    strongest = int(np.argmax(spreads))
    return luma if spreads[0] > 0.3 * spreads[strongest] else candidates[strongest]


def _spread(grey: Grey) -> float:
    sample = grey[:: max(grey.shape[0] // 64, 1), :: max(grey.shape[1] // 64, 1)]
    middle = np.median(sample)
    return float(np.quantile(np.abs(sample - middle), 0.98))


def working_size(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels as large as the `amount` of their ink."""
    side = max(pixels.shape[:2])
    if SMALL_SIDE <= side <= WORK_SIDE:
        return pixels
    scale = WORK_SIDE / side if side > WORK_SIDE else -(-SMALL_SIDE // side)
    size = [max(round(length * scale), 1) for length in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BILINEAR))


def _resize(grey: Grey, scale: float) -> Grey:
    height, width = grey.shape
    return _resize_to(grey, (max(round(height * scale), 1), max(round(width * scale), 1)))


def _resize_to(grey: Grey, shape: tuple[int, ...]) -> Grey:
    if grey.shape == shape:
        return grey
    if grey.min() == grey.max():
        return np.full(shape, grey[0, 0])
    # Bilinear averages over the covered area when shrinking and doesn't overshoot when growing.
    image = Image.fromarray(grey).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)


def _resized_mask(mask: Mask, shape: tuple[int, ...]) -> Mask:
    if mask.all():
        return np.ones(shape, bool)
    image = Image.fromarray(mask.view(np.uint8) * np.uint8(255))
    found: Mask = np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)) > 127
    return found


def _smooth(grey: Grey, reach: float) -> Grey:
    """Take off sensor noise and paper grain finer than a stroke."""
    from scipy import ndimage

    smoothed: Grey = ndimage.gaussian_filter(grey, reach, truncate=3)
    return smoothed


def _noise(coarse: Grey) -> float:
    """Standard deviation of the paper's grain, in grey levels, from neighbours' differences."""
    steps = np.abs(np.diff(coarse, axis=1))
    return float(np.median(steps)) * 1.4826 / 2**0.5 if steps.size else 0.0


def _ink_level(amount: Grey, noise: float) -> float:
    """Grey levels by which ink differs from paper; 0 when nothing stands out."""
    strong = amount[amount > max(4 * noise, MIN_CONTRAST / 2)]
    if strong.size < max(amount.size * 2e-4, 4):
        return 0.0
    # Otsu between what is faint (lines, stains, edges) and what is ink.
    return float(np.median(strong[strong >= _otsu(strong)]))


def _otsu(values: Grey) -> float:
    """The threshold that parts values best (Otsu, 1979); the lowest where all are about equal."""
    from skimage.filters import threshold_otsu

    low, high = float(values.min()), float(values.max())
    if high - low < 0.01:
        return low
    steps = ((values - low) * (255 / (high - low))).astype(np.uint8)
    return low + float(threshold_otsu(steps)) * (high - low) / 255
