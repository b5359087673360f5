"""An exported ONNX file as a Predictor: onnxruntime computes, the file says all the rest.

A file from elsewhere is checked before onnxruntime sees it: it is of a bounded size, whole in one
file, without custom operators and control flow, and no tensor in it grows beyond a bound.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mnistctl.engine.inference.predictor import BATCH_SIZE, Predictor
from mnistctl.errors import CheckpointError, UsageError, require_extra
from mnistctl.events import Reporter
from mnistctl.recipes import Recipe, check_fields
from mnistctl.store.archive import read_model_file
from mnistctl.text import first_line, parse_json

SUFFIX = ".onnx"
INPUT, PROBABILITIES, LOGITS = "pixels", "probabilities", "logits"
MAX_VALUES = 1 << 28
"""In any one tensor that is computed from a batch; a float32 takes four bytes."""
_ORIGIN = "expected a file written by mnistctl export"


@dataclass(frozen=True)
class Description:
    """What the metadata of an exported file say about its model."""

    recipe: Recipe
    classes: tuple[str, ...]
    dataset: str | None
    """That it was trained on; None where its checkpoint doesn't say."""
    members: int

    def to_metadata(self) -> dict[str, str]:
        """Text by key; `from_metadata` is its inverse."""
        return {
            "recipe": json.dumps(self.recipe.to_dict()),
            "classes": json.dumps(self.classes),
            "dataset": self.dataset or "",
            "members": str(self.members),
        }

    @classmethod
    def from_metadata(cls, data: Mapping[str, str]) -> "Description":
        """Rebuild from `to_metadata`. Raises KeyError, TypeError or ValueError."""
        recipe = Recipe.from_dict(parse_json(data["recipe"]))
        classes = tuple(parse_json(data["classes"]))
        found = cls(recipe, classes, data["dataset"] or None, int(data["members"]))
        check_fields(found)
        if not all(map(str.isprintable, classes)):
            raise ValueError("names of classes that can't be shown")
        return found


class OnnxPredictor(Predictor):
    """Answers by onnxruntime on the CPU; preprocessing, shifts, members, temperature are inside."""

    def __init__(self, session: Any, description: Description, name: str) -> None:
        recipe, classes = description.recipe, description.classes
        super().__init__(nn.Identity(), recipe, classes, torch.device("cpu"), "fp32", name)
        self._session, self._members = session, description.members

    @property
    def network(self) -> nn.Module:
        """None that can be looked into. Raises UsageError."""
        raise UsageError(
            f"{self.name} is an ONNX file: its layers and weights can't be looked into",
            "give the checkpoint that it was exported from",
        )

    @property
    def num_members(self) -> int:
        """How many networks answer together."""
        return self._members

    def logits(self, pixels: Tensor, reporter: Reporter | None = None) -> Tensor:
        """The file's own logits, as `Predictor.logits`."""
        return self._in_batches(lambda batch: self._run(LOGITS, batch), pixels, reporter)

    def probabilities(self, pixels: Tensor, reporter: Reporter | None = None) -> Tensor:
        """The file's own probabilities, as `Predictor.probabilities`."""
        return self._in_batches(lambda batch: self._run(PROBABILITIES, batch), pixels, reporter)

    def _run(self, output: str, pixels: Tensor) -> Tensor:
        try:
            found = self._session.run([output], {INPUT: pixels.unsqueeze(1).cpu().numpy()})
        except Exception as error:  # onnxruntime has a dozen kinds without a common class
            raise CheckpointError(f"{self.name} can't be run: {first_line(error)}") from error
        return torch.from_numpy(found[0])


def load_onnx(path: Path) -> tuple[OnnxPredictor, Description]:
    """The model in the ONNX file `path`, checked. Raises CheckpointError, MnistctlError."""
    require_extra("export", "onnx", "onnxruntime")
    return onnx_predictor(read_model_file(path), str(path))


def onnx_predictor(raw: bytes, name: str) -> tuple[OnnxPredictor, Description]:
    """The model in the bytes of an ONNX file, checked. Raises CheckpointError with its `name`."""
    import onnxruntime

    description = _checked(raw, name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it raises its errors, too
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(
            raw, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:
        raise CheckpointError(f"{name} is refused: {first_line(error)}", _ORIGIN) from error
    return OnnxPredictor(session, description, name), description


def _checked(raw: bytes, name: str) -> Description:
    """What the file says about its model, when nothing in it is hostile or of another kind."""
    import onnx

    try:
        model = onnx.load_model_from_string(raw)
    except Exception as error:  # protobuf's DecodeError
        raise CheckpointError(f"{name} is not an ONNX file, or is damaged", _ORIGIN) from error
    if problem := _beyond_the_plain(model):
        raise CheckpointError(f"{name} is refused: it {problem}", _ORIGIN)
    try:
        data = {entry.key: entry.value for entry in model.metadata_props}
        description = Description.from_metadata(data)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{name} lacks the metadata of an exported model: {first_line(error)}", _ORIGIN
        ) from error
    _check_shapes(model, name, len(description.classes))
    return description


def _beyond_the_plain(model: Any) -> str | None:
    """What the model has besides standard operators and its own weights; None: nothing."""
    graph = model.graph
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    tensors = [*graph.initializer, *(own for a in attributes for own in (a.t, *a.tensors))]
    domains = {node.domain for node in graph.node} | {own.domain for own in model.opset_import}
    if any(tensor.external_data or tensor.data_location for tensor in tensors):
        return "keeps weights in another file"
    if domains - {"", "ai.onnx"} or model.functions:
        return "has custom operators"
    if any(a.HasField("g") or a.graphs for a in attributes):
        return "has control flow"
    sparse = any(a.HasField("sparse_tensor") or a.sparse_tensors for a in attributes)
    if sparse or graph.sparse_initializer or model.training_info:
        return "holds more than a network for inference"
    return None


def _check_shapes(model: Any, name: str, num_classes: int) -> None:
    """Raise CheckpointError unless inputs, outputs and all between have known, bounded shapes.

    They are inferred for the largest batch that the Predictor gives; what the file claims about
    them is not believed.
    """
    import onnx

    batch = BATCH_SIZE["cpu"]
    kind = onnx.TensorProto
    pixels = onnx.helper.make_tensor_value_info(INPUT, kind.UINT8, [batch, 1, 28, 28])
    if [own.name for own in model.graph.input] != [INPUT]:
        raise CheckpointError(f"{name} is refused: its one input must be '{INPUT}'", _ORIGIN)
    model.graph.input[0].CopyFrom(pixels)
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        raise CheckpointError(f"{name} is refused: {first_line(error)}", _ORIGIN) from error
    values = {own.name: own for own in (*inferred.graph.value_info, *inferred.graph.output)}
    for node in model.graph.node:
        if any(_size(values.get(own)) > MAX_VALUES for own in node.output if own):
            raise CheckpointError(f"{name} is refused: {node.op_type!r} needs too much memory")
    for output in (PROBABILITIES, LOGITS):
        wanted = onnx.helper.make_tensor_value_info(output, kind.FLOAT, [batch, num_classes])
        if output not in values or values[output].type != wanted.type:
            raise CheckpointError(
                f"{name} is refused: its '{output}' must be float32 (n, {num_classes})", _ORIGIN
            )


def _size(value: Any) -> float:
    """Number of values in a tensor, infinite where its shape is not known."""
    if value is None or not value.type.tensor_type.HasField("shape"):
        return math.inf
    dims = value.type.tensor_type.shape.dim
    return math.prod(own.dim_value if own.HasField("dim_value") else math.inf for own in dims)
