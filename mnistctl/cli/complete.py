"""What the shell proposes after Tab. Everything here is quick: no torch, and no file is opened."""

import os
from collections.abc import Callable
from pathlib import Path

import typer

from mnistctl.data.images import SPLITS
from mnistctl.data.registry import DATASETS
from mnistctl.device import DEVICES, PRECISIONS
from mnistctl.errors import MnistctlError
from mnistctl.recipes import RECIPES

Completion = Callable[[typer.Context, list[str], str], list[str]]


def one_of(*names: str) -> Completion:
    """Proposes the `names`."""
    return lambda ctx, args, incomplete: list(names)


def recipes(ctx: typer.Context, args: list[str], incomplete: str) -> list[str]:
    """Names of the recipes."""
    return list(RECIPES)


def datasets(ctx: typer.Context, args: list[str], incomplete: str) -> list[str]:
    """Names of the data sets."""
    return list(DATASETS)


def runs(ctx: typer.Context, args: list[str], incomplete: str) -> list[str]:
    """Names of the runs in the store, and what stands for the newest."""
    return [*run_names(ctx, args, incomplete), "latest"]


def run_names(ctx: typer.Context, args: list[str], incomplete: str) -> list[str]:
    """Names of the runs in the store."""
    from mnistctl.store.runs import run_directories

    try:
        found = run_directories(Path(ctx.params.get("store") or "runs"))
    except MnistctlError:
        return []
    return sorted(path.name for path in found)


def checkpoints(ctx: typer.Context, args: list[str], incomplete: str) -> list[str]:
    """Runs, words for some of them, and the checkpoint files of the directory typed so far."""
    folder, _ = os.path.split(incomplete)
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:
        names = []
    endings = (".pt", ".pth", ".onnx")
    files = [os.path.join(folder, name) for name in names if name.lower().endswith(endings)]
    return [*runs(ctx, args, incomplete), "best", "shipped", *files]


devices = one_of(*(name for name in DEVICES if name != "cuda:N"))
precisions = one_of(*PRECISIONS)
splits = one_of(*SPLITS)
