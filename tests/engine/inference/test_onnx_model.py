"""ONNX files answer like checkpoints; damaged, foreign and hostile ones are refused in one line."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.engine.inference.loading import load_model
from mnistctl.engine.inference.onnx_model import Description, OnnxPredictor, load_onnx
from mnistctl.errors import CheckpointError, MnistctlError, UsageError
from mnistctl.events import Reporter
from mnistctl.recipes import RECIPES
from mnistctl.store import archive

WEIGHTS = np.random.default_rng(0).normal(0, 0.01, (784, 3)).astype(np.float32)
ABOUT = Description(RECIPES["fast"], ("a", "b", "c"), "mnist", members=2)


def linear_model() -> Any:
    """One matrix product, in the form of an exported model of three classes."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 1, 28, 28])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])
            for name in ("probabilities", "logits")
        ],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, ABOUT.to_metadata())
    return model


def saved(model: Any, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def test_answers_and_description_come_from_the_file(tmp_path: Path) -> None:
    predictor, description = load_onnx(saved(linear_model(), tmp_path / "linear.onnx"))
    generator = torch.Generator().manual_seed(0)  # more than one batch
    pixels = torch.randint(256, (501, 28, 28), dtype=torch.uint8, generator=generator)
    logits = pixels.flatten(1).float() @ torch.from_numpy(WEIGHTS)
    assert torch.allclose(predictor.logits(pixels), logits, atol=1e-4)
    assert torch.allclose(predictor.probabilities(pixels), logits.softmax(1), atol=1e-5)
    assert predictor.logits(pixels[:0]).shape == (0, 3)
    assert description == ABOUT
    assert (predictor.num_members, str(predictor.device), predictor.precision) == (2, "cpu", "fp32")


def test_it_is_loaded_like_a_checkpoint_but_not_looked_into(tmp_path: Path) -> None:
    path = saved(linear_model(), tmp_path / "linear.onnx")
    model = load_model(str(path), tmp_path, None, "auto", Reporter())
    assert isinstance(model.predictor, OnnxPredictor)
    assert (model.dataset, model.path, model.label) == ("mnist", path, str(path))
    with pytest.raises(UsageError, match="is an ONNX file: its layers"):
        _ = model.predictor.members
    for device, precision in (("cuda", None), (None, "bf16")):
        with pytest.raises(UsageError, match="does not accept --device or --precision"):
            load_model(str(path), tmp_path, device, precision, Reporter())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("predict", "missing.png", "-c", "x.onnx"), "can't read missing.png"),
        (("evaluate", "x.onnx"), "the classes of x.onnx are not those of"),
        (("visualize", "-c", "x.onnx"), "the classes of x.onnx are not those of"),
    ],
    ids=["predict", "evaluate", "visualize"],
)
def test_a_default_of_the_environment_is_not_refused(
    words: tuple[str, ...], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(linear_model(), tmp_path / "x.onnx")
    monkeypatch.setenv("MNISTCTL_PRECISION", "bf16")
    assert text in CliRunner().invoke(app, words).stderr
    refused = CliRunner().invoke(app, [*words, "--device", "cuda"])
    assert "does not accept --device or --precision" in refused.stderr


def external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def external_constant(model: Any) -> None:
    value = numpy_helper.from_array(WEIGHTS, "x")
    value.data_location = TensorProto.EXTERNAL
    model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=value))


def custom_operator(model: Any) -> None:
    model.graph.node.append(helper.make_node("Run", ["logits"], ["out"], domain="com.example"))


def function(model: Any) -> None:
    softmax = [helper.make_node("Softmax", ["x"], ["y"])]
    opset = [helper.make_opsetid("", 20)]
    own = helper.make_function("own", "Softmax", ["x"], ["y"], softmax, opset)
    model.functions.append(own)


def endless_loop(model: Any) -> None:
    true = numpy_helper.from_array(np.array(True), "true")
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    model.graph.initializer.append(true)
    model.graph.node.append(helper.make_node("Loop", ["", "true"], [], body=body))


def bomb(model: Any) -> None:
    sizes = numpy_helper.from_array(np.array([1 << 20, 1 << 20]), "sizes")
    model.graph.initializer.append(sizes)
    model.graph.node.append(helper.make_node("ConstantOfShape", ["sizes"], ["large"]))


def size_from_the_image(model: Any) -> None:
    flat = helper.make_node("Cast", ["flat"], ["sizes"], to=TensorProto.INT64)
    row = helper.make_node("ReduceMax", ["sizes"], ["row"], keepdims=0)
    shape = helper.make_node("Unsqueeze", ["row", "axis"], ["shape"])
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "axis"))
    model.graph.node.extend([flat, row, shape])
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["large"]))


def sparse(model: Any) -> None:
    model.graph.sparse_initializer.add()


def other_input(model: Any) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "image"


def other_output(model: Any) -> None:
    model.graph.output[0].name = model.graph.node[3].output[0] = "answer"


def other_width(model: Any) -> None:
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHTS[:, :2], "weights"))


def other_operator_set(model: Any) -> None:
    model.opset_import[0].version = 999


def no_metadata(model: Any) -> None:
    del model.metadata_props[:]


def metadata(key: str, value: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        helper.set_model_props(model, ABOUT.to_metadata() | {key: value})

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (external, "is refused: it keeps weights in another file"),
        (external_constant, "is refused: it keeps weights in another file"),
        (custom_operator, "is refused: it has custom operators"),
        (function, "is refused: it has custom operators"),
        (endless_loop, "is refused: it has control flow"),
        (sparse, "is refused: it holds more than a network"),
        (bomb, "is refused: 'ConstantOfShape' needs too much memory"),
        (size_from_the_image, "is refused: 'ConstantOfShape' needs too much memory"),
        (other_input, "is refused: its one input must be 'pixels'"),
        (other_output, "is refused: its 'probabilities' must be float32"),
        (other_width, "must be float32 \\(n, 3\\)"),
        (other_operator_set, "is refused: "),
        (no_metadata, "lacks the metadata of an exported model"),
        (metadata("recipe", "[" * 100_000), "lacks the metadata"),
        (metadata("recipe", json.dumps({"name": "x"})), "lacks the metadata"),
        (metadata("classes", "7"), "lacks the metadata"),
        (metadata("classes", "[1, 2, 3]"), "lacks the metadata"),
        (metadata("members", "two"), "lacks the metadata"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_an_exported_model_is_refused(
    change: Callable[[Any], None], says: str, tmp_path: Path
) -> None:
    model = linear_model()
    change(model)
    path = saved(model, tmp_path / "other.onnx")
    with pytest.raises(CheckpointError, match=says) as caught:
        load_onnx(path)
    assert "other.onnx" in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04", b"\x00" * 99, b"not a model\n", b"\xff" * 9])
def test_other_files_are_refused(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="not an ONNX file|lacks the metadata"):
        load_onnx(path)


def test_large_and_missing_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(linear_model(), tmp_path / "x.onnx")
    monkeypatch.setattr(archive, "MAX_BYTES", 5_000)
    with pytest.raises(CheckpointError, match="larger than"):
        load_onnx(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_onnx(tmp_path / "none.onnx")
    with pytest.raises(CheckpointError, match="is a directory"):
        load_onnx(tmp_path)


def test_damage_is_an_error_of_one_line_or_harmless(tmp_path: Path) -> None:
    good = linear_model()
    good.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHTS[:, :3] * 0, "weights"))
    raw, rng = good.SerializeToString(), random.Random(0)
    path = tmp_path / "x.onnx"
    refused = 0
    for _ in range(60):
        damaged = bytearray(raw)
        for _ in range(rng.choice((1, 8))):
            # Most bytes are weights; what describes the graph stands before and after them.
            place = rng.choice((rng.randrange(250), -1 - rng.randrange(900)))
            damaged[place] = rng.randrange(256)
        path.write_bytes(damaged[: rng.choice((len(raw), rng.randrange(len(raw))))])
        try:
            load_onnx(path)[0].logits(torch.zeros(1, 28, 28, dtype=torch.uint8))
        except MnistctlError as error:
            refused += 1
            lines = (error.message + error.hint).count("\n")
            assert lines == 0  # noqa: PT017
    assert refused > 20


def test_logits_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    model = linear_model()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHTS * np.nan, "weights"))
    predictor, _ = load_onnx(saved(model, tmp_path / "x.onnx"))
    with pytest.raises(CheckpointError, match="not finite"):
        predictor.logits(torch.zeros(1, 28, 28, dtype=torch.uint8))


def test_the_command_shows_a_refusal_in_two_lines(tmp_path: Path) -> None:
    model = linear_model()
    external(model)
    saved(model, tmp_path / "x.onnx")
    result = CliRunner().invoke(app, ["evaluate", "x.onnx", "--dataset", "synthetic"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: x.onnx is refused: it keeps weights in another file",
        "  expected a file written by mnistctl export",
    ]


def test_the_stand_in_is_valid() -> None:
    onnx.checker.check_model(linear_model())
