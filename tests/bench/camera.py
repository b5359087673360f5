"""Photographs made harder by what cameras, light and paper do, each through `predict`."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage

from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.predict import predict_prepared
from mnistctl.events import Reporter
from mnistctl.imaging.files import read_image
from mnistctl.imaging.prepare import prepare
from tests.bench.figures import append, identity, machine, markdown, show_share
from tests.bench.photos import read_index

Photo: TypeAlias = NDArray[np.float32]
"""float32 (height, width, 3), 0..1."""
Light: TypeAlias = NDArray[np.float32]
"""float32 (height, width), 0..1."""
Rng: TypeAlias = np.random.Generator

SIDE = 480
"""The longer side of a picture before it is made harder, in pixels."""
SEED = 22
QUALITY = 88
"""Of the JPEG files that a telephone writes, about."""


def cast_shadow(photo: Photo, rng: Rng) -> Photo:
    """A shadow with a soft edge, such as that of a head."""
    return photo * _shade(_half_plane(photo, rng) / (0.05 * SIDE), rng.uniform(0.4, 0.6))


def hard_shadow(photo: Photo, rng: Rng) -> Photo:
    """A shadow with a sharp edge, such as that of the telephone."""
    corner = np.minimum(_half_plane(photo, rng), _half_plane(photo, rng) + 0.15 * SIDE)
    return photo * _shade(corner / 1.5, rng.uniform(0.35, 0.55))


def fold(photo: Photo, rng: Rng) -> Photo:
    """Paper that was folded: two slopes of light and a crease."""
    distance = _half_plane(photo, rng)
    slope = np.where(distance > 0, 1 - 0.25 * np.exp(-distance / (0.3 * SIDE)), 1.0)
    slope = np.where(distance <= 0, 0.97 + 0.03 * np.exp(distance / (0.2 * SIDE)), slope)
    dark = 1 - 0.3 * np.exp(-((distance / 2.0) ** 2))
    bright = 0.12 * np.exp(-(((distance + 5) / 2.5) ** 2))
    return photo * _layers(slope * (dark + bright))


def coloured_paper(photo: Photo, rng: Rng) -> Photo:
    """Yellow, pink, green, blue, orange or brown paper."""
    papers = ((250, 220, 80), (245, 160, 190), (140, 215, 140), (130, 180, 240), (250, 170, 90),
              (190, 150, 105))  # fmt: skip
    return _written(photo, _pick(papers, rng), (25, 25, 45))


def red_ink(photo: Photo, rng: Rng) -> Photo:
    """A red pen on white paper."""
    return _written(
        photo, (240, 238, 232), _pick(((215, 40, 45), (230, 80, 90), (190, 30, 60)), rng)
    )


def pencil(photo: Photo, rng: Rng) -> Photo:
    """A hard pencil: faint, and only on the tips of the paper's grain."""
    bare = _bareness(photo)
    grain = ndimage.gaussian_filter(rng.normal(0, 1, bare.shape), 1.0)
    cover = np.clip(0.75 + 0.8 * grain, 0.2, 1)
    level = rng.uniform(0.18, 0.3)
    paper = 0.86 + 0.02 * rng.normal(0, 1, bare.shape)
    return _layers(paper - level * (1 - bare) * cover)


def squared_paper(photo: Photo, rng: Rng) -> Photo:
    """Blue squares under the writing."""
    lines = np.maximum(_lines(photo, rng, 0), _lines(photo, rng, 1))
    return _printed(_written(photo, (245, 245, 242), (35, 35, 60)), lines, (140, 175, 220))


def ruled_paper(photo: Photo, rng: Rng) -> Photo:
    """Grey-blue lines and a red margin under the writing."""
    page = _written(photo, (245, 243, 235), (40, 40, 50))
    page = _printed(page, _lines(photo, rng, 0, 0.13), (130, 150, 190))
    column = int(rng.uniform(0.04, 0.12) * page.shape[1])
    margin = np.zeros(page.shape[:2], np.float32)
    margin[:, column : column + 3] = 1
    return _printed(page, margin, (225, 120, 125))


def screen(photo: Photo, rng: Rng) -> Photo:
    """A telephone's picture of a screen: its pixels' colours, beating with the camera's."""
    height, width = photo.shape[:2]
    angle, period = rng.uniform(-0.1, 0.1), rng.uniform(2.6, 3.6)
    down, right = np.mgrid[0:height, 0:width]
    along = (right * np.cos(angle) + down * np.sin(angle)) / period
    across = (down * np.cos(angle) - right * np.sin(angle)) / period
    thirds = np.stack([np.cos(2 * np.pi * (along - k / 3)) for k in range(3)], axis=-1)
    rows = np.cos(2 * np.pi * across)[..., None]
    lit = photo * (1 + 0.5 * thirds) * (1 + 0.3 * rows)
    beat = 1 + 0.08 * np.cos(2 * np.pi * along * rng.uniform(0.02, 0.05))[..., None]
    return ndimage.gaussian_filter(lit * beat, (0.7, 0.7, 0)).astype(np.float32)


def jpeg_20(photo: Photo, rng: Rng) -> Photo:
    """A JPEG file of quality 20, of half the size."""
    return _through_jpeg(_resized(photo, SIDE // 2), 20)


def finger(photo: Photo, rng: Rng) -> Photo:
    """A finger that reaches in from the side."""
    reach, width = rng.uniform(0.2, 0.28) * SIDE, rng.uniform(0.18, 0.26) * SIDE
    turned = np.rot90(photo, turns := int(rng.integers(4)))
    edge = ndimage.gaussian_filter1d(np.median(turned[-16:], axis=0), 6, axis=0)
    page = np.concatenate([turned, np.broadcast_to(edge, (round(reach), *edge.shape))])
    height, columns = page.shape[:2]
    down, right = np.mgrid[0:height, 0:columns]
    middle = rng.uniform(0.25, 0.75) * columns
    lean = (down - height) * rng.uniform(-0.3, 0.3)
    across = (right - middle - lean) / (width / 2)
    top = height - reach + 0.35 * width * across**2
    inside = 1 / (1 + np.exp(np.clip(np.maximum(np.abs(across) * width / 2 - width / 2,
                                                top - down) / 2.5, -30, 30)))  # fmt: skip
    skin = np.array(_pick(((224, 172, 140), (198, 134, 100), (141, 85, 60)), rng)) / 255
    round_light = 1 - 0.3 * np.clip(across, -1, 1) ** 2
    covered = page * _layers(1 - inside) + skin * _layers(inside * round_light)
    return np.rot90(covered, -turns).astype(np.float32)


def motion_blur(photo: Photo, rng: Rng) -> Photo:
    """A camera that moved."""
    length, angle = rng.uniform(0.03, 0.05) * SIDE, rng.uniform(0, np.pi)
    size = 2 * round(length / 2) + 3
    path = Image.new("L", (4 * size, 4 * size))
    middle, dx, dy = 2 * size, 2 * length * np.cos(angle), 2 * length * np.sin(angle)
    ImageDraw.Draw(path).line(
        (middle - dx, middle - dy, middle + dx, middle + dy), fill=255, width=5
    )
    kernel = np.asarray(path.resize((size, size), Image.Resampling.BOX), np.float32)
    return _convolved(photo, kernel)


def defocus(photo: Photo, rng: Rng) -> Photo:
    """A camera that focused on something else."""
    radius = rng.uniform(0.015, 0.025) * SIDE
    reach = int(np.ceil(radius))
    down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return _convolved(photo, (down**2 + right**2 <= radius**2).astype(np.float32))


def low_light(photo: Photo, rng: Rng) -> Photo:
    """A dark room: few photons, a sensor's noise, dark corners."""
    height, width = photo.shape[:2]
    down, right = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    photons = 40 * photo * _layers(1 - 0.3 * (down**2 + right**2))
    seen = rng.poisson(np.maximum(photons, 0)) + rng.normal(0, 2.5, photo.shape)
    return np.asarray(seen / 40 * rng.uniform(0.3, 0.5), np.float32)


def glare(photo: Photo, rng: Rng) -> Photo:
    """Too much light, and a lamp's reflection on the ink."""
    height, width = photo.shape[:2]
    down, right = np.mgrid[0:height, 0:width]
    y, x = rng.uniform(0.25, 0.75, 2) * (height, width)
    reach = rng.uniform(0.12, 0.2) * SIDE
    spot = np.exp(-((down - y) ** 2 + (right - x) ** 2) / (2 * reach**2))
    return photo * np.float32(1.2) + _layers(rng.uniform(0.3, 0.55) * spot)


def perspective(photo: Photo, rng: Rng) -> Photo:
    """A sheet seen from the side, on a table."""
    height, width = photo.shape[:2]
    shift = rng.uniform(0.02, 0.16, (4, 2)) * SIDE
    corners = np.array([(0, 0), (0, height), (width, height), (width, 0)], float)
    inward = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)])
    seen = corners + inward * shift
    rows = []
    for (x, y), (u, v) in zip(seen, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solved = np.linalg.solve(np.array(rows), corners.ravel())
    table = _pick(((90, 60, 40), (60, 62, 66), (150, 115, 80)), rng)
    image = _image(photo).transform(
        (width, height), Image.Transform.PERSPECTIVE, solved.tolist(),
        Image.Resampling.BICUBIC, fillcolor=table,
    )  # fmt: skip
    return _photo(image)


def rotation(photo: Photo, rng: Rng) -> Photo:
    """Turned by up to 10 degrees, the corners filled with black or white."""
    angle = float(rng.uniform(4, 10) * rng.choice((-1, 1)))
    fill = _pick(((0, 0, 0), (255, 255, 255)), rng)
    turned = _image(photo).rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=fill)
    return _photo(turned)


def low_resolution(photo: Photo, rng: Rng) -> Photo:
    """40 pixels on the longer side."""
    return _resized(photo, 40)


def stains(photo: Photo, rng: Rng) -> Photo:
    """A ring of coffee and drops of it."""
    height, width = photo.shape[:2]
    down, right = np.mgrid[0:height, 0:width]
    tint = np.zeros((height, width), np.float32)
    y, x = rng.uniform(0, 1, 2) * (height, width)
    distance = np.hypot(down - y, right - x) - rng.uniform(0.3, 0.5) * SIDE
    tint += 0.45 * np.exp(-((distance / (0.012 * SIDE)) ** 2)) + 0.12 * (distance < 0)
    for _ in range(4):
        y, x = rng.uniform(0, 1, 2) * (height, width)
        radius = rng.uniform(0.01, 0.04) * SIDE
        tint += 0.3 / (1 + np.exp(np.clip((np.hypot(down - y, right - x) - radius) / 1.5, -30, 30)))
    coffee = np.array((150, 95, 45)) / 255
    return np.asarray(photo * (1 - _layers(tint) * (1 - coffee)), np.float32)


def show_through(photo: Photo, rng: Rng) -> Photo:
    """Thin paper: what is written on its back, mirrored and blurred."""
    bare = _bareness(photo)
    back = np.roll(bare[:, ::-1], rng.integers(-60, 60, 2), axis=(0, 1))
    back = ndimage.gaussian_filter(back, 3.0)
    page = _written(photo, (244, 242, 236), (30, 32, 70))
    return page * _layers(1 - rng.uniform(0.2, 0.32) * (1 - back))


KINDS: tuple[Callable[[Photo, Rng], Photo], ...] = (
    cast_shadow, hard_shadow, fold, coloured_paper, red_ink, pencil, squared_paper, ruled_paper,
    screen, jpeg_20, finger, motion_blur, defocus, low_light, glare, perspective, rotation,
    low_resolution, stains, show_through,
)  # fmt: skip


def _half_plane(photo: Photo, rng: Rng) -> Light:
    """Distance in pixels from a line through the picture's middle third, negative on one side."""
    height, width = photo.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = rng.uniform(0.35, 0.65, 2) * (height, width)
    down, right = np.mgrid[0:height, 0:width]
    return np.asarray((down - y) * np.sin(angle) + (right - x) * np.cos(angle), np.float32)


def _shade(distance: Light, depth: float) -> Light:
    """Light that is less by `depth` where the distance is positive."""
    return _layers(1 - depth / (1 + np.exp(np.clip(-distance, -30, 30))))


def _layers(grey: NDArray[Any]) -> Light:
    return np.asarray(grey, np.float32)[..., None].repeat(3, axis=-1)


def _pick(colours: Sequence[tuple[int, int, int]], rng: Rng) -> tuple[int, int, int]:
    return colours[int(rng.integers(len(colours)))]


def _bareness(photo: Photo) -> Light:
    """1 for bare paper, 0 for ink, whichever of them is light, wherever the light comes from."""
    grey = photo @ np.array([0.299, 0.587, 0.114], np.float32)
    border = np.concatenate([grey[:4].ravel(), grey[-4:].ravel(), grey[:, :4].ravel()])
    paper = np.full_like(grey, np.median(border))
    if border.std() > 0.05:
        tiny = np.asarray(Image.fromarray(grey).resize((40, 40), Image.Resampling.BILINEAR))
        local = Image.fromarray(ndimage.median_filter(tiny, 17, mode="mirror"))
        paper = np.asarray(local.resize(grey.shape[::-1], Image.Resampling.BILINEAR))
    darker, lighter = np.maximum(paper - grey, 0), np.maximum(grey - paper, 0)
    inky = [max(float(np.quantile(own, 0.998)), 0.05) for own in (darker, lighter)]
    ink = darker / inky[0] if inky[0] > inky[1] else lighter / inky[1]
    return np.asarray(1 - np.clip(ink, 0, 1), np.float32)


def _written(photo: Photo, paper: Sequence[int], pen: Sequence[int]) -> Photo:
    """The same writing with another pen on other paper."""
    bare = _layers(_bareness(photo))
    return np.asarray(bare * np.array(paper) + (1 - bare) * np.array(pen), np.float32) / 255


def _lines(photo: Photo, rng: Rng, axis: int, share: float = 0.09) -> Light:
    """1 on printed lines, which may lean by a degree."""
    height, width = photo.shape[:2]
    spacing, lean = share * SIDE * rng.uniform(0.85, 1.3), rng.uniform(-0.015, 0.015)
    along, across = np.mgrid[0:height, 0:width][:: -1 if axis else 1]
    offset = (along + lean * across + rng.uniform(0, spacing)) % spacing
    return np.asarray(np.clip(2 - np.abs(offset - spacing / 2), 0, 1), np.float32)


def _printed(page: Photo, where: Light, colour: Sequence[int]) -> Photo:
    return page * (1 - _layers(where) * (1 - np.array(colour, np.float32) / 255))


def _convolved(photo: Photo, kernel: Light) -> Photo:
    kernel = kernel / kernel.sum()
    layers = [ndimage.convolve(photo[..., k], kernel, mode="nearest") for k in range(3)]
    return np.stack(layers, axis=-1)


def _image(photo: Photo) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(photo, 0, 1) * 255).astype(np.uint8))


def _photo(image: Image.Image) -> Photo:
    return np.asarray(image, np.float32) / 255


def _resized(photo: Photo, side: int) -> Photo:
    image = _image(photo)
    scale = side / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    return _photo(image.resize(size, Image.Resampling.BICUBIC))


def _through_jpeg(photo: Photo, quality: int) -> Photo:
    with Image.open(io.BytesIO(_jpeg(photo, quality))) as image:
        return _photo(image)


def _jpeg(photo: Photo, quality: int) -> bytes:
    file = io.BytesIO()
    _image(photo).save(file, "JPEG", quality=quality)
    return file.getvalue()


def base_photo(path: Path) -> Photo:
    """An image file in colour, its longer side `SIDE`; transparency on white."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    return _resized(_photo(Image.alpha_composite(paper, image).convert("RGB")), SIDE)


def harder(photo: Photo, kind: Callable[[Photo, Rng], Photo], number: int) -> bytes:
    """The JPEG file of a picture made harder; the same for the same kind and number."""
    rng = np.random.default_rng((SEED, KINDS.index(kind), number))
    return _jpeg(kind(photo, rng), QUALITY)


@dataclass(frozen=True)
class Tally:
    """Right answers of a kind: in all, and for the writers that nothing was developed on."""

    right: int
    n: int
    unseen_right: int
    unseen_n: int


def measure(checkpoint: str | None, digits: Path, store: Path) -> None:
    """Print the table; append a line to results/camera.jsonl."""
    model = load_model(checkpoint, store, "cpu", None, Reporter())
    entries = read_index(digits)
    unseen = unseen_writers([path for path, _, _ in entries])
    photos = [base_photo(path) for path, _, _ in entries]
    right = {
        "as they are": [read_right(model, path.read_bytes(), label) for path, label, _ in entries]
    }
    for kind in KINDS:
        right[kind.__name__.replace("_", " ")] = [
            read_right(model, harder(photo, kind, number), label)
            for number, (photo, (_, label, _)) in enumerate(zip(photos, entries, strict=True))
        ]
    tallies = {kind: tally(answers, unseen) for kind, answers in right.items()}
    document = {
        **identity(model.predictor),
        "seed": SEED,
        "kinds": {kind: vars(own) for kind, own in tallies.items()},
        "machine": machine(),
    }
    append("camera", document)
    print(f"{model.label}\n\n{table(tallies)}")


def unseen_writers(paths: Sequence[Path]) -> list[bool]:
    """Which pictures, DIGIT_WRITER_NUMBER, are by every other writer in the order of names."""
    names = [path.stem.split("_")[1] for path in paths]
    held_out = set(sorted(set(names))[1::2])
    return [name in held_out for name in names]


def read_right(model: LoadedModel, content: bytes, label: int) -> bool:
    """Whether `predict` names the digit of an image file's content."""
    prepared = prepare(read_image(content))
    (prediction,) = predict_prepared(model.predictor, [(0, "", prepared)])
    return prediction.digit == label


def tally(right: Sequence[bool], unseen: Sequence[bool]) -> Tally:
    """Counts of right answers."""
    both = [own and new for own, new in zip(right, unseen, strict=True)]
    return Tally(sum(right), len(right), sum(both), sum(unseen))


def table(tallies: dict[str, Tally]) -> str:
    """Markdown: accuracy with Wilson's 95 % interval, and the mean error over all hard kinds."""
    rows = [
        [kind, str(own.n), show_share(own.right, own.n), show_share(own.unseen_right, own.unseen_n)]
        for kind, own in tallies.items()
    ]
    hard = list(tallies.values())[1:]
    error = sum(1 - own.right / own.n for own in hard) / len(hard)
    unseen = sum(1 - own.unseen_right / own.unseen_n for own in hard) / len(hard)
    mean = ["mean error of the hard ones", "", f"{100 * error:.1f} %", f"{100 * unseen:.1f} %"]
    return markdown(["pictures", "n", "right", "writers left out"], [*rows, mean])
