"""Numbers of several digits, apart and touching, on plain, ruled and squared paper."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mnistctl.data.registry import get_dataset
from mnistctl.data.sampling import split_validation
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.predict import asking, predict_prepared
from mnistctl.events import Reporter
from mnistctl.imaging.files import read_image
from mnistctl.imaging.prepare import prepare_digits
from tests.bench.figures import append, identity, machine, markdown, show_share

Paper = Literal["plain", "ruled", "squared"]
Join = Literal["touching", "separate", "any"]
Values = NDArray[np.float32]
Box = tuple[int, int, int, int]
PAPERS: tuple[Paper, ...] = ("plain", "ruled", "squared")
# Between the ink of neighbours where it comes nearest, in pixels of MNIST's; below 0 it overlaps.
GAPS: dict[Join, tuple[float, float]] = {
    "touching": (-2.5, 0), "separate": (1, 8), "any": (-2.5, 8),
}  # fmt: skip


SETS: dict[str, tuple[int, Join]] = {
    "pairs that touch": (2, "touching"),
    "pairs apart": (2, "separate"),
    **{f"{length} digits": (length, "any") for length in (2, 3, 4, 5, 6)},
}
SEED = 22


@dataclass(frozen=True)
class Number:
    """A picture of a number, PNG or JPEG, and what it shows.

    `boxes` are left, top, right, bottom of each digit's ink. `joints` tell of each pair of
    neighbours whether their ink is in one connected piece.
    """

    content: bytes
    digits: tuple[int, ...]
    boxes: tuple[Box, ...]
    joints: tuple[bool, ...]


@dataclass(frozen=True)
class Answer:
    """The answer for one digit that was found.

    `cut` tells that it touched its neighbour, `right` that it is in its place what it should be.
    """

    verdict: str
    cut: bool
    right: bool


def measure(checkpoint: str | None, store: Path, data_dir: Path, count: int, held_out: int) -> None:
    """Print the tables; append a line to results/numbers.jsonl.

    `count` numbers of each set on each paper. With `held_out` of so many training images that
    `train --validation` of the same number, seed 0, leaves out, else of test images.
    """
    model = load_model(checkpoint, store, "cpu", None, Reporter())
    data = get_dataset("mnist").load("train" if held_out else "test", data_dir, Reporter())
    images, labels = data.images.numpy(), data.labels.numpy()
    if held_out:
        chosen = split_validation(0, len(images), held_out)[1].numpy()
        images, labels = images[chosen], labels[chosen]
    right: dict[str, dict[Paper, int]] = {}
    answers: list[Answer] = []
    for name, (length, join) in SETS.items():
        right[name] = dict.fromkeys(PAPERS, 0)
        for paper in PAPERS:
            for number in numbers(images, labels, count, length, paper, join, SEED):
                whole, own = read(model, number)
                right[name][paper] += whole
                answers += own
    called = called_digit(answers)
    line = {
        **identity(model.predictor),
        "precision": model.predictor.precision,
        "images": f"{held_out} held-out training" if held_out else "test",
        "count": count,
        "right": right,
        "called_digit": called,
        "machine": machine(),
    }
    append("numbers", line)
    print(f"{model.label}\n\n{right_table(right, count)}\n\n{called_table(called)}")


def read(model: LoadedModel, number: Number) -> tuple[bool, list[Answer]]:
    """Whether `predict --multi` reads the number as a whole; and each digit that it finds.

    What it calls no digit is no part of what it reads.
    """
    predictor = model.predictor
    found = prepare_digits(read_image(number.content), "auto", asking(predictor))
    predictions = list(predict_prepared(predictor, [(0, "", own) for own in found], True))
    said = tuple(own.digit for own in predictions if own.digit is not None)
    answers = []
    for prepared, own in zip(found, predictions, strict=True):
        overlaps = [overlap(own.box, box) for box in number.boxes]
        meant = int(np.argmax(overlaps))
        right = overlaps[meant] > 0.5 and own.digit == number.digits[meant]
        answers.append(Answer(own.verdict, prepared.touching, right))
    return said == number.digits, answers


def overlap(a: Box, b: Box) -> float:
    """Intersection of two boxes over their union, 0..1."""
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    both = max(width, 0) * max(height, 0)
    areas = sum((right - left) * (bottom - top) for left, top, right, bottom in (a, b))
    return both / (areas - both)


def called_digit(answers: Sequence[Answer]) -> dict[str, dict[str, int]]:
    """Of digits that were cut off, and of the others: how many are called `digit`, and right."""
    counts = {}
    for name, cut in (("cut off", True), ("apart", False)):
        own = [answer for answer in answers if answer.cut == cut]
        sure = [answer for answer in own if answer.verdict == "digit"]
        counts[name] = {
            "n": len(own),
            "right": sum(answer.right for answer in own),
            "digit": len(sure),
            "digit_right": sum(answer.right for answer in sure),
        }
    return counts


def right_table(right: dict[str, dict[Paper, int]], count: int) -> str:
    """Markdown: numbers read right as a whole, in per cent, with Wilson's 95 % interval."""
    rows = [
        [
            name,
            str(count * len(PAPERS)),
            *(show_share(own[paper], count) for paper in PAPERS),
            show_share(sum(own.values()), count * len(PAPERS)),
        ]
        for name, own in right.items()
    ]
    return markdown(["numbers", "n", *PAPERS, "all"], rows)


def called_table(called: dict[str, dict[str, int]]) -> str:
    """Markdown: the digits found, how many of them are right, and of those called `digit`."""
    rows = [
        [
            name,
            str(own["n"]),
            show_share(own["right"], own["n"]),
            show_share(own["digit"], own["n"]),
            show_share(own["digit_right"], own["digit"]),
        ]
        for name, own in called.items()
    ]
    return markdown(["digits found", "n", "right", "called `digit`", "of these right"], rows)


def numbers(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    count: int,
    length: int,
    paper: Paper,
    join: Join,
    seed: int,
) -> Iterator[Number]:
    """`count` numbers of `length` digits taken at random from MNIST's uint8 (n, 28, 28)."""
    rng = np.random.default_rng([seed, length, PAPERS.index(paper), list(GAPS).index(join)])
    made = 0
    while made < count:
        chosen = rng.integers(0, len(images), length)
        ink, boxes, joints = _line(images[chosen], join, rng)
        if join != "any" and set(joints) != {join == "touching"}:
            continue
        made += 1
        content = _file(_photographed(ink, boxes, paper, rng), rng)
        yield Number(content, tuple(labels[chosen].tolist()), tuple(boxes), tuple(joints))


def _line(
    images: NDArray[np.uint8], join: Join, rng: np.random.Generator
) -> tuple[Values, list[Box], list[bool]]:
    """Digits side by side, 0 for paper and 1 for ink, their boxes, and which neighbours touch."""
    scale = rng.uniform(2, 4)
    shapes = [_enlarged(image, scale * rng.uniform(0.9, 1.1)) for image in images]
    margin = round(rng.uniform(12, 30) * scale)
    height = round(26 * scale) + 2 * margin
    ink = np.zeros((height, sum(s.shape[1] for s in shapes) + round(60 * scale)), np.float32)
    boxes: list[Box] = []
    joints: list[bool] = []
    for shape in shapes:
        down, across = shape.shape
        top = round(height - margin - down + rng.normal(0, 0.8 * scale))
        left = round(12 * scale)
        if boxes:
            gap = round(rng.uniform(*GAPS[join]) * scale)
            last = boxes[-1]
            deepest = last[2] - round(0.35 * min(across, last[2] - last[0]))
            left = max(_against(ink[top : top + down], shape) + gap, deepest)
        own = np.zeros_like(ink)
        own[top : top + down, left : left + across] = shape
        if boxes:
            joints.append(_joined(ink > 0.5, own > 0.5, boxes[-1]))
        ink = np.maximum(ink, own)
        boxes.append((left, top, left + across, top + down))
    return ink[:, : boxes[-1][2] + margin], boxes, joints


def _enlarged(image: NDArray[np.uint8], scale: float) -> Values:
    """The ink of a digit, cut to its outline at half of the ink, 0..1."""
    size = round(28 * scale)
    large = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    ink = np.asarray(large, np.float32) / 255
    rows, columns = ndimage.find_objects((ink > 0.5).astype(int))[0]
    return ink[rows, columns]


def _against(ink: Values, shape: Values) -> int:
    """The column at which `shape` meets what lies to its left in the same rows."""
    theirs, own = ink > 0.5, shape > 0.5
    both = theirs.any(axis=1) & own.any(axis=1)
    ends = ink.shape[1] - theirs[:, ::-1].argmax(axis=1)
    if not both.any():
        return int(ends[theirs.any(axis=1)].max(initial=0))
    return int((ends - own.argmax(axis=1))[both].max())


def _joined(ink: NDArray[np.bool_], own: NDArray[np.bool_], last: Box) -> bool:
    left, top, right, bottom = last
    labels, _ = ndimage.label(ink | own, np.ones((3, 3)))
    before = labels[top:bottom, left:right][ink[top:bottom, left:right]]
    return bool(np.isin(labels[own], before).any())


def _photographed(
    ink: Values, boxes: Sequence[Box], paper: Paper, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The ink in a grey pen on paper, as a camera shows it: uint8 (height, width, 3)."""
    light, pen = rng.uniform(200, 250), rng.uniform(20, 110)
    page = np.full((*ink.shape, 3), light)
    faint = rng.uniform(0.2, 0.5) * (light - pen)
    colour = light - faint * (np.array([1, 0.8, 0.3]) if rng.random() < 0.5 else np.ones(3))
    tall = float(np.mean([bottom - top for _, top, _, bottom in boxes]))
    foot = boxes[0][3] + rng.normal(0, 0.05 * tall)
    lines = _lines(ink.shape, paper, tall, foot, rng)[..., None]
    page = page * (1 - lines) + colour * lines
    page = page * (1 - ink[..., None]) + pen * ink[..., None]
    page *= np.linspace(1, rng.uniform(0.85, 1.0), ink.shape[1])[:, None]
    page = ndimage.gaussian_filter(page, (blur := rng.uniform(0, 0.8), blur, 0))
    page += rng.normal(0, rng.uniform(1, 7), page.shape)
    page = 255 - page if rng.random() < 0.25 else page
    return np.rint(np.clip(page, 0, 255)).astype(np.uint8)


def _lines(
    shape: tuple[int, ...], paper: Paper, tall: float, foot: float, rng: np.random.Generator
) -> Values:
    """Lines of the paper, 0..1: under the number's foot, or squares as if by chance."""
    found = np.zeros(shape, np.float32)
    if paper == "plain":
        return found
    down, right = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    slope, width = np.tan(np.radians(rng.uniform(-1, 1))), rng.uniform(0.02, 0.045) * tall
    apart = tall * (rng.uniform(1.3, 2) if paper == "ruled" else rng.uniform(0.45, 0.9))
    start = foot if paper == "ruled" else rng.uniform(0, apart)
    across = [(down - slope * right - start)]
    if paper == "squared":
        across.append(right + slope * down - rng.uniform(0, apart))
    for offset in across:
        distance = np.abs((offset + apart / 2) % apart - apart / 2)
        found = np.maximum(found, np.clip(width / 2 + 0.5 - distance, 0, 1))
    return found


def _file(pixels: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    options: dict[str, Any] = {"format": "PNG"}
    if rng.random() < 0.5:
        options = {"format": "JPEG", "quality": int(rng.integers(50, 96))}
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()
