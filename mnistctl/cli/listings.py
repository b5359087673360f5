"""What there is to choose from: the recipes, and the runs of a store."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnistctl.cli.output import Output
from mnistctl.recipes import DEFAULT_RECIPE, RECIPES
from mnistctl.text import percent


def show_recipes(output: Output) -> None:
    """A table of all recipes; in JSON mode their every field."""
    output.document(
        {"default": DEFAULT_RECIPE, "recipes": [recipe.to_dict() for recipe in RECIPES.values()]}
    )
    if not output.human:
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("recipe", "epochs", "batch", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for recipe in RECIPES.values():
        table.add_row(
            recipe.name + (" *" if recipe.name == DEFAULT_RECIPE else ""),
            str(recipe.epochs),
            str(recipe.batch_size),
            recipe.summary,
        )
    output.show(table)
    output.line("* the default; --json shows every number")


def show_runs(output: Output, store: Path) -> None:
    """A table of the runs in `store`, oldest first; each one's checkpoint is verified."""
    from mnistctl.errors import CheckpointError
    from mnistctl.store.rotation import epochs_saved
    from mnistctl.store.runs import RunInfo, list_runs

    def verified(run: RunInfo) -> tuple[RunInfo, int]:
        try:
            return run, epochs_saved(run)
        except CheckpointError:
            return replace(run, state="damaged"), 0

    runs = [verified(run) for run in list_runs(store)]
    rows: list[dict[str, Any]] = []
    for run, epochs_done in runs:
        rows.append(
            {
                "name": run.name,
                "state": run.state,
                "recipe": run.config.recipe.label if run.config else None,
                "dataset": run.config.dataset if run.config else None,
                "members": run.config.ensemble if run.config else 1,
                "epochs_done": epochs_done,
                "epochs": run.config.recipe.epochs if run.config else None,
                "test_accuracy": run.result.test.accuracy if run.result else None,
                "age_seconds": max(0.0, time.time() - run.modified),
            }
        )
    output.document({"store": str(store), "runs": rows})
    if not output.human:
        return
    if not rows:
        output.line(f"No runs in {store}")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("run", "state", "recipe", "dataset", "epochs", "test", "age"):
        table.add_column(heading)
    for row in rows:
        accuracy = row["test_accuracy"]
        members = f" x{row['members']}" if row["members"] > 1 else ""
        table.add_row(
            row["name"],
            row["state"],
            f"{row['recipe'] or '?'}{members}",
            row["dataset"] or "?",
            f"{row['epochs_done']}/{row['epochs']}",
            percent(accuracy) if accuracy is not None else "-",
            age(row["age_seconds"]),
        )
    output.show(table)


def age(seconds: float) -> str:
    """90 -> `1 min`, in the largest unit that fits."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
