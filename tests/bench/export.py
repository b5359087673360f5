"""Exported files: do they agree where there is no torch, how fast are they, how large."""

import json
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mnistctl.data.registry import DEFAULT_DATASET, get_dataset
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.events import Reporter
from mnistctl.export.run import export
from tests.bench.figures import append, machine, markdown, show, summary

ALONE = Path(__file__).with_name("onnx_alone.py")
COMPARED = 2_000
"""Images on which the answers without torch are compared."""
BATCH = 1_000
SINGLES = 50
"""Images asked for one by one in a round."""
COLUMNS = ("ours", "ours, fp32", "onnx")


def measure(checkpoints: Sequence[str], store: Path, data_dir: Path, runs: int) -> None:
    """Export each checkpoint, check all in a fresh environment, then time them in turn."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        lines = [_exported(own, directory, store, data_dir) for own in checkpoints]
        alone = _checked_without_torch(directory)
        for checkpoint, line in zip(checkpoints, lines, strict=True):
            agrees = alone[line["model"]]
            assert agrees["changed"] == 0, (checkpoint, agrees)
            assert agrees["max_difference"] <= 1e-5, (checkpoint, agrees)
            line |= {"without_torch": agrees}
            line |= _speed(checkpoint, directory / f"{line['model']}.onnx", store, data_dir, runs)
            append("export", line | {"machine": machine()})
    print(_tables(lines))


def _exported(checkpoint: str, directory: Path, store: Path, data_dir: Path) -> dict[str, Any]:
    """Both files of a checkpoint in `directory`, and what onnx_alone.py compares the ONNX with."""
    model = _loaded(checkpoint, store, "fp32")
    name = checkpoint.strip("/").split("/")[-1]
    made = [
        export(
            checkpoint,
            directory / f"{name}{suffix}",
            store=store,
            data_dir=data_dir,
            force=False,
            reporter=Reporter(),
        )
        for suffix in (".onnx", ".safetensors")
    ]
    images = _images(model, data_dir)[:COMPARED]
    probabilities = model.predictor.probabilities(images)
    np.savez(directory / f"{name}.npz", pixels=images[:, None].numpy(), probabilities=probabilities)
    predictor = model.predictor
    return {
        "model": name,
        "recipe": predictor.recipe.label,
        "members": predictor.num_members,
        "dataset": model.dataset,
        "bytes": {
            "checkpoint": model.path.stat().st_size,
            "onnx": made[0].bytes,
            "safetensors": made[1].bytes,
        },
        "max_difference": made[0].max_difference,
    }


def _checked_without_torch(directory: Path) -> dict[str, Any]:
    """What onnx_alone.py finds in a new environment that has numpy and onnxruntime only."""
    environment = directory / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    packages = ["-m", "pip", "install", "--quiet", "numpy", "onnxruntime"]
    subprocess.run([python, *packages], check=True)
    # -I: without the paths of this process.
    done = subprocess.run(
        [python, "-I", ALONE, directory], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _speed(
    checkpoint: str, exported: Path, store: Path, data_dir: Path, runs: int
) -> dict[str, Any]:
    """Milliseconds for an image alone, and images a second in batches, of `COLUMNS` in turn."""
    models = [
        _loaded(checkpoint, store, "auto"),
        _loaded(checkpoint, store, "fp32"),
        _loaded(str(exported), store, None),
    ]
    images = _images(models[0], data_dir)[:BATCH]

    def single(model: LoadedModel) -> float:
        return (
            _seconds(lambda: [model.predictor.probabilities(own[None]) for own in images[:SINGLES]])
            * 1000
            / SINGLES
        )

    def batch(model: LoadedModel) -> float:
        return len(images) / _seconds(lambda: model.predictor.probabilities(images))

    result: dict[str, Any] = {"precision": models[0].predictor.precision}
    for key, timed in (("single_ms", single), ("images_per_second", batch)):
        for model in models:
            timed(model)  # warm up
        rounds = [[timed(model) for model in models] for _ in range(runs)]
        columns = zip(COLUMNS, zip(*rounds, strict=True), strict=True)
        result[key] = {name: summary(values) for name, values in columns}
    return result


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _loaded(checkpoint: str, store: Path, precision: str | None) -> LoadedModel:
    device = "cpu" if precision else None
    return load_model(checkpoint, store, device, precision, Reporter())


def _images(model: LoadedModel, data_dir: Path) -> Tensor:
    name = model.dataset or DEFAULT_DATASET
    return get_dataset(name).load("test", data_dir, Reporter()).images


def _tables(lines: Sequence[dict[str, Any]]) -> str:
    head = ["model", "recipe", "images", "largest difference", "checkpoint", "onnx", "safetensors"]
    rows = [
        [
            line["model"],
            line["recipe"],
            f"{line['without_torch']['images']:,}",
            f"{line['without_torch']['max_difference']:.1e}",
            *(f"{size:,}" for size in line["bytes"].values()),
        ]
        for line in lines
    ]
    speed = [
        [
            line["model"],
            *(show(line["single_ms"][own]) for own in COLUMNS),
            *(show(line["images_per_second"][own], 0) for own in COLUMNS),
        ]
        for line in lines
    ]
    titles = [f"{own}, {what}" for what in ("ms", "images/s") for own in COLUMNS]
    return f"{markdown(head, rows)}\n\n{markdown(['model', *titles], speed)}"
