"""Tell ink from paper: from pixels to an evenly lit map of how inky each one is.

Nothing here knows about digits except `stroke_score`, by which the right reading of a picture
(which polarity, which background) is told from the wrong ones.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Invert = Literal["auto", "yes", "no"]
Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Sides, in pixels, between which a picture is analysed: below, strokes are thinner than the
# pixels they are measured in.
SMALL_SIDE = 224
COARSE_SIDE = 160
# Contrast below this many of 255 grey levels can't be told from the file format's own noise.
MIN_CONTRAST = 6.0
LOCAL_HANDICAP = 0.85
EVERYWHERE = ((True, True), (True, True))


@dataclass(frozen=True)
class Ink:
    """How inky each pixel is.

    `amount` is float32 (height, width), 0 for paper and about 1 for ink, sharp only as far as
    the picture was. `scale` is its size over that of the pixels it came from, `dark` tells whether
    the ink is darker than the paper, `contrast` its grey levels against the paper, `noise` the
    paper's own. `rim` marks where the paper ends: the picture's border, or the sheet's edge.
    """

    amount: Grey
    rim: Mask
    scale: float
    dark: bool
    contrast: float
    noise: float


def ink_map(pixels: NDArray[np.uint8], invert: Invert = "auto") -> Ink:
    """Ink of uint8 pixels, (height, width) or (height, width, 3).

    `invert` says "yes" for dark ink on light paper, "no" for light on dark, "auto" for either.
    """
    grey, scale = _working_size(_to_grey(pixels))
    coarse = _resize(grey, COARSE_SIDE / max(grey.shape))
    noise = _noise(coarse)
    signs = {"yes": (-1,), "no": (1,), "auto": (-1, 1)}[invert]
    sheet = _sheet(coarse)
    if sheet is None:
        sheet = np.ones_like(coarse, dtype=bool)
    coarse = np.where(sheet, coarse, np.median(coarse[sheet]))
    rim = _rim(sheet)
    best = (-1.0, signs[0], coarse, 0.0)
    papers = [np.full_like(coarse, np.median(coarse))]
    if not (_is_two_level(coarse) or _has_flat_ground(coarse)):
        papers.append(_local_paper(coarse))
    for paper in papers:
        for sign in signs:
            amount = np.maximum((coarse - paper) * np.float32(sign), 0)
            level = _ink_level(amount, noise)
            if level < MIN_CONTRAST:
                continue
            score = stroke_score(amount / np.float32(level), rim)
            if paper is not papers[0]:
                # Following the light may also swallow ink at the border: only for clear gain.
                score *= LOCAL_HANDICAP
            if score > best[0]:
                best = (score, sign, paper, level)
    _, sign, paper, level = best
    inside = _resize_to(sheet.astype(np.float32), grey.shape) > 0.5
    amount = np.zeros_like(grey)
    if level:
        difference = (_smooth(grey) - _resize_to(paper, grey.shape)) * np.float32(sign / level)
        amount = np.where(inside, np.maximum(difference, 0), 0)
    return Ink(amount, _rim(inside), scale, sign < 0, level, noise)


def _rim(inside: Mask) -> Mask:
    from scipy import ndimage

    if inside.all():  # no sheet in view: the picture's border, without the work
        rim = np.ones_like(inside)
        rim[1:-1, 1:-1] = False
        return rim
    edge: Mask = inside & ~ndimage.binary_erosion(inside)
    return edge


def _is_two_level(coarse: Grey) -> bool:
    """Whether a picture is flat shapes on a flat ground: then nothing is due to the light."""
    from skimage.filters import threshold_otsu

    if coarse.min() == coarse.max():
        return True
    light = coarse > threshold_otsu(coarse)
    if not light.any():
        return True
    ring = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    within = coarse[light].var() * light.mean() + coarse[~light].var() * (1 - light.mean())
    return bool(not 0.02 < ring.mean() < 0.98 and within < 0.1 * coarse.var())


def _has_flat_ground(coarse: Grey) -> bool:
    """Whether most of the border is of one grey, as no camera sees paper: there is no shade."""
    ring = np.concatenate([coarse[0], coarse[-1], coarse[:, 0], coarse[:, -1]])
    return bool(np.mean(np.abs(ring - np.median(ring)) < 1) > 0.6)


def _sheet(coarse: Grey) -> Mask | None:
    """Where the sheet of paper lies, if its surroundings (a table, a drawn frame) are in view.

    A sheet is a large compact region unlike the whole border of the picture, and mostly bare.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    if coarse.min() == coarse.max():
        return None
    light = coarse > threshold_otsu(coarse)
    ring = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    share = float(ring.mean())
    if 0.1 < share < 0.9:
        return None
    labels = connected(light if share <= 0.1 else ~light)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    bare = labels == int(areas.argmax())
    filled: Mask = ndimage.binary_fill_holes(bare)
    rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    area = int(filled.sum())
    compact = area / ((np.ptp(rows) + 1) * (np.ptp(columns) + 1)) if area else 0
    if area < 0.3 * coarse.size or compact < 0.85 or bare.sum() < 0.75 * area:
        return None
    # Off the sheet's own edge, which throws a shadow.
    inner: Mask = ndimage.binary_erosion(filled, iterations=3)
    return inner if inner.any() else None


def _to_grey(pixels: NDArray[np.uint8]) -> Grey:
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
    sample = grey[:: max(grey.shape[0] // 128, 1), :: max(grey.shape[1] // 128, 1)]
    middle = np.median(sample)
    return float(np.quantile(np.abs(sample - middle), 0.98))


def _working_size(grey: Grey) -> tuple[Grey, float]:
    longest = max(grey.shape)
    if longest >= SMALL_SIDE:
        return grey, 1.0
    scale = float(-(-SMALL_SIDE // longest))
    return _resize(grey, scale), scale


def _resize(grey: Grey, scale: float) -> Grey:
    height, width = grey.shape
    return _resize_to(grey, (max(round(height * scale), 1), max(round(width * scale), 1)))


def _resize_to(grey: Grey, shape: tuple[int, ...]) -> Grey:
    if grey.shape == shape:
        return grey
    # Bilinear averages over the covered area when shrinking and doesn't overshoot when growing.
    image = Image.fromarray(grey).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)


def _smooth(grey: Grey) -> Grey:
    """Take off sensor noise and paper grain finer than a stroke."""
    from scipy import ndimage

    smoothed: Grey = ndimage.gaussian_filter(grey, max(grey.shape) / 400, truncate=3)
    return smoothed


def _noise(coarse: Grey) -> float:
    """Standard deviation of the paper's grain, in grey levels, from neighbours' differences."""
    steps = np.abs(np.diff(coarse, axis=1))
    return float(np.median(steps)) * 1.4826 / 2**0.5 if steps.size else 0.0


def _local_paper(coarse: Grey) -> Grey:
    """The paper's grey at each pixel: the median over half the picture around it.

    That follows light and soft shadows, but not strokes, even thick ones.
    """
    from scipy import ndimage

    tiny = _resize(coarse, 32 / max(coarse.shape))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(tiny, 8, "symmetric"), (17, 17))
    flat = windows.reshape(*tiny.shape, -1)
    local: Grey = np.partition(flat, flat.shape[-1] // 2)[..., flat.shape[-1] // 2]
    return _resize_to(ndimage.gaussian_filter(local, 1.5), coarse.shape)


def _ink_level(amount: Grey, noise: float) -> float:
    """Grey levels by which ink differs from paper; 0 when nothing stands out."""
    from skimage.filters import threshold_otsu

    strong = amount[amount > max(4 * noise, MIN_CONTRAST / 2)]
    if strong.size < max(amount.size * 2e-4, 4):
        return 0.0
    # Otsu between what is faint (lines, stains, edges) and what is ink.
    low, high = float(strong.min()), float(strong.max())
    threshold = float(threshold_otsu(strong)) if high > low else low
    inky = strong[strong >= threshold]
    return float(np.median(inky))


def connected(mask: Mask) -> NDArray[np.int32]:
    """Number the connected pieces of a mask, diagonals included: 1 and up, 0 elsewhere.

    scikit-image's `label` imports scipy.spatial on its first mask, as long as all the rest takes.
    """
    from scipy import ndimage

    labels: NDArray[np.int32] = ndimage.label(mask, structure=np.ones((3, 3)))[0]
    return labels


def depths(own: Mask, beyond: tuple[tuple[bool, bool], tuple[bool, bool]]) -> Grey:
    """Distance of each pixel of a connected piece, cut to its box, from what is none of it.

    `beyond` tells for each side (top, bottom), (left, right) whether there is anything outside the
    box. Other pieces never come nearer than the gap before them, so the box is all it takes.
    """
    from scipy import ndimage

    padded = np.pad(own, [[int(side) for side in pair] for pair in beyond])
    found: Grey = ndimage.distance_transform_edt(padded)
    (top, _), (left, _) = beyond
    return found[top : top + own.shape[0], left : left + own.shape[1]]


def stroke_score(amount: Grey, rim: Mask) -> float:
    """How much the ink looks like pen strokes, 0..1: thin, in one place, away from the rim."""
    from scipy import ndimage

    mask = amount > 0.5
    if not mask.any():
        return 0.0
    labels = connected(mask)
    areas = np.bincount(labels.ravel())
    edges = np.bincount(labels[rim], minlength=len(areas))
    boxes, total, best = ndimage.find_objects(labels), int(mask.sum()), 0.0
    for index in np.argsort(-areas[1:], kind="stable") + 1:
        box = boxes[index - 1]
        height, width = (side.stop - side.start for side in box)
        size = max(height, width)
        alone = (min(size / (0.25 * max(mask.shape)), 1.0) * float(areas[index]) / total) ** 0.5
        if alone <= best:  # it can't be better than this
            continue
        own = labels[box] == index
        stroke = 4 * float(depths(own, EVERYWHERE)[own].mean()) / size
        thin = min(max((0.55 - stroke) / 0.3, 0.0), 1.0)
        contact = edges[index] / (2 * (height + width))
        inside = max(1 - 4 * float(contact), 0.02)
        solid = float(np.minimum(amount[box][own], 1).mean())
        best = max(best, thin * inside * solid * alone)
    return best
