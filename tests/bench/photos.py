"""Photographs of handwriting through `predict`, beside the usual way; and images of no digit."""

import csv
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.predict import Prediction, predict
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.events import Reporter
from tests.bench.figures import append, identity, machine, markdown, show_share
from tests.bench.outlier_pictures import KINDS, NEW_KINDS, outlier_pictures

GROUPS = {"canvas": "drawing", "photo-preprocessed": "photo"}
"""Kinds of the index that count as another one."""
VERDICTS = ("digit", "uncertain", "not-a-digit")
NUM_OUTLIERS, OUTLIER_SEED = 100, 2
"""Pictures of each kind; the seed is of this benchmark alone."""


@dataclass(frozen=True)
class Reading:
    """What became of one picture."""

    kind: str
    label: int | None
    """None: it shows no digit."""
    digit: int | None
    verdict: str
    """One of VERDICTS, or `unreadable`."""

    @property
    def right(self) -> bool:
        """Whether the digit was named; called no digit, it was not."""
        return self.label is not None and self.digit == self.label


def measure(checkpoint: str | None, digits: Path, store: Path) -> None:
    """Print the tables; append a line to results/photos.jsonl."""
    model = load_model(checkpoint, store, "cpu", None, Reporter())
    entries = read_index(digits)
    paths = [path for path, _, _ in entries]
    answers = ask(model, paths)
    true = [reading_of(kind, label, answers.get(str(path))) for path, label, kind in entries]
    plain = right_by_resizing(model.predictor, entries, find_polarity=False)
    polar = right_by_resizing(model.predictor, entries, find_polarity=True)
    false = read_outliers(model, KINDS)
    new = read_outliers(model, NEW_KINDS)
    document = {
        **identity(model.predictor),
        "precision": model.predictor.precision,
        "accuracy": accuracy_counts(true, plain, polar),
        "verdicts": verdict_counts(true),
        "outliers": verdict_counts(false),
        "new_outliers": verdict_counts(new),
        "machine": machine(),
    }
    append("photos", document)
    print(f"{model.label}\n\n{accuracy_table(document['accuracy'])}\n")
    pictures = {
        "digits": document["verdicts"],
        "outliers": document["outliers"],
        "unseen outliers": document["new_outliers"],
    }
    print(verdict_table(pictures))


def read_index(directory: Path) -> list[tuple[Path, int, str]]:
    """File, label and kind of every picture that INDEX.tsv names."""
    with (directory / "INDEX.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        (directory / row["file"], int(row["label"]), GROUPS.get(row["kind"], row["kind"]))
        for row in rows
    ]


def ask(model: LoadedModel, paths: Sequence[Path]) -> dict[str, Prediction]:
    """What `mnistctl predict` answers, by path; what it can't read is left out."""
    answers = predict([str(path) for path in paths], model, "auto", False, Reporter())
    return {prediction.image: prediction for prediction in answers.predictions}


def reading_of(kind: str, label: int | None, prediction: Prediction | None) -> Reading:
    """The reading that a prediction (None: unreadable) makes of a picture."""
    if prediction is None:
        return Reading(kind, label, None, "unreadable")
    return Reading(kind, label, prediction.digit, prediction.verdict)


def right_by_resizing(
    predictor: Predictor, entries: Iterable[tuple[Path, int, str]], find_polarity: bool
) -> list[bool]:
    """Which pictures the same network classifies correctly, made grey and resized, nothing else.

    With `find_polarity` those with a light border are inverted: the next thing scripts do.
    """
    entries = list(entries)
    pixels = np.stack([resized(path, find_polarity) for path, _, _ in entries])
    said = predictor.logits(torch.from_numpy(pixels)).argmax(1).tolist()
    return [digit == label for digit, (_, label, _) in zip(said, entries, strict=True)]


def resized(path: Path, find_polarity: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Grey pixels, uint8 (28, 28), by Pillow's defaults."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L").resize((28, 28)))
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return 255 - pixels if find_polarity and border.mean() > 127 else pixels


def read_outliers(model: LoadedModel, kinds: Sequence[str]) -> list[Reading]:
    """Drawn pictures of no digit through `predict`; `kinds` as for `outlier_pictures`."""
    drawn = list(outlier_pictures(NUM_OUTLIERS, OUTLIER_SEED, kinds))
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{number}.png" for number in range(len(drawn))]
        for path, (_, pixels) in zip(paths, drawn, strict=True):
            Image.fromarray(pixels).save(path)
        answers = ask(model, paths)
    return [
        reading_of(kind, None, answers.get(str(path)))
        for path, (kind, _) in zip(paths, drawn, strict=True)
    ]


def kinds_of(readings: Sequence[Reading]) -> list[str]:
    """`all`, then the kinds in the order in which they come."""
    return ["all", *dict.fromkeys(reading.kind for reading in readings)]


def accuracy_counts(
    readings: Sequence[Reading], plain: Sequence[bool], polar: Sequence[bool]
) -> dict[str, dict[str, int]]:
    """How many are right by each way, by kind and in all."""
    counts = {}
    for kind in kinds_of(readings):
        own = [i for i, reading in enumerate(readings) if kind in ("all", reading.kind)]
        counts[kind] = {
            "n": len(own),
            "predict": sum(readings[i].right for i in own),
            "resize": sum(plain[i] for i in own),
            "resize_polarity": sum(polar[i] for i in own),
        }
    return counts


def verdict_counts(readings: Sequence[Reading]) -> dict[str, dict[str, int]]:
    """How often each verdict was given, by kind and in all."""
    return {
        kind: dict(Counter(r.verdict for r in readings if kind in ("all", r.kind)))
        for kind in kinds_of(readings)
    }


def accuracy_table(counts: dict[str, dict[str, int]]) -> str:
    """Markdown: right answers in per cent, with Wilson's 95 % interval."""
    ways = ("predict", "resize", "resize_polarity")
    rows = [
        [kind, str(own["n"]), *(show_share(own[way], own["n"]) for way in ways)]
        for kind, own in counts.items()
    ]
    return markdown(["kind", "n", "`predict`", "grey, resize to 28x28", "and polarity"], rows)


def verdict_table(pictures: dict[str, dict[str, dict[str, int]]]) -> str:
    """Markdown: the verdicts on each sort of pictures, and the share called `digit`."""
    rows = []
    for what, counts in pictures.items():
        for kind, own in counts.items():
            total = sum(own.values())
            numbers = [str(own.get(verdict, 0)) for verdict in VERDICTS]
            share = show_share(own.get("digit", 0), total)
            rows.append([f"{what}: {kind}", str(total), *numbers, share])
    return markdown(["images", "n", *VERDICTS, "verdict `digit`"], rows)
