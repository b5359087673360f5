"""Command line of the benchmarks."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__)
DataDir = Annotated[Path, typer.Option("--data-dir", envvar="MNISTCTL_DATA")]


@app.callback(invoke_without_command=True)
def everything(
    ctx: typer.Context,
    data_dir: DataDir = Path("data"),
    runs: Annotated[int, typer.Option(help="Repetitions of each figure.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="A part to measure; repeatable.")] = None,
) -> None:
    """Without a subcommand: speed, start-up and memory, as tables and in results/speed.json."""
    if ctx.invoked_subcommand is None:
        from tests.bench.speed import measure

        measure(data_dir, runs, only or [])


@app.command()
def study(
    recipe: Annotated[str, typer.Option("--recipe", help="Which recipe to train.")],
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 5,
    device: Annotated[str, typer.Option(help="As for mnistctl train.")] = "auto",
    data_dir: DataDir = Path("data"),
) -> None:
    """Accuracy over seeds: every run's figures are appended to results/accuracy.jsonl."""
    from tests.bench.study import study as run_study

    run_study(recipe, range(seeds), data_dir, device)


@app.command()
def temperature(
    recipe: Annotated[str, typer.Option("--recipe", help="Which recipe to train.")],
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 3,
    data_dir: DataDir = Path("data"),
) -> None:
    """The temperature that calibrates a recipe's confidence, fitted on held-out images."""
    from tests.bench.study import temperature as run_temperature

    run_temperature(recipe, range(seeds), data_dir)


if __name__ == "__main__":
    app()
