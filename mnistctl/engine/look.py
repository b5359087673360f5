"""One image of a data set through a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistctl.data.dataset import load_split
from mnistctl.data.names import DEFAULT_DATASET, SPLIT_SIZES, check_dataset
from mnistctl.device import torch_device
from mnistctl.engine.distributed import Ranks
from mnistctl.engine.hardware import choose_hardware
from mnistctl.engine.inference import compute_logits
from mnistctl.engine.loading import load_model
from mnistctl.errors import UsageError
from mnistctl.events import Reporter


@dataclass(frozen=True)
class Look:
    """An image, its label, and the network's answer."""

    checkpoint: str
    dataset: str
    split: str
    index: int
    label: int
    prediction: int
    confidence: float
    probabilities: list[float]
    pixels: NDArray[np.uint8]
    """(28, 28), ink 255 on 0."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of `visualize --index`, less `output`."""
        return {
            "kind": "prediction",
            "checkpoint": self.checkpoint,
            "dataset": self.dataset,
            "split": self.split,
            "index": self.index,
            "label": self.label,
            "prediction": self.prediction,
            "confidence": self.confidence,
            "probabilities": self.probabilities,
        }


def look(
    checkpoint: str | None,
    index: int,
    *,
    store: Path,
    data_dir: Path,
    dataset: str | None,
    split: str,
    device: str | None,
    precision: str | None,
    reporter: Reporter,
) -> Look:
    """Image `index` of a split of `dataset` (None: the one the checkpoint was trained on).

    Raises UsageError (index out of range), CheckpointError, DataError or DeviceError.
    """
    if dataset is not None:
        check_dataset(dataset)
    size = SPLIT_SIZES[split]
    if not 0 <= index < size:
        raise UsageError(f"--index {index}: the {split} split has images 0 to {size - 1}")
    chosen, number_format = choose_hardware(device, precision, Ranks(), reporter)
    target = torch_device(chosen)
    loaded = load_model(checkpoint, store, target, reporter)
    reporter.say(f"Asking {loaded.label}")
    name = dataset or loaded.dataset or DEFAULT_DATASET
    data = load_split(name, split, data_dir, reporter)
    image = data.images[index : index + 1]
    logits = compute_logits(loaded.model, image, loaded.recipe, target, number_format, reporter)
    probabilities = (logits[0] / loaded.recipe.temperature).softmax(0)
    prediction = int(probabilities.argmax())
    return Look(
        checkpoint=str(loaded.path),
        dataset=name,
        split=split,
        index=index,
        label=int(data.labels[index]),
        prediction=prediction,
        confidence=float(probabilities[prediction]),
        probabilities=probabilities.tolist(),
        pixels=image[0].numpy(),
    )
