"""`mnistctl runs`: the trained runs of a store, listed, shown, compared, removed."""

import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistctl.cli import complete, options
from mnistctl.cli.command import Command, Group, examples
from mnistctl.cli.output import Output, start_output
from mnistctl.cli.streams import is_terminal
from mnistctl.cli.table import Column, show_table
from mnistctl.data.registry import DEFAULT_DATASET
from mnistctl.errors import Interrupted, MnistctlError, UsageError
from mnistctl.recipes import OPTIONS, as_typed
from mnistctl.text import counted, percent

if TYPE_CHECKING:
    from mnistctl.store.config import RunConfig
    from mnistctl.store.rotation import Verified
    from mnistctl.store.runs import RunInfo

STATE_STYLES = {"running": "cyan", "interrupted": "yellow", "damaged": "red"}
REPORTING = ("log_every", "checkpoint_every", "test_every_epoch", "started", "command", "classes")
"""Settings of a run that decide nothing of its result."""

runs_app = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's name, the beginning of it, its directory, or latest.",
        autocompletion=complete.runs,
    ),
]


@runs_app.callback(
    subcommand_metavar="[COMMAND]",
    epilog=examples(
        "mnistctl runs",
        "mnistctl runs show latest",
        "mnistctl runs diff fast-1 fast-2",
        "mnistctl runs --json",
    ),
)
def list_command(
    ctx: typer.Context,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """List the runs, newest first; show, compare and remove them.

    With --quiet only their names.
    """
    if ctx.invoked_subcommand is not None:
        options.refuse_before_subcommand(ctx)
        return
    output = start_output(ctx, json, quiet)
    from mnistctl.store.runs import list_runs

    runs = list_runs(store)[::-1]
    if quiet and not json:
        for run in runs:
            output.line(run.name)
        return
    from mnistctl.store.rotation import verified

    found = [verified(run) for run in runs]
    rows = [summary(own) for own in found]
    output.document({"store": str(store), "runs": rows})
    if not runs:
        output.line(f"No runs in {store}. Train one: mnistctl train")
    else:
        _show_list(output, runs, rows)


def summary(found: "Verified") -> dict[str, Any]:
    """A run as one of the documents of `runs --json`."""
    run, config, result = found.run, found.run.config, found.run.result
    return {
        "run": run.name,
        "state": run.state,
        "recipe": config.recipe.name if config else None,
        "dataset": config.dataset if config else None,
        "seed": config.seed if config else None,
        "num_members": config.ensemble if config else None,
        "epochs": config.recipe.epochs if config else None,
        "epochs_done": found.epochs_done,
        "accuracy": result.test.accuracy if result else None,
        "validation_accuracy": result.validation.accuracy if result and result.validation else None,
        "train_seconds": result.train_seconds if result else None,
        "started": config.started if config else None,
    }


def _show_list(output: Output, runs: Sequence["RunInfo"], rows: Sequence[dict[str, Any]]) -> None:
    def cells(text: Callable[[Any], str], key: str) -> list[str]:
        return ["" if row[key] is None else text(row[key]) for row in rows]

    recipes = [run.config.recipe.label if run.config else "?" for run in runs]
    times = [
        f"{recipe} x{run.config.ensemble}" if run.config and run.config.ensemble > 1 else recipe
        for run, recipe in zip(runs, recipes, strict=True)
    ]
    ages = [duration(time.time() - run.modified) for run in runs]
    show_table(
        output,
        [
            Column("run", cells(str, "run")),
            Column("state", cells(str, "state"), styles=STATE_STYLES),
            Column("recipe", times, folds=True),
            Column("data set", cells(str, "dataset"), expendable=True),
            Column("seed", cells(str, "seed"), right=True, expendable=True),
            Column("epochs", [_epochs(row) for row in rows], right=True),
            Column("accuracy", cells(percent, "accuracy"), right=True),
            Column("validation", cells(percent, "validation_accuracy"), right=True),
            Column("time", cells(duration, "train_seconds"), right=True, expendable=True),
            Column("age", ages, right=True, expendable=True),
        ],
    )


def _epochs(row: dict[str, Any]) -> str:
    if row["epochs"] is None:
        return "?"
    if row["state"] == "finished":
        return str(row["epochs"])
    return f"{row['epochs_done']}/{row['epochs']}"


def duration(seconds: float) -> str:
    """90 -> `1 min`, in the largest unit that fits."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


@runs_app.command(
    "show",
    cls=Command,
    epilog=examples("mnistctl runs show latest", "mnistctl runs show fast-1 --json"),
)
def show_command(
    ctx: typer.Context,
    run: RunArgument = "latest",
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show everything about a run, with the command that repeats it."""
    output = start_output(ctx, json, quiet=False)
    from mnistctl.store.find import find_run
    from mnistctl.store.result import TrainResult
    from mnistctl.store.rotation import verified

    own = verified(find_run(run, store))
    found, config, result = own.run, own.run.config, own.run.result
    document = summary(own) | {"run_dir": str(found.directory)}
    if config:
        document |= {
            "settings": config.recipe.to_dict(),
            "command": repeat_command(config),
            "device": config.device,
            "precision": config.precision,
            "threads": config.threads,
            "world_size": config.world_size,
            "versions": config.versions,
        }
    if config and result:
        document = TrainResult(found.directory, config, result).to_dict() | document
    output.document(document)
    if output.human:
        _show_run(output, own, document)


def _show_run(output: Output, found: "Verified", document: dict[str, Any]) -> None:
    run, config, result = found.run, found.run.config, found.run.result
    rows = {
        "Run": run.name,
        "State": run.state,
        "Problem": found.problem,
        "Directory": str(run.directory),
    }
    if config:
        recipe = config.recipe
        members = f", {config.ensemble} members" if config.ensemble > 1 else ""
        held_out = f", {config.validation:,} images held out" if config.validation else ""
        versions = ", ".join(f"{name} {version}" for name, version in config.versions.items())
        settings = "  ".join(f"{key}={as_typed(value)}" for key, value in recipe.settings.items())
        processes = f", {config.world_size} processes" if config.world_size > 1 else ""
        rows |= {
            "Recipe": f"{recipe.label}{members}",
            "Settings": settings,
            "Data set": f"{config.dataset}{held_out}",
            "Seed": str(config.seed),
            "Hardware": f"{config.device}, {config.precision},"
            f" {counted(config.threads, 'thread')}{processes}",
            "Versions": versions,
            "Started": config.started,
            "Epochs": _epochs(document),
        }
    if result:
        test, validation = result.test, result.validation
        rows |= {
            "Parameters": f"{result.parameters:,}",
            "Trained in": f"{result.train_seconds:.1f} s"
            f" ({result.images_per_second:,.0f} images/s)",
            "Validation": f"accuracy {percent(validation.accuracy)} at epoch {validation.epoch}"
            if validation
            else "",
            "Test": f"accuracy {percent(test.accuracy)} ({test.correct:,}/{test.total:,}),"
            f" loss {test.loss:.4f}",
        }
    width = output.console().width - 12 if is_terminal(sys.stdout) else 100
    for name, text in rows.items():
        lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
        for number, line in enumerate(lines):
            output.line(f"{'' if number else name:<12}{line}")
    if found.problem:
        from mnistctl.store.config import resume_line

        output.line(found.hint or f"Mend with: {resume_line(run.directory)}")
    if config:
        output.line(f"Repeat with: {document['command']}")


def repeat_command(config: "RunConfig") -> str:
    """The command that trains the same again."""
    from mnistctl.store.config import program_words

    words = [*program_words(config.world_size), "train", "--recipe", config.recipe.name]
    for key, value in config.recipe.changes.items():
        words += [OPTIONS[key], value] if key in OPTIONS else ["--set", f"{key}={value}"]
    for option, given, default in (
        ("--dataset", config.dataset, DEFAULT_DATASET),
        ("--seed", config.seed, 0),
        ("--validation", config.validation, 0),
        ("--ensemble", config.ensemble, 1),
        ("--init", config.init and config.init.checkpoint, None),
    ):
        if given != default:
            words += [option, str(given)]
    device = config.device.partition(":")[0] if config.world_size > 1 else config.device
    return shlex.join([*words, "--device", device, "--precision", config.precision])


@runs_app.command(
    "diff",
    cls=Command,
    epilog=examples(
        "mnistctl runs diff fast-1 fast-2", "mnistctl runs diff fast-1 fast-2 latest --json"
    ),
)
def diff_command(
    ctx: typer.Context,
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Two or more.", autocompletion=complete.runs),
    ],
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Compare runs: only settings and results that differ."""
    output = start_output(ctx, json, quiet=False)
    if len(runs) < 2:
        raise UsageError("a comparison takes two runs or more", "see mnistctl runs")
    from mnistctl.store.find import find_run
    from mnistctl.store.rotation import verified

    found = [verified(find_run(name, store)).run for name in runs]
    settings = _different([_settings(run) for run in found])
    results = _different([_results(run) for run in found])
    names = [run.name for run in found]
    output.document(
        {"a": names[0], "b": names[1], "runs": names, "settings": settings, "results": results}
    )
    rows = settings | results
    if not rows:
        output.line("No difference in settings or results")
    elif output.human:
        values = list(zip(*rows.values(), strict=True))
        show_table(
            output,
            [
                Column("", list(rows)),
                *(
                    Column(name, [_short(value) for value in column], folds=True)
                    for name, column in zip(names, values, strict=True)
                ),
            ],
        )


def _settings(run: "RunInfo") -> dict[str, Any]:
    if run.config is None:
        return {}
    document = run.config.to_dict()
    versions = {f"{name} version": version for name, version in document.pop("versions").items()}
    own = {key: value for key, value in document.items() if key not in REPORTING}
    return own | {"recipe": run.config.recipe.name} | run.config.recipe.settings | versions


def _results(run: "RunInfo") -> dict[str, Any]:
    document: dict[str, Any] = {"state": run.state}
    if run.result is not None:
        test, validation = run.result.test, run.result.validation
        document |= {
            "accuracy": test.accuracy,
            "loss": test.loss,
            "validation_accuracy": validation.accuracy if validation else None,
            "train_seconds": run.result.train_seconds,
            "images_per_second": run.result.images_per_second,
            "parameters": run.result.parameters,
        }
    return document


def _different(documents: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The keys whose values are not all the same, with the value of each document."""
    keys = dict.fromkeys(key for document in documents for key in document)
    values = {key: [document.get(key) for document in documents] for key in keys}
    return {key: own for key, own in values.items() if any(value != own[0] for value in own)}


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value))
    text = f"{value:,.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"...{text[-37:]}"


@runs_app.command(
    "rm",
    cls=Command,
    epilog=examples("mnistctl runs rm fast-1", "mnistctl runs rm fast-2 --yes"),
)
def rm_command(
    ctx: typer.Context,
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN", help="Full names, or directories.", autocompletion=complete.run_names
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Remove runs permanently.

    Not one that is being trained, and not one whose directory holds files of yours.
    """
    output = start_output(ctx, json, quiet=False)
    from mnistctl.store.removal import check_removable, remove_run, size_of

    directories = list(dict.fromkeys(check_removable(name, store) for name in runs))
    size = sum(map(size_of, directories)) / 1e6
    what = f"{counted(len(directories), 'run')} ({', '.join(map(str, directories))}; {size:.1f} MB)"
    if not yes:
        _ask(f"Remove {what}?")
    for directory in directories:
        remove_run(directory)
    output.document({"removed": [str(directory) for directory in directories]})
    output.line(f"Removed {what}")


def _ask(question: str) -> None:
    if not is_terminal(sys.stdin):
        raise UsageError("without a terminal nobody can be asked for confirmation", "add --yes")
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort as error:
        print(file=sys.stderr)  # to leave the question's line
        raise Interrupted("nothing was removed") from error
    if not agreed:
        raise MnistctlError("nothing was removed")
