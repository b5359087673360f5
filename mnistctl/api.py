"""The same in Python, for notebooks and scripts: `load` a model, ask it, `train` one."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mnistctl.data.registry import DEFAULT_DATASET, check_split, get_dataset
from mnistctl.engine.inference.evaluate import check_classes
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.predict import Prediction, predict_prepared
from mnistctl.engine.inference.scores import Scores
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.run import train as train_run
from mnistctl.errors import ImageError, MnistctlError
from mnistctl.events import Reporter
from mnistctl.imaging.files import Picture, picture_of, read_image
from mnistctl.imaging.ink import Invert
from mnistctl.imaging.prepare import prepare_digits
from mnistctl.recipes import as_typed
from mnistctl.store.config import DEFAULT_DATA_DIR, DEFAULT_STORE
from mnistctl.store.result import TrainResult

__all__ = ["Model", "Prediction", "load", "train"]

ImageLike = str | Path | Image.Image | NDArray[np.uint8]
"""A file, a PIL image, or uint8 pixels (height, width) or (height, width, 3)."""


class _Warnings(Reporter):
    """Warnings become Python's own."""

    def warn(self, text: str) -> None:
        """Issue a UserWarning."""
        warnings.warn(text, stacklevel=2)


class Model:
    """A checkpoint ready to answer; made by `load`."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self.path = loaded.path
        self.dataset = loaded.dataset
        """That it was trained on; None for a bare state dict."""
        self.recipe = loaded.predictor.recipe
        self.classes = loaded.predictor.classes
        """Names of the classes, in the order of `probabilities`."""

    def __repr__(self) -> str:
        return f"<mnistctl.Model {self._loaded.label}: {self.recipe.label}>"

    @overload
    def predict(self, images: ImageLike, *, invert: Invert = "auto") -> Prediction: ...
    @overload
    def predict(self, images: list[ImageLike], *, invert: Invert = "auto") -> list[Prediction]: ...
    def predict(
        self, images: ImageLike | list[ImageLike], *, invert: Invert = "auto"
    ) -> Prediction | list[Prediction]:
        """What an image shows: of one image a Prediction, of a list a list.

        Images are prepared as by `mnistctl predict`: of any size, dark on light or light on dark
        (`invert` "yes" or "no" says which), MNIST's own 28x28 as it is.
        Raises ImageError for one that can't be read.
        """
        if isinstance(images, str | Path | Image.Image | np.ndarray):
            return self.predict([images], invert=invert)[0]
        prepared = [
            (number, str(image) if isinstance(image, str | Path) else "", found)
            for number, image in enumerate(images)
            for found in prepare_digits(_picture(image), invert, None, self._loaded.prepare)
        ]
        return list(predict_prepared(self._loaded.predictor, prepared))

    def evaluate(
        self,
        dataset: str | Path | None = None,
        *,
        split: str = "test",
        data_dir: str | Path | None = None,
        reporter: Reporter | None = None,
    ) -> Scores:
        """Loss, accuracy, confusion matrix and calibration error on a whole split.

        `dataset` None: the one that the model was trained on. Raises UsageError or DataError.
        """
        name = str(dataset or self.dataset or DEFAULT_DATASET)
        reporter = reporter or _Warnings()
        check_classes(self._loaded, name, reporter)
        data = get_dataset(name).load(check_split(split), _data_dir(data_dir), reporter)
        return self._loaded.predictor.scores(data.images, data.labels, reporter=reporter)


def load(
    checkpoint: str | Path | None = None,
    *,
    store: str | Path | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    reporter: Reporter | None = None,
) -> Model:
    """The model that `checkpoint` names: a file, a run, `latest`, `best` or `shipped`.

    None: the latest finished run, else the shipped weights. `device` and `precision` as on the
    command line. Raises CheckpointError, DeviceError or UsageError.
    """
    argument = None if checkpoint is None else str(checkpoint)
    precision = precision or _usual_precision()
    place = None if device is None else str(device)
    return Model(load_model(argument, _store(store), place, precision, reporter or _Warnings()))


def train(
    recipe: str | None = None,
    dataset: str | Path | None = None,
    *,
    store: str | Path | None = None,
    data_dir: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> TrainResult:
    """Train a recipe, save the run, and test it once at the end.

    `settings` replaces fields of the recipe, e.g. {"augmentation.rotate": 15}. `options` are the
    other fields of `engine.training.config.TrainRequest`: epochs, batch_size, learning_rate, seed,
    validation, ensemble, init, name, resume, device, precision, log_every, checkpoint_every,
    test_every_epoch. The result has `.checkpoint`, `.result.test.accuracy` and `.config`.
    Raises what the command shows as an error, Interrupted after Ctrl-C (the run is saved).
    """
    given = {"recipe": recipe, "dataset": dataset, "settings": settings, **options}
    named = {key: _plain(value) for key, value in given.items() if value is not None}
    command = f"mnistctl.train({', '.join(f'{key}={value!r}' for key, value in named.items())})"
    changes = named.pop("settings", {})
    if "resume" not in named:
        named.setdefault("precision", _usual_precision())
    request = TrainRequest(
        store=_store(store),
        data_dir=_data_dir(data_dir),
        settings=tuple(f"{key}={as_typed(value)}" for key, value in changes.items()),
        command=command,
        **named,
    )
    result = train_run(request, reporter or _Warnings())
    if result is None:
        raise MnistctlError("only the first of several processes has a result")
    return result


def _plain(value: Any) -> Any:
    """What a checkpoint can hold: of numpy's numbers Python's, of paths and devices their names."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path | torch.device):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(own) for key, own in value.items()}
    return value


def _picture(image: ImageLike) -> Picture:
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return picture_of(image)
    is_pixels = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size > 0
    if not is_pixels or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))):
        what = f"{image.dtype} of shape {image.shape}" if hasattr(image, "dtype") else type(image)
        raise ImageError(
            f"this is no image: {what}",
            "give a path, a PIL image or uint8 pixels (height, width) or (height, width, 3);"
            " several as a list",
        )
    return picture_of(Image.fromarray(image))


def _store(given: str | Path | None) -> Path:
    return Path(given or os.environ.get("MNISTCTL_STORE") or DEFAULT_STORE)


def _usual_precision() -> str | None:
    return os.environ.get("MNISTCTL_PRECISION") or None


def _data_dir(given: str | Path | None) -> Path:
    return Path(given or os.environ.get("MNISTCTL_DATA") or DEFAULT_DATA_DIR)
