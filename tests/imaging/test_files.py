"""Reading image files: every mode and format, and files that mean harm."""

import io
import json
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz_images import FORMATS, drawing, encoded
from PIL import Image

from mnistctl.errors import ImageError
from mnistctl.imaging import files as image_file
from mnistctl.imaging.files import (
    MAX_PIXELS,
    WORK_SIDE,
    Picture,
    expand,
    picture_of,
    read_argument,
    read_bounded,
    read_image,
)
from mnistctl.imaging.pixel_modes import as_pixels, plain_mode


def is_drawing(picture: Picture) -> bool:
    """Dark at the top left, light at the bottom right."""
    grey = picture.pixels if picture.pixels.ndim == 2 else picture.pixels.mean(axis=2)
    height, width = grey.shape
    return bool(grey[height // 5, width // 5] < 60 and grey[-3, -3] > 190)


@pytest.mark.parametrize("image_format", FORMATS)
def test_formats(image_format: str) -> None:
    picture = read_image(encoded(drawing().convert("RGB"), image_format))
    assert is_drawing(picture)
    assert (picture.width, picture.height) == (40, 30)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_modes(mode: str) -> None:
    picture = read_image(encoded(drawing().convert(mode), "TIFF"))
    assert is_drawing(picture)


def test_grey_in_colour_comes_back_as_one_channel() -> None:
    assert read_image(encoded(drawing().convert("RGB"))).pixels.shape == (30, 40)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_deep_pixels_use_their_range(bits: int) -> None:
    values = np.full((30, 40), 2**bits - 1, np.uint16)
    values[4:10, 5:13] = 0
    picture = read_image(encoded(Image.fromarray(values)))
    assert is_drawing(picture)
    assert picture.pixels.max() == 255


@pytest.mark.parametrize(("low", "high"), [(30000, 31000), (60000, 62000), (500, 550)])
def test_deep_pixels_of_a_narrow_range_are_stretched(low: int, high: int) -> None:
    values = np.full((30, 40), high, np.uint16)
    values[4:10, 5:13] = low
    pixels = read_image(encoded(Image.fromarray(values))).pixels.astype(int)
    assert pixels.max() - pixels.min() > 50
    noise = values.copy()
    noise[:] = low + np.arange(40) % 2  # a gain without a limit would make ink of the last bit
    pixels = read_image(encoded(Image.fromarray(noise))).pixels.astype(int)
    assert pixels.max() - pixels.min() <= 16


def test_float_pixels_that_are_no_numbers() -> None:
    values = np.full((30, 40), 1.0, np.float32)
    values[4:10, 5:13] = 0
    values[20, 20] = np.nan
    assert is_drawing(read_image(encoded(Image.fromarray(values), "TIFF")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "TIFF", "PNG", "WEBP"])
def test_orientation(orientation: int, image_format: str) -> None:
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = drawing().transpose(turned[orientation]) if orientation > 1 else drawing()
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_image(encoded(stored, image_format, exif=exif.tobytes()))
    assert is_drawing(picture)
    assert (picture.width, picture.height) == (40, 30)
    assert picture.pixels.shape[:2] == (30, 40)


def test_an_image_that_is_not_loaded_yet_is_turned_once() -> None:
    """Pillow turns a TIFF file when it loads it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = drawing().transpose(Image.Transpose.ROTATE_90)
    content = encoded(stored, "TIFF", exif=exif.tobytes(), compression="tiff_lzw")
    picture = picture_of(Image.open(io.BytesIO(content)))
    assert is_drawing(picture)
    assert (picture.width, picture.height) == (40, 30)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1.0, -1.0], [0, 0]),
        ([300.0, 300.0], [0, 0]),
        ([0.0, 0.5, 1.02], [0, 127, 255]),
        ([0.0, 1.0, 3.0], [0, 85, 255]),
    ],
)
def test_float_images_without_a_range_or_slightly_beyond_it(
    values: list[float], expected: list[int]
) -> None:
    image = Image.fromarray(np.array([values], np.float32))
    assert as_pixels(plain_mode(image)).tolist() == [expected]


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'>", "an SVG drawing"),
    ],
)
def test_what_is_taken_for_an_image_is_named(tmp_path: Path, head: bytes, what: str) -> None:
    path = tmp_path / "IMG_0001.heic"
    path.write_bytes(head + bytes(500))
    assert fails(path) == f"can't read {path}: it is {what}; save it as JPEG or PNG first"
    assert expand(str(tmp_path)) == [str(path)]


def test_a_directory_gives_what_can_be_an_image(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "._a.jpg", "notes.pdf", "clip.mpg", "figure.eps", "text.txt"):
        (tmp_path / name).touch()
    assert expand(str(tmp_path)) == [str(tmp_path / "a.jpg"), str(tmp_path / "b.PNG")]


@pytest.mark.parametrize("shade", [0, 255])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_strokes_on_transparency_show(shade: int, mode: str) -> None:
    image = Image.new("LA", (40, 40), (0, 0))
    image.paste((shade, 255), (10, 10, 20, 30))
    picture = read_image(encoded(image.convert(mode)))
    assert int(picture.pixels[20, 15]) == shade
    assert int(picture.pixels[2, 2]) == 255 - shade


@pytest.mark.parametrize("alpha", [255, 120, 60, 2])
def test_strokes_of_low_opacity_show(alpha: int) -> None:
    for shade in (0, 255):
        pixels = np.zeros((20, 20, 4), np.uint8)
        pixels[5:15, 8:12] = (shade, shade, shade, alpha)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        grey = read_image(file.getvalue()).pixels.astype(int)
        ink, paper = grey[10, 10].mean(), grey[0, 0].mean()
        assert abs(ink - paper) >= alpha - 1


def test_a_page_with_transparent_margins_keeps_its_paper() -> None:
    page = np.full((40, 40, 2), 255, np.uint8)
    page[:3, :, 1] = 0
    page[10:30, 18:22, 0] = 0
    pixels = read_image(encoded(Image.fromarray(page, "LA"))).pixels
    assert pixels[0, 0] == 255
    assert pixels[20, 20] == 0


def test_transparent_palette_colour() -> None:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, 0, 0, 0])
    image.paste(1, (10, 10, 20, 30))
    pixels = read_image(encoded(image, "GIF", transparency=0)).pixels
    assert pixels[20, 15] == 0
    assert pixels[2, 2] == 255


def test_first_frame_of_an_animation() -> None:
    frames = [drawing(), drawing(paper=0)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert is_drawing(read_image(content))


def test_a_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(encoded(drawing(), "BMP"))
    assert is_drawing(read_image(path))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_large_images_are_reduced(image_format: str) -> None:
    picture = read_image(encoded(drawing((4000, 3000)), image_format))
    assert max(picture.pixels.shape) <= WORK_SIDE
    assert (picture.width, picture.height) == (4000, 3000)
    assert is_drawing(picture)


def test_a_very_long_image() -> None:
    picture = read_image(encoded(Image.new("L", (20000, 1), 255)))
    assert picture.pixels.shape == (1, WORK_SIDE)


def fails(source: Path | bytes) -> str:
    """The error's one line."""
    start = time.process_time()
    with pytest.raises(ImageError) as caught:
        read_image(source)
    assert time.process_time() - start < 5
    assert "\n" not in caught.value.message
    return caught.value.message


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size without having the pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG that claims a size without having the pixels."""
    content = encoded(drawing(), "JPEG")
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def test_limits_are_those_of_the_page() -> None:
    assert "more than 64 million" in fails(png_of_size(8_001, 8_000))
    assert "more than 128 million" in fails(jpeg_of_size(12_801, 10_000))
    assert read_image(jpeg_of_size(8_001, 8_000)).width == 8_001


def test_a_pattern_gives_what_matches_it(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.txt", "a[1].png"):
        (tmp_path / name).touch()
    assert expand(f"{tmp_path}/?.png") == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert expand(f"{tmp_path}/a[1].png") == [str(tmp_path / "a[1].png")]
    with pytest.raises(ImageError, match="no file matches"):
        expand(f"{tmp_path}/*.gif")


def test_decompression_bombs() -> None:
    assert "pixels" in fails(png_of_size(60000, 60000))
    assert "pixels" in fails(png_of_size(MAX_PIXELS // 1000 + 1, 1000))
    assert "truncated" in fails(png_of_size(5000, 5000))


def chunked(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of the chunks, their lengths and checksums right."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


HEADER = (b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0))
PIXELS = (b"IDAT", zlib.compress(bytes(29 * 28)))
ZEROS = zlib.compress(bytes(1 << 28), 9)
"""256 MiB in 256 kB."""


def little_tiff(*tags: tuple[int, int, int, int], after: bytes = b"") -> bytes:
    """A TIFF of the tags (number, type, count, value)."""
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + directory + bytes(4) + after


def tiff_of_size(width: int, height: int, compression: int = 1) -> bytes:
    strips = [(273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 100)]
    size = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression)]
    return little_tiff(*size, (262, 3, 1, 1), *strips, after=bytes(500))


def gif_of_size(width: int, height: int, frame: tuple[int, int]) -> bytes:
    drawn = encoded(drawing(), "GIF")
    at = drawn.index(b",")
    screen = b"GIF89a" + struct.pack("<HH", width, height) + drawn[10:at]
    return screen + b"," + struct.pack("<HHHH", 0, 0, *frame) + drawn[at + 9 :]


def ico_with(inner: bytes) -> bytes:
    """An icon that claims 16x16 pixels and holds another picture."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


BOMBS = {
    "png of zeros": png_of_size(8000, 8000)[:-12] + chunked((b"IDAT", ZEROS))[8:],
    "png beyond": png_of_size(60000, 60000),
    "png text": chunked(HEADER, (b"zTXt", b"a\0\0" + ZEROS), PIXELS, (b"IEND", b"")),
    "png international text": chunked(
        HEADER, *[(b"iTXt", b"a\0\1\0\0\0" + ZEROS)] * 8, PIXELS, (b"IEND", b"")
    ),
    "png profile": chunked(HEADER, (b"iCCP", b"a\0\0" + ZEROS), PIXELS, (b"IEND", b"")),
    "png of more data than pixels": chunked(HEADER, (b"IDAT", ZEROS), (b"IEND", b"")),
    "png of many chunks": chunked(HEADER, *[(b"tEXt", b"")] * 100_000, PIXELS),
    "tiff beyond": tiff_of_size(60000, 60000),
    "tiff without its strips": tiff_of_size(8000, 8000),
    "tiff lzw": tiff_of_size(8000, 8000, compression=5),
    "tiff tags without end": little_tiff(*[(256, 4, 1 << 30, 8)] * 2000),
    "tiff directory in a loop": little_tiff((256, 4, 1, 9))[:-4] + struct.pack("<I", 8),
    "gif screen beyond": gif_of_size(65535, 65535, (40, 30)),
    "gif frame beyond its screen": gif_of_size(40, 30, (65535, 65535)),
    "icon with a large png": ico_with(png_of_size(13000, 13000)),
    "icon with a huge png": ico_with(png_of_size(60000, 60000)),
    "bmp beyond": b"BM"
    + struct.pack("<IIIIiiHH", 0, 0, 54, 40, 1 << 30, 1 << 30, 1, 24)
    + bytes(40),
    "ppm beyond": b"P6 99999999 99999999 255\n" + bytes(100),
    "ppm digits": b"P6 " + b"9" * 100_000 + b" 1 255\n",
    "exif in a loop": encoded(
        drawing(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0i\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0"
    ),
    "icc nonsense": encoded(drawing(), icc_profile=bytes(range(256)) * 200),
}


def fuzz(*words: str) -> dict[str, Any]:
    """The summary of `tests/fuzz_images.py`: each file was read by a process of its own."""
    generator = Path(__file__).parents[1] / "fuzz_images.py"
    command = [sys.executable, str(generator), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    summary: dict[str, Any] = json.loads(done.stdout)
    assert set(summary["outcomes"]) <= {"read", "refused"}, summary
    assert summary["megabytes"] < 1024
    assert summary["seconds"] < 5
    assert summary["stderr"] == ""
    return summary


def test_bombs_take_little_time_and_memory(tmp_path: Path) -> None:
    for number, (name, content) in enumerate(BOMBS.items()):
        (tmp_path / f"{number:02} {name}").write_bytes(content)
    assert sum(fuzz(str(tmp_path))["outcomes"].values()) == len(BOMBS)


def test_empty_and_foreign_content() -> None:
    assert "empty" in fails(b"")
    assert "its image format is not known" in fails(b"MZ" + bytes(500))
    assert "its image format is not known" in fails(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    )


def test_truncated_files() -> None:
    for image_format in ("PNG", "JPEG", "BMP", "TIFF"):
        content = encoded(drawing((200, 200)).convert("RGB"), image_format)
        fails(content[: len(content) // 2])


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "a directory" in fails(tmp_path)
    assert "No such file" in fails(tmp_path / "missing.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "symbolic links" in fails(tmp_path / "loop")
    assert "null byte" in fails(Path("a\0b"))
    assert "a device" in fails(Path("/dev/zero"))
    (tmp_path / "long").mkdir()
    assert "too long" in fails(tmp_path / ("x" * 300))


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "a pipe" in fails(tmp_path / "pipe.png")
    with pytest.raises(ImageError) as caught:
        read_argument(str(tmp_path / "pipe.png"))
    assert caught.value.message.endswith("a pipe, not a file; pass - to read standard input")


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.png")
        assert "s.png" in fails(Path("s.png"))


def test_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "MAX_BYTES", 1000)
    path = tmp_path / "big.png"
    path.write_bytes(bytes(1001))
    assert "larger than" in fails(path)
    with pytest.raises(ImageError, match="larger than"):
        read_bounded(io.BytesIO(bytes(1001)))
    assert read_bounded(io.BytesIO(bytes(1000))) == bytes(1000)


def test_a_damaged_exif_block_is_ignored() -> None:
    content = encoded(drawing(), "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 30)
    assert is_drawing(read_image(content))


def test_libtiff_stays_silent(capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(encoded(drawing((200, 200)), "TIFF", compression="tiff_lzw"))
    content[8:300] = bytes(292)
    fails(bytes(content))
    assert capfd.readouterr().err == ""


def test_libtiff_in_many_threads_leaves_stderr_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    content = encoded(drawing((40, 40)), "TIFF", compression="tiff_lzw")

    def read_many(_: int) -> None:
        for _ in range(40):
            read_image(content)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read_many, range(4)))
    os.write(2, b"still heard")
    assert capfd.readouterr().err == "still heard"


@pytest.mark.parametrize(
    ("count", "seed"), [(300, 0), pytest.param(5_000, 100_000, marks=pytest.mark.slow)]
)
def test_fuzz(count: int, seed: int) -> None:
    outcomes = fuzz(str(count), str(seed))["outcomes"]
    assert sum(outcomes.values()) == count
    assert min(outcomes.values()) > count / 10
