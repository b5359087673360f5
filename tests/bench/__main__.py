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
) -> None:
    """Without a subcommand: speed, start-up and memory, as a table and as JSON."""
    if ctx.invoked_subcommand is None:
        from tests.bench.speed import measure

        measure(data_dir, runs)


if __name__ == "__main__":
    app()
