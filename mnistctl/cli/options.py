"""The options that several commands share: one name, help and default each."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mnistctl.data.registry import DATASETS
from mnistctl.errors import unknown

if TYPE_CHECKING:
    from mnistctl.imaging import ink

DEBUG_KEY = "mnistctl.debug"


def _remember_debug(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[DEBUG_KEY] = value
    return value


DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="MNISTCTL_DATA",
        metavar="DIR",
        help="Where data sets are, in torchvision's layout (DIR/MNIST/raw).",
    ),
]
Store = Annotated[
    Path, typer.Option("--store", envvar="MNISTCTL_STORE", metavar="DIR", help="Where runs are.")
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda, cuda:N or mps [default: auto].",
        show_default=False,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="auto, fp32 or bf16 [default: auto]; auto takes bf16 where the hardware has it.",
        show_default=False,
    ),
]


def _complete_dataset(incomplete: str) -> list[str]:
    return [name for name in DATASETS if name.startswith(incomplete)]


def _say_which(value: str | None) -> str | None:
    """A name that means two things: the data set's own wins."""
    if value in DATASETS and os.path.isdir(value) and os.environ.get("RANK", "0") == "0":
        print(f"warning: '{value}' is the data set; for the directory: ./{value}", file=sys.stderr)
    return value


Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME|DIR",
        help=f"{', '.join(DATASETS)}, or a directory that holds one of pictures for each class.",
        autocompletion=_complete_dataset,
        callback=_say_which,
    ),
]
Prepare = Annotated[
    str | None,
    typer.Option(
        "--prepare",
        metavar="HOW",
        help="A directory's pictures: ink (handwriting, as in predict) or resize (whole pictures)"
        " [default: ink].",
        show_default=False,
    ),
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Leave out pictures that can't be read.")
]
Split = Annotated[str, typer.Option("--split", metavar="NAME", help="test or train.")]
Invert = Annotated[
    str,
    typer.Option(
        "--invert",
        metavar="WHICH",
        help="yes: dark ink on light paper; no: light on dark; auto finds out.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, no bars.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="The result alone, no progress.")]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", callback=_remember_debug, is_eager=True, help="Show tracebacks of errors."
    ),
]
CheckpointArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CHECKPOINT",
        help="Each a .pt file, a run's directory or name, latest, best or shipped"
        " [default: the latest finished run, else shipped].",
        show_default=False,
    ),
]
_CHECKPOINT_HELP = (
    "A .pt file, a run's directory or name, latest, best or shipped"
    " [default: the latest finished run, else shipped]."
)
CheckpointOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="CHECKPOINT",
        help=_CHECKPOINT_HELP,
        show_default=False,
    ),
]
CheckpointsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="CHECKPOINT",
        help=_CHECKPOINT_HELP,
        show_default=False,
    ),
]

DEFAULT_DATA_DIR = Path("data")
DEFAULT_STORE = Path("runs")
INVERT = ("auto", "yes", "no")


def dataset_name(dataset: str | None, prepare: str | None, skip_unreadable: bool) -> str | None:
    """The name under which the engine finds what these options mean. Raises UsageError."""
    from mnistctl.data.folder import with_options

    return with_options(dataset, prepare, skip_unreadable)


def checked_invert(value: str) -> "ink.Invert":
    """`value` of `--invert`. Raises UsageError."""
    if value not in INVERT:
        raise unknown("--invert value", value, INVERT)
    return cast("ink.Invert", value)
