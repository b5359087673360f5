"""The benchmarks; tests/bench/README.md has the figures and the command for each."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__)
DataDir = Annotated[Path, typer.Option("--data-dir", envvar="MNISTCTL_DATA")]
DIGITS = Path(__file__).parents[3] / "shared" / "digits"
Checkpoint = Annotated[
    str | None, typer.Option("--checkpoint", "-c", help="As for mnistctl predict.")
]
Digits = Annotated[
    Path,
    typer.Option(
        "--digits", exists=True, file_okay=False, help="Pictures, and INDEX.tsv: file, label, kind."
    ),
]
Store = Annotated[Path, typer.Option("--store", envvar="MNISTCTL_STORE")]


@app.command()
def speed(
    data_dir: DataDir = Path("data"),
    runs: Annotated[int, typer.Option(help="Repetitions of each figure.")] = 5,
    only: Annotated[list[str] | None, typer.Option(help="A part to measure; repeatable.")] = None,
) -> None:
    """Speed beside the plain loop, start-up and memory, as tables and in results/speed.json."""
    from tests.bench.speed import measure

    measure(data_dir, runs, only or [])


@app.command()
def versions(
    against: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Source tree of another version.")
    ],
    recipe: Annotated[list[str], typer.Option("--recipe", help="What to train; repeatable.")],
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")],
    threads: Annotated[int, typer.Option(help="Threads of each training.")] = 1,
    runs: Annotated[int, typer.Option(help="Epochs of each version.")] = 5,
    data_dir: DataDir = Path("data"),
) -> None:
    """Epochs in turn with another version of the package; to results/versions.jsonl."""
    from tests.bench.versions import measure

    measure(recipe, against, data_dir.absolute(), precision, threads, runs)


@app.command()
def scaling(
    data_dir: DataDir = Path("data"),
    only: Annotated[list[str] | None, typer.Option(help="A series to measure; repeatable.")] = None,
) -> None:
    """How cost grows with threads, batch size, images; to results/scaling.jsonl and a picture."""
    from tests.bench.scaling import measure

    measure(data_dir, only or [])


@app.command()
def study(
    recipe: Annotated[str, typer.Option("--recipe", help="Which recipe to train.")],
    runs: Annotated[int, typer.Option(help="How many runs, one seed each.")] = 5,
    first: Annotated[int, typer.Option(help="The first seed.")] = 0,
    ensemble: Annotated[int, typer.Option(help="Train ensembles of this many seeds.")] = 1,
    dataset: Annotated[str, typer.Option(help="As for mnistctl train.")] = "mnist",
    device: Annotated[str, typer.Option(help="As for mnistctl train.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="As for mnistctl train.")] = None,
    data_dir: DataDir = Path("data"),
    store: Annotated[Path, typer.Option(help="Where the runs are kept.")] = Path("runs"),
) -> None:
    """Accuracy over seeds: every run's figures are appended to results/accuracy.jsonl."""
    from tests.bench.study import study as run_study

    seeds = range(first, first + runs * ensemble, ensemble)
    run_study(recipe, seeds, ensemble, data_dir, device, store, dataset, precision)


@app.command()
def folds(
    recipe: Annotated[str, typer.Option("--recipe", help="Which recipe to train.")] = "accurate",
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="As for mnistctl train; repeatable.")
    ] = None,
    runs: Annotated[int, typer.Option(help="How many seeds, with a training a fold each.")] = 1,
    first: Annotated[int, typer.Option(help="The first seed.")] = 0,
    folds: Annotated[int, typer.Option(help="How many of the six folds to hold out.")] = 6,
    soft_labels: Annotated[
        float, typer.Option(help="Share of each label that is a teacher's, 0 to 1.")
    ] = 0.0,
    ensembles: Annotated[
        list[int] | None, typer.Option(help="Size of ensembles of candidates; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="As for mnistctl train.")] = "auto",
    precision: Annotated[str, typer.Option(help="As for mnistctl train.")] = "auto",
    store: Annotated[Path, typer.Option(help="Where held-out logits are kept.")] = Path("runs"),
    data_dir: DataDir = Path("data"),
) -> None:
    """Candidates for a recipe, cross-validated on the training images; to results/folds.jsonl.

    Then the table of all candidates ever tried. `--runs 0` prints it alone.
    """
    from mnistctl.data.registry import get_dataset
    from mnistctl.events import Reporter
    from mnistctl.recipes import get_recipe, with_settings
    from tests.bench import folds as bench
    from tests.bench.candidates import register_candidates

    register_candidates()
    candidate = with_settings(get_recipe(recipe), setting or [])
    seeds, kept = range(first, first + runs), store / "folds"
    bench.measure(candidate, seeds, data_dir, device, precision, folds, kept, soft_labels)
    answers = list(bench.answers_of(bench.lines()))
    print(bench.table(answers))
    for size in ensembles or []:
        labels = get_dataset("mnist").load("train", data_dir, Reporter()).labels
        print(f"\n{bench.ensembles_table(answers, size, kept, labels)}")


@app.command()
def together(
    checkpoint: Annotated[
        list[str], typer.Option("--checkpoint", "-c", help="A finished run; repeatable.")
    ],
    of: Annotated[
        list[int] | None, typer.Option("--of", help="Size of ensembles; repeatable.")
    ] = None,
    store: Store = Path("runs"),
    data_dir: DataDir = Path("data"),
) -> None:
    """Runs of a recipe alone and as disjoint ensembles; to results/together.jsonl."""
    from tests.bench.together import measure

    measure(checkpoint, of or [], store, data_dir)


@app.command()
def gpu(
    data_dir: DataDir = Path("data"),
    device: Annotated[str, typer.Option(help="As for mnistctl train.")] = "cuda:0",
    images: Annotated[int, typer.Option(help="Training images of the runs here.")] = 60_000,
    seeds: Annotated[int, typer.Option(help="Runs of a recipe, at most.")] = 100,
) -> None:
    """All figures on a GPU and every command on it, in ten minutes; to results/gpu.jsonl.

    `MNISTCTL_RESULTS` names another directory for what is measured.
    """
    from mnistctl.errors import DeviceError
    from tests.bench.gpu import measure

    try:
        good = measure(data_dir, device, images, seeds)
    except DeviceError as error:
        print(f"{error.message}; {error.hint}")
        good = False
    raise typer.Exit(0 if good else 1)


@app.command()
def temperature(
    recipe: Annotated[str, typer.Option("--recipe", help="Which recipe to train.")],
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 3,
    data_dir: DataDir = Path("data"),
) -> None:
    """The temperature that calibrates a recipe's confidence, fitted on held-out images."""
    from tests.bench.temperature import temperature as run_temperature

    run_temperature(recipe, range(seeds), data_dir)


@app.command()
def corruptions(
    checkpoint: Annotated[
        list[str] | None,
        typer.Option("--checkpoint", "-c", help="As for mnistctl evaluate; repeatable."),
    ] = None,
    store: Store = Path("runs"),
    data_dir: DataDir = Path("data"),
) -> None:
    """Accuracy on corrupted test images, a column a checkpoint; to results/corruptions.jsonl."""
    from tests.bench.corruptions import measure

    measure(checkpoint or [], store, data_dir)


@app.command()
def photos(
    checkpoint: Checkpoint = None,
    digits: Digits = DIGITS,
    store: Store = Path("runs"),
    time: Annotated[
        bool, typer.Option("--time", help="What one costs, instead; to results/photo_time.jsonl.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Source tree of another version to time."),
    ] = None,
    runs: Annotated[int, typer.Option(help="Repetitions of each time.")] = 5,
) -> None:
    """Photographs of handwriting and drawn outliers through predict; to results/photos.jsonl."""
    if time:
        from tests.bench.photo_time import measure as measure_time

        measure_time(digits, against, runs)
        return
    from tests.bench.photos import measure

    measure(checkpoint, digits, store)


@app.command()
def numbers(
    checkpoint: Checkpoint = None,
    count: Annotated[int, typer.Option(help="Numbers of each set on each paper.")] = 100,
    validation: Annotated[
        int, typer.Option(help="Of so many training images held out with seed 0, not of test ones.")
    ] = 0,
    store: Store = Path("runs"),
    data_dir: DataDir = Path("data"),
) -> None:
    """Numbers of digits, apart and touching, through predict --multi; to results/numbers.jsonl."""
    from tests.bench.numbers import measure

    measure(checkpoint, store, data_dir, count, validation)


@app.command()
def outliers(
    checkpoint: Annotated[
        list[str], typer.Option("--checkpoint", "-c", help="As for mnistctl predict; repeatable.")
    ],
    omniglot: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A zip of drawings, PNG, to measure with."),
    ] = None,
    store: Store = Path("runs"),
    data_dir: DataDir = Path("data"),
) -> None:
    """What is called a digit and is none, set by set; to results/outliers.jsonl."""
    from tests.bench.outliers import measure

    measure(checkpoint, store, data_dir, omniglot)


@app.command()
def camera(
    checkpoint: Checkpoint = None,
    digits: Digits = DIGITS,
    store: Store = Path("runs"),
) -> None:
    """The photographs made harder in 20 ways, each through predict; to results/camera.jsonl."""
    from tests.bench.camera import measure

    measure(checkpoint, digits, store)


@app.command()
def export(
    checkpoint: Annotated[
        list[str], typer.Option("--checkpoint", "-c", help="As for mnistctl export; repeatable.")
    ],
    runs: Annotated[int, typer.Option(help="Repetitions of each figure.")] = 5,
    store: Store = Path("runs"),
    data_dir: DataDir = Path("data"),
) -> None:
    """Exported files: agreement without torch, speed and size; to results/export.jsonl."""
    from tests.bench.export import measure

    measure(checkpoint, store, data_dir, runs)


@app.command()
def serve(
    data_dir: DataDir = Path("data"),
    requests: Annotated[int, typer.Option(help="Small pictures a figure; photographs 1/10.")] = 400,
    runs: Annotated[int, typer.Option(help="Repetitions of each figure.")] = 3,
    note: Annotated[str, typer.Option(help="On the state of the machine, kept with it.")] = "",
) -> None:
    """Load on the page's server beside a plain one; every figure to results/serve.jsonl."""
    from tests.bench.serve import measure

    measure(data_dir, requests, runs, note)


@app.command()
def ship(
    run: Annotated[str, typer.Argument(help="The run whose weights are to be the shipped ones.")],
    store: Store = Path("runs"),
    data_dir: DataDir = Path("data"),
) -> None:
    """Write the weights that the package ships, and their card."""
    from tests.bench.ship import ship as write_shipped

    write_shipped(run, store, data_dir)


if __name__ == "__main__":
    app()
