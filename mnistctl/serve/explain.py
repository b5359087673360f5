"""Why a network answers as it does: the steps to its input, the evidence, and its layers."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import relu

from mnistctl.engine.inference.activations import (
    conv_layers,
    feature_maps,
    recorded,
    strongest_maps,
)
from mnistctl.engine.inference.attribution import integrated_gradients
from mnistctl.engine.inference.predict import asking, predict_prepared, settled
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.errors import UsageError, unknown
from mnistctl.imaging.files import Picture
from mnistctl.imaging.prepare import Prepared, prepare_digits, prepared_as
from mnistctl.serve.documents import ExplainQuestion
from mnistctl.serve.networks import Network

NUM_STEPS = 64
"""Of integrated gradients: their sum is within 3 % of the scores' difference, in 0.1 s."""
NUM_MAPS = 8
STEP_SIDE = 280
DENSE_ROW = 32


def explain(network: Network, picture: Picture, question: ExplainQuestion) -> dict[str, Any]:
    """The document of `POST /api/explain`.

    Without evidence and layers for a network that can't be looked into.
    Raises UsageError for a class or number that there isn't, CheckpointError.
    """
    model, multi, class_name = network.model, question.multi, question.class_name
    classes = model.predictor.classes
    whole = prepared_as(model.prepare, picture, question.invert, keep_steps=True)
    found = [whole]
    if multi:
        found = prepare_digits(picture, question.invert, asking(model.predictor))
    meant = numbered(found, question.number)
    if class_name is not None and class_name not in classes:
        raise unknown("class", class_name, classes)
    own = whole if meant.others else meant  # where no digit stands out
    prepared = settled(model.predictor, own, multi)
    (prediction,) = predict_prepared(model.predictor, [(0, "image", prepared)], multi)
    index = prediction.class_index if class_name is None else classes.index(class_name)
    steps = prepared.steps or whole.steps or (("image", picture.pixels),)
    return {
        "checkpoint": network.name,
        "classes": list(classes),
        "prediction": prediction.to_dict(),
        "input": prepared.pixels.tolist(),
        "steps": [{"name": name, "png": png_text(step)} for name, step in steps],
        "class_name": classes[index],
        **_inside(network, torch.from_numpy(prepared.pixels.copy())[None], index),
    }


def numbered(found: Sequence[Prepared], number: int) -> Prepared:
    """The digit `number`, from 0, of a picture. Raises UsageError where it has fewer."""
    if number >= len(found):
        raise UsageError(f"number {number}: the picture has {len(found)}, from 0")
    return found[number]


def _inside(network: Network, pixels: Tensor, index: int) -> dict[str, Any]:
    """The evidence for the class `index`, and the layers, for uint8 (1, 28, 28)."""
    try:
        predictor = network.explained
    except UsageError:
        return {"method": None, "attribution": None, "layers": []}
    inputs = predictor.inputs(pixels)
    empty = predictor.inputs(torch.zeros_like(pixels))
    evidence = integrated_gradients(predictor.network, inputs, empty, index, NUM_STEPS)
    return {
        "method": "integrated-gradients",
        "attribution": [[round(v, 6) for v in row] for row in evidence.values.tolist()],
        "score": evidence.score,
        "baseline_score": evidence.baseline,
        "layers": _layers(predictor, inputs),
    }


def _layers(predictor: Predictor, inputs: Tensor) -> list[dict[str, Any]]:
    """The strongest maps of each convolution, and all units of each linear layer but the last.

    Of an ensemble's first member.
    """
    network = predictor.members[0]
    linear = {n: m for n, m in network.named_modules() if isinstance(m, nn.Linear)}
    convolutions = conv_layers(network)
    layers = []
    maps = feature_maps(convolutions, network, inputs)
    for layer, own in zip(convolutions, maps, strict=True):
        channels, strongest = strongest_maps(own, NUM_MAPS)
        layers.append(_layer(layer.name, "convolution", len(own), channels, strongest))
    with torch.inference_mode(), recorded(dict(list(linear.items())[:-1])) as outputs:
        network(inputs)
    for name, output in outputs.items():
        units = relu(output[0]).float().cpu()
        rows = -(-len(units) // DENSE_ROW)
        picture = torch.zeros(rows * DENSE_ROW)
        picture[: len(units)] = units
        strip = picture.view(1, rows, DENSE_ROW)
        layers.append(_layer(name, "linear", len(units), list(range(len(units))), strip))
    return layers


def _layer(name: str, kind: str, num_units: int, units: list[int], maps: Tensor) -> dict[str, Any]:
    limit = float(maps.max())
    grey = (maps * (255 / limit if limit else 0)).round().to(torch.uint8).numpy()
    return {
        "name": name,
        "kind": kind,
        "num_units": num_units,
        "units": units,
        "max": limit,
        "pngs": [png_text(own) for own in grey],
    }


def png_text(pixels: NDArray[np.uint8]) -> str:
    """uint8 (height, width) or (height, width, 3) as a PNG in base64, at most 280 pixels a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((STEP_SIDE, STEP_SIDE))
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()
