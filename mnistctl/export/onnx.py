"""A Predictor as one ONNX graph: preprocessing, members, views and temperature are inside."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mnistctl.engine.inference.onnx_model import INPUT, LOGITS, PROBABILITIES, onnx_predictor
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.errors import MnistctlError

TOLERANCE = 1e-5
"""Largest difference of a probability that an exported file may show."""


class _Whole(nn.Module):
    """From uint8 pixels (n, 1, 28, 28) to probabilities and logits, both (n, classes)."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.network, self.predictor = predictor.network, predictor

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.predictor.answers(pixels.squeeze(1))
        return self.predictor.calibrated(logits), logits


def onnx_bytes(predictor: Predictor, metadata: Mapping[str, str]) -> tuple[bytes, dict[str, Any]]:
    """The ONNX file of a Predictor on the CPU in fp32; its inputs, outputs and operator set."""
    program = torch.onnx.export(
        _Whole(predictor).eval(),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n")},),
        input_names=[INPUT],
        output_names=[PROBABILITIES, LOGITS],
        external_data=False,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    graph = model.graph
    # The exporter's notes hold stack traces, with the paths of this machine.
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    classes = len(predictor.classes)
    facts = {
        "inputs": [{"name": INPUT, "dtype": "uint8", "shape": ["n", 1, 28, 28]}],
        "outputs": [
            {"name": name, "dtype": "float32", "shape": ["n", classes]}
            for name in (PROBABILITIES, LOGITS)
        ],
        "opset": model.opset_import[0].version,
    }
    return model.SerializeToString(deterministic=True), facts


def check_onnx(raw: bytes, name: str, predictor: Predictor, images: Tensor) -> float:
    """The largest difference of probabilities on `images`, uint8 (n, 28, 28), by onnxruntime.

    Raises MnistctlError when it is above TOLERANCE or the likeliest class of an image changes.
    """
    expected = predictor.probabilities(images)
    exported, _ = onnx_predictor(raw, name)
    found = torch.stack(
        [exported.probabilities(images), predictor.calibrated(exported.logits(images))]
    )
    difference = float((found - expected).abs().max())
    changed = int((found.argmax(2) != expected.argmax(1)).any(0).sum())
    if changed or not difference <= TOLERANCE:
        raise MnistctlError(
            f"{name} is not kept: on {len(images):,} images its probabilities differ by up to"
            f" {difference:.2g} from the network's (at most {TOLERANCE:g} is allowed),"
            f" and {changed:,} answers change"
        )
    return difference
