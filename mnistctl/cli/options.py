"""The options that several commands share: one name, help and default each."""

from pathlib import Path
from typing import Annotated

import typer

from mnistctl.errors import unknown

DEBUG_KEY = "mnistctl.debug"


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
    typer.Option(
        "--data-dir",
        envvar="MNISTCTL_DATA",
        metavar="DIR",
        help="Where MNIST is, in torchvision's layout (DIR/MNIST/raw).",
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
Dataset = Annotated[
    str | None,
    typer.Option("--dataset", metavar="NAME", help="mnist, or synthetic (needs no download)."),
]
Split = Annotated[str, typer.Option("--split", metavar="NAME", help="test or train.")]
Invert = Annotated[
    str,
    typer.Option(
        "--invert",
        metavar="WHICH",
        help="yes: dark ink on light paper; no: light on dark; auto finds out.",
        callback=_checked_invert,
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
