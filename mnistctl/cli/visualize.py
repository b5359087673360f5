"""`mnistctl visualize KIND`: see the data, the network, and where it fails.

Each kind of `mnistctl.visualize` is a command made from its function's parameters; none is named
here. Kinds are imported when a command or help needs them, their libraries when one runs.
"""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from mnistctl.cli import options
from mnistctl.cli.command import Command, Group, examples
from mnistctl.cli.output import Output, start_output
from mnistctl.cli.streams import is_terminal
from mnistctl.errors import UsageError, unknown
from mnistctl.visualize.registry import DEFAULT_KIND, Frame, Kind, View, all_kinds
from mnistctl.visualize.sources import Image, Source

# Option and default of what a source names without saying more; some differ by the source.
SHARED: dict[str, tuple[Any, Any]] = {
    "checkpoint": (options.CheckpointOption, None),
    "Network.checkpoint": (options.NetworkOption, None),
    "DataSplit.dataset": (options.TrainingDataset, None),
    "Pair.checkpoint": (options.PairOption, None),
    "dataset": (options.Dataset, None),
    "data_dir": (options.DataDir, options.DEFAULT_DATA_DIR),
    "device": (options.Device, None),
    "invert": (options.Invert, "auto"),
    "precision": (options.Precision, None),
    "runs": (options.RunsOption, None),
    "split": (options.Split, "test"),
    "store": (options.Store, options.DEFAULT_STORE),
}
Out = Annotated[
    Path | None,
    options.output_option(
        "--output",
        "-o",
        metavar="FILE",
        readable=False,
        help="Save a figure: .png, .svg or .pdf.",
    ),
]
Show = Annotated[bool, options.output_option("--show", help="Open the figure in a window.")]
OUTPUT: dict[str, tuple[Any, Any]] = {
    "output": (Out, None),
    "show": (Show, False),
    "json": (options.Json, False),
    "quiet": (options.Quiet, False),
    "debug": (options.Debug, False),
}


class KindGroup(Group):
    """The kinds as commands; without one `prediction` is meant."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the command's name in its usage."""
        return ["[KIND]", "[OPTIONS]"]

    def list_commands(self, ctx: Any) -> list[str]:
        """The kinds' names, the default first."""
        return list(all_kinds())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a kind, None if there is none."""
        kind = all_kinds().get(cmd_name)
        return kind and command_of(kind)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default kind where the first word is an option, or there is no word.

        While a shell completes, no word yet is no choice yet.
        """
        if args:
            inserted = args[0].startswith("-") and args[0] not in ctx.help_option_names
        else:
            inserted = not ctx.resilient_parsing
        return super().parse_args(ctx, [DEFAULT_KIND, *args] if inserted else args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name, command and the rest of `args`. Raises UsageError on a word that is no kind."""
        if args[0] not in all_kinds() and not ctx.resilient_parsing:
            error = unknown("kind", args[0], tuple(all_kinds()))
            if args[0].isdecimal():
                error.hint = f"to see that image: mnistctl visualize --index {args[0]}"
            elif os.path.isfile(args[0]):
                error.hint = f"to see that file: mnistctl visualize --image {shlex.quote(args[0])}"
            raise error
        return super().resolve_command(ctx, args)


visualize_app = typer.Typer(
    cls=KindGroup,
    help="See the data, the network, and where it fails.\n\nWithout a KIND: the prediction for an"
    " image. mnistctl visualize KIND --help shows a kind's options.",
    epilog=examples(
        "mnistctl visualize --index 7",
        "mnistctl visualize errors --output errors.png",
        "mnistctl visualize saliency --image photo.jpg",
    ),
    rich_markup_mode=None,
)


@visualize_app.callback()
def _no_options_of_its_own() -> None: ...


def command_of(kind: Kind) -> Any:
    """The command that runs `kind`: its own options, those of its sources, and the output's."""
    hints = get_type_hints(kind.function, include_extras=True)
    parameters = signature(kind.function).parameters.values()
    sources = {name: hint for name, hint in hints.items() if _is_source(hint)}
    own = [
        _own_option(p.name, hints[p.name], p.default) for p in parameters if p.name not in sources
    ]
    shared = [option for source in sources.values() for option in _options_of(source)]
    ends = [_option(name, *option) for name, option in OUTPUT.items()]
    context = Parameter("ctx", Parameter.KEYWORD_ONLY, annotation=typer.Context)

    def command(ctx: typer.Context, **values: Any) -> None:
        _run(kind, sources, ctx, values)

    every = [context, *own, *shared, *ends]
    command.__signature__ = Signature(every)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
    command.__doc__ = kind.function.__doc__
    shown = (f"mnistctl visualize {kind.name} {words}".rstrip() for words in kind.examples)
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(kind.name, cls=Command, epilog=examples(*shown))(command)
    return typer.main.get_command(app)


def _is_source(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Source)


def _options_of(source: type[Source]) -> Iterator[Parameter]:
    hints = get_type_hints(source, include_extras=True)
    for field in fields(source):
        if field.name != "reporter":
            own = SHARED.get(field.name, (hints[field.name], field.default))
            yield _option(field.name, *SHARED.get(f"{source.__name__}.{field.name}", own))


def _option(name: str, hint: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=hint, default=default)


def _own_option(name: str, hint: Any, default: Any) -> Parameter:
    for shown in getattr(hint, "__metadata__", ()):
        shown.rich_help_panel = "What is shown"
    return _option(name, hint, default)


def _run(
    kind: Kind, sources: dict[str, type[Source]], ctx: typer.Context, values: dict[str, Any]
) -> None:
    """Check what was typed, find what the kind shows, show it."""
    out, show, json, quiet, _ = (values.pop(name) for name in OUTPUT)
    output = start_output(ctx, json, quiet)
    typed = {name for name in values if options.typed(ctx, name)}
    arguments: dict[str, Source] = {}
    for name, source in sources.items():
        given = {option.name: values.pop(option.name) for option in _options_of(source)}
        arguments[name] = source(reporter=output.reporter(), **given)
        arguments[name].check(typed)
    if out is not None:
        from mnistctl.draw.files import check_output

        check_output(out)
        for own in arguments.values():
            if isinstance(own, Image) and own.image and Path(own.image).resolve() == out.resolve():
                raise UsageError(f"--output {out} is the image itself", "name another file")
    window = None
    if show and output.first_rank:
        from mnistctl.draw.window import open_window, show_in

        window = open_window()
    found = kind.function(**arguments, **values)
    followed = isinstance(found, Iterator)
    if followed and json:
        raise UsageError("--json is one document, --follow draws many", "choose one")
    view = _follow(found, output) if isinstance(found, Iterator) else found
    _show(kind, view, output, out, panel=not quiet and not followed)
    if window is not None:
        show_in(window, view.figure(), view.title)


def _follow(frames: Iterator[Frame], output: Output) -> View:
    """The last of the frames; they are drawn on a terminal, else their news are printed."""
    from rich.live import Live

    console = output.console()
    live = Live(console=console, auto_refresh=False)
    drawn = not output.quiet and is_terminal(sys.stdout)
    with live if drawn else nullcontext():
        for frame in frames:
            if drawn:
                live.update(frame.panel(console), refresh=True)
            elif not output.quiet:
                for line in frame.news:
                    output.line(line)
    return frame


def _show(kind: Kind, view: View, output: Output, out: Path | None, panel: bool) -> None:
    """Save the figure, write the document, or show the panel and the title beneath."""
    if out is not None:
        from mnistctl.draw.files import save_figure

        save_figure(view.figure(), out)
    output.document({"kind": kind.name} | view.to_dict() | {"output": str(out) if out else None})
    if output.human:
        if panel:
            output.show(view.panel(output.console()))
        if is_terminal(sys.stdout):
            output.show(view.title)  # broken between words
        else:
            output.line(view.title)
        if out is not None:
            output.line(f"Saved to {out}")
