"""Image files with bytes changed, cut, doubled or moved: `python fuzz_images.py N SEED`.

With a directory instead, the files in it.
"""

import io
import json
import os
import random
import sys
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from forked import run
from PIL import Image

from mnistctl.errors import ImageError
from mnistctl.imaging.files import WORK_SIDE, read_image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "PCX", "SGI")
MAX_MEGABYTES = 1024
"""A file may claim 64 million pixels of several bytes, and have them."""


def drawing(size: tuple[int, int] = (40, 30), paper: int = 255, ink: int = 0) -> Image.Image:
    """A light page with a dark block at the top left."""
    image = Image.new("L", size, paper)
    image.paste(ink, (size[0] // 8, size[1] // 8, size[0] // 3, size[1] // 3))
    return image


def encoded(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    """The content of a file."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def seeds() -> list[bytes]:
    """Ten formats, and variants that other code of Pillow's reads."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made = [encoded(drawing().convert("RGB"), name) for name in FORMATS]
    made.append(encoded(drawing(), "GIF", save_all=True, append_images=[drawing(paper=0)]))
    for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        made.append(encoded(drawing().convert("RGB"), "TIFF", compression=compression))
    made.append(encoded(drawing(), "JPEG", progressive=True, exif=exif.tobytes()))
    made.append(encoded(drawing().convert("RGBA"), icc_profile=bytes(300), exif=exif.tobytes()))
    made.append(encoded(drawing().convert("P"), bits=4, transparency=1))
    made.append(encoded(Image.fromarray(np.full((30, 40), 60_000, np.uint16))))
    made.append(encoded(drawing().convert("RGBA"), "WEBP", lossless=True, exif=exif.tobytes()))
    made.append(encoded(drawing().convert("RGBA"), "ICO", sizes=[(32, 24)]))
    return made


def case(seed: int, originals: list[bytes]) -> bytes:
    """The file of a seed."""
    draw = random.Random(seed)
    content = bytearray(draw.choice(originals))
    for _ in range(draw.choice((1, 2, 8, 32))):
        at = draw.randrange(len(content)) if draw.random() < 0.5 else draw.randrange(60)
        at = min(at, len(content) - 1)
        content[at] = draw.choice((0, 1, 127, 128, 255, draw.randrange(256)))
    if draw.random() < 0.3:
        del content[draw.randrange(1, len(content)) :]
    if draw.random() < 0.1:
        content = content * 2
    if draw.random() < 0.1:
        other = draw.choice(originals)
        at = draw.randrange(len(content))
        content[at:] = other[at:]
    return repaired(bytes(content)) if draw.random() < 0.5 else bytes(content)


def repaired(content: bytes) -> bytes:
    """A PNG with its checksums made right again, so that more of it is read; others as they are."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    out, at = content[:8], 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        kind_and_data = content[at + 4 : at + 8 + length]
        out += content[at : at + 4] + kind_and_data + zlib.crc32(kind_and_data).to_bytes(4, "big")
        at += 12 + length
    return out + content[at:]


def judge(content: bytes) -> str:
    """`refused` with an ImageError of one line, or `read` as a picture of the promised form."""
    try:
        picture = read_image(content)
    except ImageError as error:
        brief = len(error.message) < 300 and "\n" not in error.message
        return "refused" if brief else f"said {error.message:.100}"
    small = 0 < min(picture.pixels.shape[:2]) <= max(picture.pixels.shape[:2]) <= WORK_SIDE
    return "read" if small and picture.pixels.dtype == np.uint8 else "no picture"


def main(words: list[str]) -> dict[str, object]:
    """Read the cases and sum up, with what libraries wrote to stderr."""
    originals = seeds()
    cases: Iterable[bytes]
    if len(words) == 1:
        cases = [path.read_bytes() for path in sorted(Path(words[0]).iterdir())]
    else:
        count, seed = map(int, words)
        cases = (case(number, originals) for number in range(seed, seed + count))
    for content in [*originals, *(case(number, originals) for number in range(200))]:
        judge(content)  # imports what Pillow imports late
    with tempfile.TemporaryFile() as said:
        before = os.dup(2)
        os.dup2(said.fileno(), 2)
        summary = run(cases, judge, MAX_MEGABYTES)
        os.dup2(before, 2)
        said.seek(0)
        return summary.to_dict() | {"stderr": said.read()[:500].decode(errors="replace")}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
