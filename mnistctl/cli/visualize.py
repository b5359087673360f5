"""`mnistctl visualize`: see the data, the model, and where it fails."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistctl.cli import options
from mnistctl.cli.output import Output, show_line, start_output
from mnistctl.data.registry import check_split
from mnistctl.errors import UsageError, unknown

if TYPE_CHECKING:
    from mnistctl.cli.visualize_kinds import Kind

_NETWORK = {"checkpoints", "device", "precision", "store"}
_DATA = {"split", "dataset", "data_dir"}
_ONE_IMAGE = _NETWORK | _DATA | {"index", "image", "invert"}
# Which parameters of the command each kind reads; the rest would be ignored, and are refused.
USES: dict[str, set[str]] = {
    "prediction": _ONE_IMAGE,
    "samples": _DATA | {"count", "digit", "seed", "augmented"},
    "confusion": _NETWORK | _DATA,
    "errors": _NETWORK | _DATA | {"count", "digit"},
    "curves": {"checkpoints", "store", "follow"},
    "filters": _NETWORK | {"count"},
    "activations": _ONE_IMAGE | {"count"},
    "saliency": _ONE_IMAGE | {"method", "digit"},
    "calibration": _NETWORK | _DATA,
    "embedding": _NETWORK | _DATA,
    "compare": _NETWORK | _DATA | {"count"},
}
_ANY_KIND = {"kind", "out", "show", "json", "quiet", "debug"}
KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="[KIND]",
        help=f"One of: {', '.join(USES)} [default: prediction].",
        show_default=False,
    ),
]
Index = Annotated[
    int, typer.Option("--index", metavar="N", help="Which image of the split, from 0.")
]
Image = Annotated[
    str | None,
    typer.Option("--image", metavar="FILE", help="A picture file instead, with each step to it."),
]
Count = Annotated[
    int | None, typer.Option("--count", metavar="N", help="How many images, filters or channels.")
]
Digit = Annotated[
    int | None,
    typer.Option(
        "--digit", metavar="D", help="Only images of this label; saliency: of this answer."
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Random samples instead of the first.")
]
Augmented = Annotated[
    str | None,
    typer.Option(
        "--augmented", metavar="RECIPE", help="Samples beside what the recipe makes of them."
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="Saliency by integrated-gradients [default] or gradcam.",
        show_default=False,
    ),
]
Follow = Annotated[
    bool, typer.Option("--follow", help="Curves: go on while the run is being trained.")
]
Out = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Also draw it as .png, .svg or .pdf."),
]
Show = Annotated[bool, typer.Option("--show", help="Also open it in a window.")]


def visualize_command(
    ctx: typer.Context,
    kind: KindArgument = "prediction",
    index: Index = 0,
    image: Image = None,
    invert: options.Invert = "auto",
    split: options.Split = "test",
    count: Count = None,
    digit: Digit = None,
    seed: Seed = None,
    augmented: Augmented = None,
    method: Method = None,
    follow: Follow = False,
    out: Out = None,
    show: Show = False,
    checkpoints: options.CheckpointsOption = None,
    dataset: options.Dataset = None,
    device: options.Device = None,
    precision: options.Precision = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """See the data, the model, and where it fails.

    In the terminal, and with --output as a file. An existing file is replaced in one step.
    compare takes --checkpoint twice, curves any number of times.
    """
    output = start_output(ctx, json, quiet)
    check_split(split)
    _check_usage(ctx, kind, checkpoints or [])
    if follow and json:
        raise UsageError("--follow goes on drawing, --json is one document", "choose one")
    from mnistctl.draw.files import check_output

    if out is not None:
        check_output(out)
    from mnistctl.cli.visualize_kinds import KINDS
    from mnistctl.visualize.request import ViewRequest

    request = ViewRequest(
        checkpoints=tuple(checkpoints or ()),
        store=store,
        data_dir=data_dir,
        dataset=dataset,
        split=split,
        device=device,
        precision=precision,
        index=index,
        image=image,
        invert=options.checked_invert(invert),
        count=count,
        digit=digit,
        seed=seed,
        augmented=augmented,
        method=method,
        reporter=output.reporter(),
    )
    if follow:
        from mnistctl.cli.visualize_follow import follow_curves

        view = follow_curves(request, output)
    else:
        view = KINDS[kind].view(request)
    _render(kind, KINDS[kind], view, output, out, show, follow)


def _check_usage(ctx: typer.Context, kind: str, checkpoints: list[str]) -> None:
    """Raise UsageError on an unknown kind, or on what was typed and the kind has no use for."""
    if kind not in USES:
        raise unknown("kind", kind, tuple(USES))
    flags = {parameter.name: parameter.opts[0] for parameter in ctx.command.params}
    given = [name for name in flags if name and _typed(ctx, name)]
    for name in given:
        if name not in USES[kind] | _ANY_KIND:
            own = [flags[name] for name in flags if name in USES[kind]]
            raise UsageError(f"'{kind}' has no use for {flags[name]}", f"it takes {', '.join(own)}")
    if "image" in given and (other := {"index", "split", "dataset", "data_dir"} & set(given)):
        raise UsageError(f"--image is no image of a data set: {flags[min(other)]} is out of place")
    if "invert" in given and "image" not in given:
        raise UsageError("--invert is about a picture file: give --image FILE")
    if kind == "compare" and len(checkpoints) != 2:
        raise UsageError(
            f"'compare' takes two checkpoints, not {len(checkpoints)}",
            "name both: mnistctl visualize compare -c RUN -c OTHER",
        )
    if kind not in ("compare", "curves") and len(checkpoints) > 1:
        raise UsageError(f"'{kind}' takes one checkpoint, not {len(checkpoints)}")


def _typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _render(
    name: str,
    kind: "Kind[Any]",
    view: Any,
    output: Output,
    out: Path | None,
    show: bool,
    drawn: bool,
) -> None:
    """Write the file, the document and the drawing (unless it is `drawn`), open the window."""
    title = kind.title(view)
    if out is not None:
        from mnistctl.draw.files import save_figure

        save_figure(kind.figure(view, title), out)
    output.document({"kind": name} | view.to_dict() | {"output": str(out) if out else None})
    if output.human:
        console = output.console()
        # In a terminal broken between words; in a pipe one line.
        console.print(title, soft_wrap=not console.is_terminal)
        if not output.quiet and not drawn:
            console.print(kind.panel(view, console))
        if out is not None:
            output.line(f"Written: {out}")
    if show and output.first_rank:
        from mnistctl.draw.window import show_window

        problem = show_window(kind.figure(view, title), title)
        if problem is not None:
            show_line(f"no window: {problem}; --output FILE draws a file", sys.stderr)
