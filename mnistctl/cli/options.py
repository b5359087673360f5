"""The options that several commands share: one name, help and default each."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from mnistctl.cli import complete
from mnistctl.cli.streams import own_rank, show_line
from mnistctl.data.registry import DATASETS, DEFAULT_DATASET
from mnistctl.errors import UsageError, unknown
from mnistctl.store.config import DEFAULT_DATA_DIR as DEFAULT_DATA_DIR
from mnistctl.store.config import DEFAULT_STORE as DEFAULT_STORE

DEBUG_KEY = "mnistctl.debug"
model_option, training_option, data_option, hardware_option, output_option = (
    partial(typer.Option, rich_help_panel=group)
    for group in ("Model", "Training", "Data", "Hardware", "Output")
)
"""Options in the groups of the help; paths are `readable=False`, for errors of the tool's own."""


def _remember_debug(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[DEBUG_KEY] = value
    return value


INVERT = ("auto", "yes", "no")


def _checked_invert(value: str) -> str:
    """`value` of `--invert`. Raises UsageError."""
    if value not in INVERT:
        raise unknown("--invert value", value, INVERT)
    return value


DataDir = Annotated[
    Path,
    data_option(
        "--data-dir",
        envvar="MNISTCTL_DATA",
        metavar="DIR",
        readable=False,
        help="Where data sets are, in torchvision's layout (DIR/MNIST/raw).",
    ),
]
Store = Annotated[
    Path,
    data_option(
        "--store",
        envvar="MNISTCTL_STORE",
        metavar="DIR",
        readable=False,
        help="Where runs are.",
    ),
]
Device = Annotated[
    str | None,
    hardware_option(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda, cuda:N or mps [default: auto].",
        show_default=False,
        autocompletion=complete.devices,
    ),
]
Precision = Annotated[
    str | None,
    hardware_option(
        "--precision",
        envvar="MNISTCTL_PRECISION",
        metavar="NAME",
        help="fp32, bf16, or auto: the faster one here [default: auto; for predict, visualize"
        " and serve on a CPU: fp32].",
        show_default=False,
        autocompletion=complete.precisions,
    ),
]


def _say_which(value: str | None) -> str | None:
    """A name that means two things: the data set's own wins. Raises UsageError for none."""
    if value == "":
        raise UsageError("--dataset '' names nothing", "leave it out for the default")
    if value in DATASETS and os.path.isdir(value) and own_rank() == "0":
        show_line(f"warning: '{value}' is the data set; for the directory: ./{value}", sys.stderr)
    return value


def _dataset(default: str) -> Any:
    places = "or a directory with one subdirectory of images per class"
    return data_option(
        "--dataset",
        metavar="NAME|DIR",
        help=f"{', '.join(DATASETS)}, {places} [default: {default}].",
        show_default=False,
        autocompletion=complete.datasets,
        callback=_say_which,
    )


Dataset = Annotated[str | None, _dataset(f"the checkpoint's, else {DEFAULT_DATASET}")]
TrainingDataset = Annotated[str | None, _dataset(DEFAULT_DATASET)]
Prepare = Annotated[
    str | None,
    data_option(
        "--prepare",
        metavar="HOW",
        help="A directory's pictures: ink (handwriting, as in predict) or resize (whole pictures)"
        " [default: ink].",
        show_default=False,
    ),
]
SkipUnreadable = Annotated[
    bool, data_option("--skip-unreadable", help="Leave out pictures that can't be read.")
]
Split = Annotated[
    str,
    data_option("--split", metavar="NAME", help="test or train.", autocompletion=complete.splits),
]
Invert = Annotated[
    str,
    data_option(
        "--invert",
        metavar="WHICH",
        help="yes: dark ink on light paper; no: light on dark; auto finds out.",
        callback=_checked_invert,
        autocompletion=complete.one_of(*INVERT),
    ),
]
Json = Annotated[
    bool,
    output_option("--json", help="One JSON document on stdout, no bars."),
]
Quiet = Annotated[
    bool,
    output_option("--quiet", "-q", help="The result alone, no progress."),
]
Debug = Annotated[
    bool,
    output_option(
        "--debug", callback=_remember_debug, is_eager=True, help="Show tracebacks of errors."
    ),
]
_PLACES = "file, a run's directory or name, latest, best or shipped"
_LATEST = " [default: the latest finished run, else shipped]."
_CHECKPOINT_HELP = f"A .pt or .onnx {_PLACES}{_LATEST}"
CheckpointArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CHECKPOINT",
        help=f"Each a .pt or .onnx {_PLACES}{_LATEST}",
        show_default=False,
        autocompletion=complete.checkpoints,
    ),
]


def _checkpoint(name: str, help: str, completion: Any = complete.checkpoints) -> Any:
    return model_option(
        "--checkpoint", "-c", metavar=name, help=help, show_default=False, autocompletion=completion
    )


CheckpointArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="CHECKPOINT",
        help=f"A .pt {_PLACES}{_LATEST}",
        show_default=False,
        autocompletion=complete.checkpoints,
    ),
]
CheckpointOption = Annotated[list[str] | None, _checkpoint("CHECKPOINT", _CHECKPOINT_HELP)]
NetworkOption = Annotated[list[str] | None, _checkpoint("CHECKPOINT", f"A .pt {_PLACES}{_LATEST}")]
PairOption = Annotated[
    list[str] | None,
    _checkpoint("CHECKPOINT", f"Two of them, each after its own -c: a .pt or .onnx {_PLACES}."),
]
RunsOption = Annotated[
    list[str] | None,
    _checkpoint(
        "RUN",
        "A run's name or directory, finished or not, or latest [default: latest].",
        complete.runs,
    ),
]


def typed(ctx: typer.Context, name: str | None) -> bool:
    """Whether the parameter `name` was given on the command line."""
    source = ctx.get_parameter_source(name) if name else None
    return source is not None and source.name == "COMMANDLINE"


def refuse_before_subcommand(ctx: typer.Context) -> None:
    """Raise UsageError for an option that stands before the subcommand, where it has no effect."""
    for parameter in ctx.command.params:
        if typed(ctx, parameter.name):
            option, name = parameter.opts[0], ctx.invoked_subcommand
            raise UsageError(
                f"{option} goes after '{name}'", f"e.g. {ctx.command_path} {name} ... {option}"
            )


def dataset_name(dataset: str | None, prepare: str | None, skip_unreadable: bool) -> str | None:
    """The name under which the engine finds what these options mean. Raises UsageError."""
    from mnistctl.data.folder import with_options

    directory = None if dataset in DATASETS else dataset
    changed = with_options(directory, prepare, skip_unreadable)
    return changed or dataset
