"""A checkpoint as a network ready to answer."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mnistctl.errors import CheckpointError
from mnistctl.events import Reporter
from mnistctl.models.ensemble import Ensemble, member_name
from mnistctl.models.registry import build, expected_shapes, recognise, shapes
from mnistctl.recipes import NETWORKS, Recipe, recipe_of_network
from mnistctl.store.resolve import ResolvedCheckpoint, find

_OTHER = "made by another version of this tool? Train again, or use that version"


@dataclass(frozen=True)
class LoadedModel:
    """A network in evaluation mode, with what it was trained by and on."""

    model: nn.Module
    recipe: Recipe
    dataset: str | None
    """None for a bare state dict, which doesn't say."""
    path: Path
    name: str
    label: str

    @property
    def num_members(self) -> int:
        """Networks that answer together; 1 where it is no ensemble."""
        return len(self.model.members) if isinstance(self.model, Ensemble) else 1


def load_model(
    argument: str | None, store: Path, device: torch.device, reporter: Reporter
) -> LoadedModel:
    """Find, verify and build the network that `argument` means (see `store.find.find`).

    Raises CheckpointError.
    """
    found = find(argument, store)
    for warning in found.warnings:
        reporter.warn(warning)
    own = "format" in found.payload
    recipe, weights, dataset = _own(found) if own else _bare(found)
    if not own:
        reporter.say(
            f"{found.path} is a bare state dict: taken as {recipe.network},"
            f" pixels (x - {recipe.pixel_mean}) / {recipe.pixel_std}"
        )
    members = found.payload.get("members", 1) if own else 1
    model = network_with(recipe.network, weights, found.path, members)
    return LoadedModel(
        model.to(device).eval(), recipe, dataset, found.path, found.name, found.label
    )


def network_with(
    network: str, weights: dict[str, Tensor], path: Path, members: int = 1
) -> nn.Module:
    """The network, or the ensemble of `members` networks, with `weights` loaded.

    Raises CheckpointError when they don't fit it.
    """
    if members == 1:
        return _single(network, weights, path)
    parts: list[dict[str, Tensor]] = [{} for _ in range(members)]
    for index, part in enumerate(parts):
        start = member_name(index, "")
        part |= {n.removeprefix(start): t for n, t in weights.items() if n.startswith(start)}
    if sum(map(len, parts)) != len(weights):
        raise CheckpointError(f"{path}: its weights don't fit an ensemble of {members}", _OTHER)
    return Ensemble([_single(network, part, path) for part in parts])


def _single(network: str, weights: dict[str, Tensor], path: Path) -> nn.Module:
    if network not in NETWORKS or shapes(weights) != expected_shapes(network):
        raise CheckpointError(
            f"{path}: its weights don't fit the network '{network}'",
            _OTHER,
        )
    with torch.device("meta"):
        model = build(network)
    kinds = {name: value.is_floating_point() for name, value in model.state_dict().items()}
    if any(weights[name].is_floating_point() != kind for name, kind in kinds.items()):
        raise CheckpointError(f"{path}: its weights are numbers of the wrong kind")
    floats = {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
    model.load_state_dict(floats, assign=True)
    return prepare_layout(model)


def prepare_layout(model: nn.Module) -> nn.Module:
    """Channels-last weights: the layout in which convolutions of all devices here are fastest."""
    return model.to(memory_format=torch.channels_last)


def _own(found: ResolvedCheckpoint) -> tuple[Recipe, dict[str, Tensor], str | None]:
    payload = found.payload
    try:
        recipe = Recipe.from_dict(payload["recipe"])
        weights, dataset = payload["weights"], payload["dataset"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{found.path} lacks what a checkpoint needs: {error}") from error
    return recipe, weights, dataset


def _bare(found: ResolvedCheckpoint) -> tuple[Recipe, dict[str, Tensor], str | None]:
    state = found.payload
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state.get(key), dict):
            state = state[key]
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(
            f"{found.path} is neither a checkpoint of this tool nor a bare state dict",
            "expected a file written by mnistctl train or torch.save(model.state_dict(), ...)",
        )
    network, weights = recognise(state)
    return recipe_of_network(network), weights, None
