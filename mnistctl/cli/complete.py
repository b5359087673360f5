"""What the shell proposes after Tab. Everything here is quick: no torch, and no file is opened."""

import os
from collections.abc import Callable
from pathlib import Path

import typer

from mnistctl.data.registry import DATASETS, SPLITS
from mnistctl.device import DEVICES, PRECISIONS
from mnistctl.errors import MnistctlError
from mnistctl.recipes import RECIPES

Completion = Callable[[typer.Context, list[str], str], list[tuple[str, str] | str]]
SPECIAL = {
    "latest": "the latest finished run",
    "best": "the run of highest validation accuracy",
    "shipped": "the built-in weights",
}


def one_of(*names: str) -> Completion:
    """Proposes the `names`."""
    return lambda ctx, args, incomplete: list(names)


def recipes(ctx: typer.Context, args: list[str], incomplete: str) -> list[tuple[str, str] | str]:
    """Recipes with their summaries."""
    return [(recipe.name, recipe.summary) for recipe in RECIPES.values()]


def datasets(ctx: typer.Context, args: list[str], incomplete: str) -> list[tuple[str, str] | str]:
    """Data sets with their summaries."""
    return [(dataset.name, dataset.summary) for dataset in DATASETS.values()]


def runs(ctx: typer.Context, args: list[str], incomplete: str) -> list[tuple[str, str] | str]:
    """Names of the runs in the store."""
    from mnistctl.store.runs import run_directories

    try:
        found = run_directories(Path(ctx.params.get("store") or "runs"))
    except MnistctlError:
        return []
    return sorted(path.name for path in found)


def checkpoints(
    ctx: typer.Context, args: list[str], incomplete: str
) -> list[tuple[str, str] | str]:
    """Runs, words for some of them, and the `.pt` files of the directory typed so far."""
    folder, _ = os.path.split(incomplete)
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:
        names = []
    files = [os.path.join(folder, name) for name in names if name.endswith((".pt", ".pth"))]
    return [*runs(ctx, args, incomplete), *SPECIAL.items(), *files]


devices = one_of(*(name for name in DEVICES if name != "cuda:N"))
precisions = one_of(*PRECISIONS)
splits = one_of(*SPLITS)
