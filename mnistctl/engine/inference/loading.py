"""From what a person types to a Predictor: the checkpoint's network on the hardware of choice."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mnistctl.data.images import Preparation, numbered
from mnistctl.data.registry import preparation
from mnistctl.device import choose_hardware
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.onnx_model import SUFFIX, load_onnx
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.errors import CheckpointError, UsageError
from mnistctl.events import Reporter
from mnistctl.models.ensemble import Ensemble, split_members
from mnistctl.models.layers import prepare_layout
from mnistctl.models.registry import build, recognise, shapes
from mnistctl.recipes import Recipe, recipe_of_network
from mnistctl.store.checkpoint import Checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.resolve import ResolvedCheckpoint, resolve


@dataclass(frozen=True)
class LoadedModel:
    """A checkpoint ready to answer."""

    predictor: Predictor
    dataset: str | None
    """That it was trained on; None for a bare state dict, which doesn't say."""
    path: Path
    label: str
    """In a sentence, e.g. `run standard-1 (latest)`."""
    config: RunConfig | None = None
    """Of the run that trained it; None where the file doesn't say."""

    @property
    def prepare(self) -> Preparation:
        """How pictures are brought to the form of the images it was trained on."""
        return preparation(self.dataset)


def load_model(
    argument: str | None,
    store: Path,
    device: str | None,
    precision: str | None,
    reporter: Reporter,
) -> LoadedModel:
    """Find, verify and build what `argument` means: an ONNX file, or see `store.resolve.resolve`.

    `device` and `precision` as typed, None: auto, but fp32 on a CPU, and no line about it.
    Raises UsageError, CheckpointError, DeviceError.
    """
    asked = device is not None or precision is not None
    return load_models([argument], store, device, precision, Ranks(), reporter, asked)[0]


def load_models(
    arguments: Sequence[str | None],
    store: Path,
    device: str | None,
    precision: str | None,
    ranks: Ranks,
    reporter: Reporter,
    announce: bool = True,
    distinct: bool = False,
) -> list[LoadedModel]:
    """Several models on one device; everything is found before hardware is chosen.

    `precision` None: auto, but fp32 on a CPU, where measuring would take longer than few answers.
    `announce`: say which hardware that is. `distinct`: raise UsageError for one named twice.
    """
    hardware_reporter = reporter if announce else Reporter()
    found = [_find(argument, store) for argument in arguments]
    if distinct:
        _check_distinct(found)
    exported = [own for own in found if isinstance(own, LoadedModel)]
    usual = os.environ.get("MNISTCTL_PRECISION")  # for checkpoints that accept it
    if exported and {device, precision} - {None, "auto", "cpu", "fp32", usual}:
        raise UsageError(
            f"{exported[0].label} does not accept --device or --precision",
            "an ONNX file is run on the CPU in fp32",
        )
    if len(exported) == len(found):
        hardware_reporter.say("Device: cpu, precision fp32 (onnxruntime)")
        return exported
    chosen, number_format = choose_hardware(device, precision, ranks, hardware_reporter)
    return [
        own if isinstance(own, LoadedModel) else _loaded(own, chosen, number_format, reporter)
        for own in found
    ]


def _check_distinct(found: Sequence[ResolvedCheckpoint | LoadedModel]) -> None:
    labels: dict[Path, str] = {}
    for own in found:
        path = own.path.resolve()
        if path in labels:
            raise UsageError(
                f"{labels[path]} and {own.label} are the same checkpoint, {own.path}",
                "name each once",
            )
        labels[path] = own.label


def _find(argument: str | None, store: Path) -> ResolvedCheckpoint | LoadedModel:
    if argument is None or not argument.lower().endswith(SUFFIX):
        return resolve(argument, store)
    predictor, description = load_onnx(Path(argument))
    return LoadedModel(predictor, description.dataset, Path(argument), argument)


def _loaded(
    found: ResolvedCheckpoint, device: torch.device, precision: str, reporter: Reporter
) -> LoadedModel:
    for warning in found.warnings:
        reporter.warn(warning)
    config = found.checkpoint.config
    recipe, classes, members, weights = contents(found.checkpoint)
    if config is None:
        reporter.say(
            f"{found.path} is a bare state dict: taken as {recipe.network},"
            f" pixels (x - {recipe.pixel_mean}) / {recipe.pixel_std}"
        )
    model = network_with(recipe, len(classes), weights, found.path, members).to(device)
    predictor = Predictor(model, recipe, classes, device, precision, found.name)
    dataset = config.dataset if config else None
    return LoadedModel(predictor, dataset, found.path, found.label, config)


def contents(checkpoint: Checkpoint) -> tuple[Recipe, tuple[str, ...], int, dict[str, Tensor]]:
    """Recipe, classes, number of members and weights; of a bare state dict as it is recognised."""
    if (config := checkpoint.config) is not None:
        return config.recipe, config.classes, config.ensemble, dict(checkpoint.weights)
    network, weights, num_classes = recognise(checkpoint.weights)
    return recipe_of_network(network), numbered(num_classes), 1, weights


def network_with(
    recipe: Recipe, num_classes: int, weights: Mapping[str, Tensor], path: Path, members: int = 1
) -> nn.Module:
    """The recipe's network, or an ensemble of `members` of them, with `weights` loaded.

    Raises CheckpointError, naming `path`, when they don't fit it.
    """
    if members == 1:
        return _single(recipe.network, num_classes, weights, path)
    parts = split_members(weights, members)
    networks = [_single(recipe.network, num_classes, part, path) for part in parts]
    return Ensemble(networks, recipe.rejects)


def _single(network: str, num_classes: int, weights: Mapping[str, Tensor], path: Path) -> nn.Module:
    with torch.device("meta"):
        model = build(network, num_classes)
    wanted = model.state_dict()
    if shapes(weights) != shapes(wanted) or any(
        weights[name].is_floating_point() != own.is_floating_point() for name, own in wanted.items()
    ):
        raise CheckpointError(
            f"{path}: its weights don't fit the network '{network}'",
            "made by another version of this tool? Train again, or use that version",
        )
    floats = {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
    model.load_state_dict(floats, assign=True)
    return prepare_layout(model)
