"""`mnistctl train`: a recipe, trained, saved and tested."""

from pathlib import Path
from typing import Annotated

import typer

from mnistctl.cli import options
from mnistctl.cli.listings import show_recipes, show_runs
from mnistctl.cli.output import percent, start_output
from mnistctl.cli.process import seconds_since_start
from mnistctl.recipes import DEFAULT_RECIPE, RECIPES


def train_command(
    ctx: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            metavar="NAME",
            help=f"One of: {', '.join(RECIPES)} [default: {DEFAULT_RECIPE}]; 'list' shows all.",
            show_default=False,
        ),
    ] = None,
    dataset: options.Dataset = None,
    device: options.Device = None,
    precision: options.Precision = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", help="Total number of epochs [default: recipe's]."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", metavar="N", help="Images a step [default: recipe's]."),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option("--lr", metavar="X", help="Peak learning rate [default: recipe's]."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Seed of all randomness [default: 0].")
    ] = None,
    validation: Annotated[
        int | None,
        typer.Option(
            "--validation",
            metavar="N",
            help="Hold out N training images; best.pt is chosen on them [default: 0].",
        ),
    ] = None,
    ensemble: Annotated[
        int | None,
        typer.Option(
            "--ensemble",
            metavar="N",
            help="Train N networks, of this and the next seeds, that answer as one.",
        ),
    ] = None,
    test_every_epoch: Annotated[
        bool | None,
        typer.Option("--test-every-epoch", help="Report the test result after each epoch, too."),
    ] = None,
    log_every: Annotated[
        int | None,
        typer.Option("--log-every", metavar="N", help="Steps between losses [default: 20]."),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            "--checkpoint-every", metavar="N", help="Save every N steps besides every epoch."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="RUN", help="Name of the new run.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Continue a run from its last checkpoint."),
    ] = None,
    list_recipes: Annotated[
        bool, typer.Option("--list-recipes", help="Describe the recipes and stop.")
    ] = False,
    list_runs: Annotated[
        bool, typer.Option("--list-runs", help="Show the runs of the store and stop.")
    ] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train a recipe, save the run, test it once at the end.

    Missing MNIST is downloaded first. Ctrl-C saves and prints the command that goes on.
    """
    output = start_output(ctx, json, quiet)
    if list_recipes or recipe == "list":
        show_recipes(output)
        return
    if list_runs:
        show_runs(output, store)
        return
    from mnistctl.engine.training.config import TrainRequest
    from mnistctl.engine.training.ensemble import train_run

    request = TrainRequest(
        store=store,
        data_dir=data_dir,
        recipe=recipe,
        dataset=dataset,
        device=device,
        precision=precision,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=lr,
        seed=seed,
        validation=validation,
        ensemble=ensemble,
        log_every=log_every,
        checkpoint_every=checkpoint_every,
        test_every_epoch=test_every_epoch,
        name=name,
        resume=resume,
    )
    result = train_run(request, output.reporter())
    document = result.document
    if not output.first_rank:
        return
    output.document({**document, "wall_seconds": seconds_since_start()})
    held_out = document["validation"]
    if held_out:
        output.line(
            f"Validation: {percent(held_out['accuracy'])} of {held_out['total']:,} images,"
            f" best in epoch {held_out['epoch']}"
        )
    test, members = document["test"], document.get("members")
    if members:
        each = [percent(member["test"]["accuracy"]) for member in members]
        output.line(f"Members, each by itself: {', '.join(each)}")
    output.line(
        f"Test: {test['correct']:,} of {test['total']:,} ({percent(test['accuracy'])}),"
        f" loss {test['loss']:.4f}"
    )
    trained = f"{document['epochs']} epoch{'' if document['epochs'] == 1 else 's'}"
    if members:
        trained = f"{len(members)} x {trained}"
    output.line(
        f"Trained {trained} in {document['train_seconds']:.1f} s"
        f" ({document['images_per_second']:,.0f} images/s) on {document['dataset']}"
    )
    output.line(f"Checkpoint: {Path(document['checkpoint'])}")
