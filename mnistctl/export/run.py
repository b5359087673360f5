"""`export`: a checkpoint as a file for other programs, by the suffix of its name."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mnistctl import __version__
from mnistctl.data import synthetic
from mnistctl.data.registry import DEFAULT_DATASET, get_dataset, state_of
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.loading import LoadedModel, load_models
from mnistctl.engine.inference.onnx_model import Description
from mnistctl.errors import DataError, MnistctlError, UsageError, require_extra, unknown
from mnistctl.events import Reporter
from mnistctl.export.card import card
from mnistctl.export.onnx import check_onnx, onnx_bytes
from mnistctl.export.safetensors import safetensors_bytes, state_dict_bytes
from mnistctl.files import explained, try_place, write_atomic
from mnistctl.store.result import Score
from mnistctl.store.runs import describe

FORMATS: Mapping[str, tuple[str, ...]] = {
    ".onnx": ("onnx", "onnxscript", "onnxruntime"),
    ".safetensors": ("safetensors",),
    ".pt": (),
}
"""The modules that writing each takes, by suffix."""
MIN_IMAGES, MAX_IMAGES = 1_000, 2_000
"""On which an ONNX file is checked."""


@dataclass(frozen=True)
class Exported:
    """What was written; the fields from `inputs` on are empty or None but for ONNX."""

    output: Path
    format: str
    checkpoint: Path
    label: str
    """The checkpoint in a sentence."""
    card: Path
    bytes: int
    inputs: Sequence[Mapping[str, Any]] = ()
    outputs: Sequence[Mapping[str, Any]] = ()
    """Name, dtype and shape of each."""
    opset: int | None = None
    images_checked: int | None = None
    images: str | None = None
    """The data set of the images that it was checked on."""
    max_difference: float | None = None
    """Of a probability on these images."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of the command."""
        paths = {key: str(getattr(self, key)) for key in ("output", "checkpoint", "card")}
        return asdict(self) | paths


def export(
    checkpoint: str | None,
    output: Path,
    *,
    store: Path,
    data_dir: Path,
    force: bool,
    reporter: Reporter,
) -> Exported:
    """Write the model that `checkpoint` means to `output`, in the format of its suffix, and a card.

    An ONNX file is first compared with the Predictor, by onnxruntime. A file that is there is
    replaced with `force` only. Raises UsageError, CheckpointError, or MnistctlError when a package
    is missing or the model differs, with nothing written, or a file can't be written.
    """
    suffix = output.suffix.lower()
    if not suffix:
        raise UsageError(f"{output} has no ending", f"end it in one of: {', '.join(FORMATS)}")
    if suffix not in FORMATS:
        raise unknown("format", suffix, tuple(FORMATS))
    require_extra("export", *FORMATS[suffix])
    card_path = output.with_name(f"{output.name}.md")
    for path in (output, card_path):
        _check_place(path, force)
    (model,) = load_models([checkpoint], store, "cpu", "fp32", Ranks(), reporter, announce=False)
    reporter.say(f"Model: {model.label}")
    if model.path.resolve() == output.resolve():
        raise UsageError(f"{output} is the checkpoint itself", "name another file")
    tested = _tested(model.path)
    metadata = _metadata(model, tested)
    facts: dict[str, Any] = {}
    if suffix == ".onnx":
        content, facts = onnx_bytes(model.predictor, metadata)
        images, facts["images"] = _images(model.dataset, data_dir, reporter)
        facts["images_checked"] = len(images)
        reporter.say(f"Checking {len(images):,} images of {facts['images']} with onnxruntime")
        facts["max_difference"] = check_onnx(content, str(output), model.predictor, images)
    elif suffix == ".safetensors":
        content = safetensors_bytes(model.predictor, metadata)
    else:
        content = state_dict_bytes(model.predictor)
    made = Exported(output, suffix[1:], model.path, model.label, card_path, len(content), **facts)
    text = card(model, output.name, _rows(made, metadata), tested)
    for path, data in ((output, content), (card_path, text.encode())):
        with explained(f"can't write {path}"):
            write_atomic(path, data)
    return made


def _check_place(path: Path, force: bool) -> None:
    if os.path.isfile(path) and not force:
        raise UsageError(f"{path} exists already", "name another file, or replace it with --force")
    with explained(f"can't write {path}"):
        try_place(path)


def _tested(checkpoint: Path) -> Score | None:
    """What the checkpoint scored in the test at the end of its run, where that is known."""
    result = describe(checkpoint.parent).result
    return result.test if result is not None and result.checkpoint == checkpoint.name else None


def _metadata(model: LoadedModel, tested: Score | None) -> dict[str, str]:
    predictor = model.predictor
    own = Description(predictor.recipe, predictor.classes, model.dataset, predictor.num_members)
    with open(model.path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known = {"version": __version__, "checkpoint_sha256": digest}
    return own.to_metadata() | known | ({"accuracy": str(tested.accuracy)} if tested else {})


def _images(dataset: str | None, data_dir: Path, reporter: Reporter) -> tuple[Tensor, str]:
    """Test images of a data set, or synthetic ones where it has too few or isn't there."""
    name = dataset or DEFAULT_DATASET
    try:
        row = get_dataset(name)
        if state_of(row, data_dir) == "missing":  # loading it would download it
            raise DataError(f"the data set '{name}' is not in {data_dir}")
        images = row.load("test", data_dir, reporter).images
        if len(images) < MIN_IMAGES:
            raise DataError(f"the data set '{name}' has {len(images):,} test images")
    except MnistctlError as error:
        reporter.warn(f"{error}; checking on synthetic digits")
        images, name = synthetic.load("test").images, "synthetic"
    return images[:: max(1, len(images) // MAX_IMAGES)][:MAX_IMAGES], name


def _rows(made: Exported, metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """The card's table about the file itself."""
    rows = [
        ("made by", f"mnistctl {metadata['version']}, `mnistctl export`"),
        ("size", f"{made.bytes:,} bytes"),
        ("SHA-256 of the checkpoint", f"`{metadata['checkpoint_sha256']}`"),
    ]
    if made.max_difference is not None:
        checked = (
            f"with onnxruntime on {made.images_checked:,} images of {made.images}: probabilities"
            f" differ by at most {made.max_difference:.1e}, no predicted class changes"
        )
        rows += [("operator set", f"{made.opset}"), ("checked", checked)]
    return rows
