"""Pillow's many pixel modes, down to 8-bit grey or RGB without transparency."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistctl.imaging.masks import around

ONE_AND_OVERSHOOT = 1.5
"""The most that float images of 0..1 reach, where resampling sharpened an edge."""
DARK = 64
"""Float images whose highest value is lower, and above that, have a range of their own."""
NARROW, MAX_GAIN = 16, 16
"""Of more than 8 bits, so many levels of 256 are stretched, by so much at most."""
_DEEP = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}


def plain_mode(image: Image.Image) -> Image.Image:
    """The same picture as L, RGB, LA or RGBA."""
    if image.mode in _DEEP:
        return Image.fromarray(_to_8_bits(np.asarray(image)))
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")


def _to_8_bits(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale by the bits in use: 10- or 12-bit sensors are stored in 16-bit files."""
    if pixels.dtype.kind == "f":
        real = np.nan_to_num(pixels.astype(np.float32), posinf=0, neginf=0)
        low, high = float(real.min()), float(real.max())
        # The usual ranges of float images are 0..1 and 0..255; anything else is stretched.
        if low < 0 or high > 255:
            real = (real - low) * np.float32(255 / ((high - low) or 1))
        elif high <= ONE_AND_OVERSHOOT:
            real = np.minimum(real, 1) * np.float32(255)
        elif high < DARK:
            real = real * np.float32(255 / high)
        return real.astype(np.uint8)
    clipped = np.maximum(pixels.astype(np.int64 if pixels.dtype.itemsize > 4 else pixels.dtype), 0)
    spare_bits = max(int(clipped.max(initial=0)).bit_length() - 8, 0)
    low, high = np.quantile(clipped, (0.001, 0.999)) if spare_bits else (0, 0)
    if 0 < high - low < NARROW << spare_bits:
        gain = min(MAX_GAIN / (1 << spare_bits), 255 / (high - low))
        return np.clip((clipped - low) * gain, 0, 255).astype(np.uint8)
    # Full range for 9 bits and more; a 16-bit file that holds 8-bit values stays as it is.
    return np.right_shift(clipped, spare_bits).astype(np.uint8)


def as_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 pixels, grey as (height, width), colour as (height, width, 3), without alpha."""
    pixels: NDArray[np.uint8] = np.asarray(image)
    if image.mode in ("LA", "RGBA"):
        pixels = _without_alpha(pixels)
    # Few colour pictures are grey wherever a few pixels are.
    if pixels.ndim == 3 and all((own[..., :1] == own).all() for own in (pixels[::8, ::8], pixels)):
        pixels = pixels[..., 0]
    return pixels


def _without_alpha(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a transparent picture on a background that shows what is drawn on it.

    Strokes exported from a canvas have one shade, black or white alike, and get the opposite
    one behind them. A page with transparent margins gets its own paper's shade.
    """
    if (pixels[..., -1] == 255).all():
        return pixels[..., 0] if pixels.shape[-1] == 2 else pixels[..., :-1]
    colour, alpha = pixels[..., :-1].astype(np.float32), pixels[..., -1:].astype(np.float32) / 255
    solid = pixels[..., -1] >= min(128, max((int(pixels[..., -1].max()) + 1) // 2, 1))
    if solid.all() or not solid.any():
        background = np.full(colour.shape[-1], 255, np.float32)
    else:
        shades = colour[solid]
        is_page = solid[around(solid)].mean() > 0.8 and shades.mean(axis=1).std() > 12
        opposite = np.float32(255 if shades.mean() < 128 else 0)
        background = np.median(shades, axis=0) if is_page else np.full(shades.shape[1], opposite)
    merged = colour * alpha + background * (1 - alpha)
    flat: NDArray[np.uint8] = np.rint(merged).astype(np.uint8)
    return flat[..., 0] if flat.shape[-1] == 1 else flat
