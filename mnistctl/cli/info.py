"""`mnistctl info`: this machine, as the program sees it; and the recipes."""

import contextlib
import os
from pathlib import Path
from typing import Any

import typer

from mnistctl import __version__
from mnistctl.cli import options
from mnistctl.cli.command import Command, Group, examples
from mnistctl.cli.output import start_output
from mnistctl.cli.table import Column, show_table
from mnistctl.data.registry import DATASETS, state_of
from mnistctl.recipes import DEFAULT_RECIPE, RECIPES
from mnistctl.text import counted

info_app = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)


@info_app.callback(
    subcommand_metavar="[COMMAND]",
    epilog=examples("mnistctl info", "mnistctl info --json", "mnistctl info recipes"),
)
def info_command(
    ctx: typer.Context,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show versions, devices, data sets and runs, for a bug report.

    A device that can't be used is listed with the reason.
    """
    if ctx.invoked_subcommand is not None:
        options.refuse_before_subcommand(ctx)
        return
    output = start_output(ctx, json, quiet=False)
    document = _versions() | _hardware() | _places(data_dir, store)
    output.document(document)
    if not output.human:
        return
    devices = (
        f"{own['name']}: {own['detail']}" if own["usable"] else f"{own['name']} no: {own['reason']}"
        for own in document["devices"]
    )
    datasets = (f"{own['name']}: {own['state']}" for own in document["datasets"])
    lines = {
        "mnistctl": [f"{document['version']} in {Path(__file__).parents[1]}"],
        "Python": [f"{document['python']} on {document['platform']}"],
        "PyTorch": [f"{document['torch']}, torchvision {document['torchvision']}"],
        "Devices": list(devices),
        "Chosen": [document["device_why"], document["precision_why"]],
        "Threads": [str(document["threads"])],
        "Data": [f"{document['data_dir']}", *datasets],
        "Runs": [
            f"{counted(document['runs'], 'run')} in {document['store']},"
            f" {document['store_bytes'] / 1e6:,.1f} MB"
        ],
        "Recipes": [", ".join(document["recipes"])],
    }
    for name, texts in lines.items():
        for number, text in enumerate(texts):
            output.line(f"{'' if number else name:<10}{text}")


def _versions() -> dict[str, Any]:
    import platform
    from importlib import metadata

    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torchvision": metadata.version("torchvision"),
    }


def _hardware() -> dict[str, Any]:
    import torch

    from mnistctl.device import choose_device, choose_precision, known_devices, why_unusable
    from mnistctl.distributed import Ranks

    devices = []
    for name in known_devices():
        reason = why_unusable(name)
        entry = {"name": name, "usable": reason is None, "reason": reason}
        devices.append(entry | {"detail": None if reason else _detail(name)})
    device = choose_device("auto", Ranks())
    precision = choose_precision("auto", device.value, Ranks())
    return {
        "torch": str(torch.__version__),
        "devices": devices,
        "device": device.value,
        "device_why": f"--device auto takes {device.value}: {device.why}",
        "precision": precision.value,
        "precision_why": f"--precision auto takes {precision.value}: {precision.why}",
        "threads": torch.get_num_threads(),
    }


def _detail(name: str) -> str:
    import torch

    if name == "cpu":
        features = torch.backends.cpu.get_cpu_capability()
        return f"{_processor()}, {counted(os.cpu_count() or 1, 'core')}, {features}"
    if name == "mps":
        return "Apple GPU"
    properties = torch.cuda.get_device_properties(name)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"


def _processor() -> str:
    """The processor's name, where the system tells."""
    import platform

    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _places(data_dir: Path, store: Path) -> dict[str, Any]:
    from mnistctl.store.removal import size_of
    from mnistctl.store.runs import run_directories

    return {
        "data_dir": str(data_dir),
        "datasets": [
            {"name": own.name, "state": state_of(own, data_dir)} for own in DATASETS.values()
        ],
        "store": str(store),
        "store_bytes": size_of(store),
        "runs": len(run_directories(store)),
        "recipes": list(RECIPES),
    }


@info_app.command(
    "recipes", cls=Command, epilog=examples("mnistctl info recipes", "mnistctl info recipes --json")
)
def recipes_command(
    ctx: typer.Context, json: options.Json = False, debug: options.Debug = False
) -> None:
    """List the recipes; with --json every field of each."""
    output = start_output(ctx, json, quiet=False)
    recipes = RECIPES.values()
    output.document(
        {"default": DEFAULT_RECIPE, "recipes": [recipe.to_dict() for recipe in recipes]}
    )
    if not output.human:
        return
    names = [own.name + (" *" if own.name == DEFAULT_RECIPE else "") for own in recipes]
    show_table(
        output,
        [
            Column("recipe", names),
            Column("epochs", [str(own.epochs) for own in recipes], right=True, expendable=True),
            Column("batch", [str(own.batch_size) for own in recipes], right=True, expendable=True),
            Column("what it is", [own.summary for own in recipes], folds=True),
        ],
    )
    output.line("* the default")
