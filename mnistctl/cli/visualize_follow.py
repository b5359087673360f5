"""`visualize curves --follow`: the curves as they grow, until the runs end or Ctrl-C."""

import sys
import time
from collections.abc import Callable, Iterator

from rich.live import Live

from mnistctl.cli.output import Output, is_terminal
from mnistctl.cli.visualize_kinds import KINDS
from mnistctl.store.runs import describe
from mnistctl.visualize.curves import (
    Curves,
    CurvesView,
    find_runs,
    logged_curves,
    read_curves,
    with_members,
)
from mnistctl.visualize.request import ViewRequest

POLL_SECONDS = 0.5
PATIENCE = 3.0
"""Seconds that a run may be between being made and being trained, or between two trainings."""


def follow_curves(request: ViewRequest, output: Output) -> CurvesView:
    """Draw anew on a terminal, else print each new loss as a line, or just wait when quiet.

    Returns the curves at the end. Raises CheckpointError for what is no run, and for one that
    ended without metrics.
    """
    asked = find_runs(request)

    def read() -> CurvesView:
        return read_curves(with_members(asked))

    def training() -> bool:
        return any(describe(directory).state == "running" for directory in asked)

    if output.quiet:
        for _ in _until_ended(read, training):
            pass
    elif is_terminal(sys.stdout):
        _redraw(_until_ended(read, training), output)
    else:
        _print_lines(_until_ended(read, training), output)
    return logged_curves(with_members(asked))


def _redraw(views: Iterator[CurvesView], output: Output) -> None:
    kind, console = KINDS["curves"], output.console()
    with Live(console=console, auto_refresh=False) as live:
        for view in views:
            if all(run.batch_loss or run.epoch_loss for run in view.runs):
                live.update(kind.panel(view, console), refresh=True)


def _print_lines(views: Iterator[CurvesView], output: Output) -> None:
    printed: dict[str, int] = {}
    for view in views:
        for run in view.runs:
            lines = _lines(run)
            for line in lines[printed.get(run.name, 0) :]:
                output.line(line)
            printed[run.name] = len(lines)
        sys.stdout.flush()


def _lines(run: Curves) -> list[str]:
    """All losses in the order in which they were logged."""
    batches = [(x, 0, f"epoch {x:.2f} loss {y:.4f}") for x, y in run.batch_loss]
    epochs = [(x, 1, f"epoch {x:.0f} done, mean loss {y:.4f}") for x, y in run.epoch_loss]
    return [f"{run.name} {text}" for _, _, text in sorted([*batches, *epochs])]


def _until_ended(
    read: Callable[[], CurvesView], training: Callable[[], bool]
) -> Iterator[CurvesView]:
    """The curves every half second, until nothing is being trained any more.

    An ensemble is being trained, as `training` tells, also between two of its members.
    """
    last_running = time.monotonic()
    while True:
        busy = training()
        view = read()
        yield view
        if not busy and all(run.state in ("finished", "damaged") for run in view.runs):
            return
        if busy or view.running:
            last_running = time.monotonic()
        elif time.monotonic() - last_running > PATIENCE:
            return
        time.sleep(POLL_SECONDS)
