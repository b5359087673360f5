"""Why a picture can't show a single digit, by its ink alone, in words."""

import numpy as np
from PIL import Image

from mnistctl.imaging.digits import Piece, digit_lines
from mnistctl.imaging.files import Picture
from mnistctl.imaging.ink import TINY, Ink, border, has_even_border, to_grey, working_size
from mnistctl.imaging.marks import Page
from mnistctl.imaging.masks import Grey, Mask, depths, thickened

# Photographs of digits reach a stray ink of 0.07, a stroke length of 2.8 times their size, a
# stroke width of 0.34 and a width of 1.65 times their height: each limit leaves room beyond.
MAX_STRAY = 0.25
MAX_LENGTH = 3.6
MAX_STROKE_SHARE = 0.5
MAX_ASPECT = 2.0
# Of 1,000 digits of MNIST one passes both, of 115 photographs none.
MAX_FILLED, MAX_THICKNESS = 0.7, 0.25
MAX_CONTACT = 0.3
MAX_FRAGMENTS = 6
# Share of a small picture's difference from its border that lies outside the ink: at most 0.14 of
# 800 digits, more than half for a third of Fashion-MNIST's clothes that look like digits.
MAX_OTHER = 0.4
# Share of the largest difference up to which there may be grain.
GRAIN = 0.1
# Levels within which greys count as one, and the least share of such pixels on a card or key; it
# was 0.8 and more on 40 of them.
ONE_GREY, MIN_PLAIN = 8.0, 0.7
NUM_FITS = 4
# Pixels from strokes at which there is paper, and grey levels between the sides of an edge: at
# least so many, and half of the ink's contrast, along this share of it.
BESIDE, MIN_STEP, MOST = 3, 25.0, 0.8
# Faint ink may be the grain of an empty page.
FAINT = 12.0


def doubt_of(picture: Picture, ink: Ink, page: Page, piece: Piece) -> str | None:
    """Why a picture shows no single digit, by its ink alone; None if it may."""
    if ink.contrast < max(FAINT, 4 * ink.noise) and page.stray > 0.1:
        return "no ink found: nothing stands out from the paper's grain"
    if page.stray > MAX_STRAY:
        return "ink all over the picture: texture or noise, not strokes"
    heights = [own.height for line in digit_lines(page) for own in line]
    if sum(height > 0.5 * piece.height for height in heights) > 1:
        return "several separate marks: --multi reads more than one digit"
    if is_shaded(picture, page):
        return "a shaded picture, not strokes"
    if _is_edge(picture, ink, piece):
        return "the edge of a shadow, not strokes"
    return shape_doubt(piece)


def _is_edge(picture: Picture, ink: Ink, piece: Piece) -> bool:
    """Whether the paper is far darker on one side of the strokes than on the other.

    Most everywhere, left and right of them, or above and below.
    """
    page = to_grey(working_size(picture.pixels))
    own = np.zeros(page.shape, bool)
    own[piece.top : piece.bottom, piece.left : piece.right] = piece.mask
    limit = max(MIN_STEP, ink.contrast / 2)
    return any(_step(*turned) > limit for turned in ((page, own), (page.T, own.T)))


def _step(grey: Grey, own: Mask) -> float:
    """How many grey levels the left of a mask is off its right, at least, in MOST of its rows."""
    changes = np.diff(np.pad(own, ((0, 0), (BESIDE, BESIDE))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(changes == 1)
    left, right = starts + 1 - 2 * BESIDE, np.nonzero(changes == -1)[1]
    inside = (left >= 0) & (right < grey.shape[1])
    if not inside.any():
        return 0.0
    rows, left, right = rows[inside], left[inside], right[inside]
    return float(np.quantile(np.abs(grey[rows, left] - grey[rows, right]), 1 - MOST))


def is_shaded(picture: Picture, page: Page) -> bool:
    """Whether most of what a small picture shows is no ink, and of several greys.

    A larger picture, or one whose border is of several greys, may have shadows. What is of one
    grey, or slopes evenly, may be a card, or a key, with a digit on it.
    """
    if max(picture.pixels.shape[:2]) > TINY:
        return False
    grey = to_grey(picture.pixels)
    if not has_even_border(grey, ONE_GREY):
        return False
    shown = np.abs(grey - np.median(border(grey)))
    shown = np.maximum(shown - GRAIN * shown.max(), 0)
    image = Image.fromarray(page.ink.astype(np.uint8) * 255)
    ink = np.asarray(image.resize(grey.shape[::-1], Image.Resampling.BOX)) > 0
    other = (shown > 0) & ~thickened(thickened(ink, 1, axis=0), 1, axis=1)
    if shown[other].sum() < MAX_OTHER * shown.sum():
        return False
    return _off_slope(grey, other) > ONE_GREY


def _off_slope(grey: Grey, where: Mask) -> float:
    """How many levels most pixels (MIN_PLAIN) are off an even slope: least trimmed squares."""
    rows, columns = np.nonzero(where)
    places = np.stack([rows, columns, np.ones_like(rows)], axis=1)
    kept, limit = np.ones(len(rows), bool), 0.0
    for _ in range(NUM_FITS):
        slope = np.linalg.lstsq(places[kept], grey[where][kept], rcond=None)[0]
        off = np.abs(grey[where] - places @ slope)
        limit = float(np.quantile(off, MIN_PLAIN))
        kept = off <= limit
    return limit


def shape_doubt(piece: Piece, beside_others: bool = False) -> str | None:
    """Why a piece can't be a digit, by its form; None if it may. Others may stand beside it."""
    size = max(piece.height, piece.width)
    length = float(piece.mask.sum()) / (max(piece.stroke, 1.0) * size)
    if piece.stroke > MAX_STROKE_SHARE * size:
        return "a blob, not strokes"
    # A 1 of a thick pen is as solid as a silhouette, but silhouettes come alone.
    if not beside_others and _is_solid(piece):
        return "a solid shape, not strokes"
    if length > MAX_LENGTH:
        return "too many strokes for a digit"
    if piece.width > MAX_ASPECT * piece.height:
        return "far wider than a digit"
    if len(piece.marks) > MAX_FRAGMENTS:
        return "many separate pieces, not the strokes of one digit"
    if piece.marks[0].contact > MAX_CONTACT:
        return "an edge or frame of the picture, not strokes"
    return None


def _is_solid(piece: Piece) -> bool:
    """Whether ink fills most of the box and is thick at its thickest: a silhouette."""
    if piece.mask.mean() <= MAX_FILLED:
        return False
    thickest = 2 * float(depths(piece.mask).max())
    return thickest > MAX_THICKNESS * max(piece.height, piece.width)
