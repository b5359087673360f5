"""`mnistctl train`: a recipe, trained, saved and tested."""

from typing import Annotated

import typer

from mnistctl.cli import options
from mnistctl.cli.listings import show_recipes, show_runs
from mnistctl.cli.output import counted, percent, start_output
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
    prepare: options.Prepare = None,
    skip_unreadable: options.SkipUnreadable = False,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="CHECKPOINT",
            help="Begin with the weights of a checkpoint, at a lower learning rate.",
        ),
    ] = None,
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
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a field of the recipe, e.g. augmentation.rotate=15; repeatable.",
        ),
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

    The data set is downloaded first if it is missing. Ctrl-C saves a checkpoint and prints the
    command that resumes the run. For pictures of your own:
    mnistctl train --dataset my-digits --init shipped --epochs 2
    """
    output = start_output(ctx, json, quiet)
    if list_recipes or recipe == "list":
        show_recipes(output)
        return
    if list_runs:
        show_runs(output, store)
        return
    from mnistctl.engine.training.config import TrainRequest
    from mnistctl.engine.training.run import train

    request = TrainRequest(
        store=store,
        data_dir=data_dir,
        recipe=recipe,
        dataset=options.dataset_name(dataset, prepare, skip_unreadable),
        init=init,
        device=device,
        precision=precision,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=lr,
        settings=tuple(settings or ()),
        seed=seed,
        validation=validation,
        ensemble=ensemble,
        log_every=log_every,
        checkpoint_every=checkpoint_every,
        test_every_epoch=test_every_epoch,
        name=name,
        resume=resume,
    )
    done = train(request, output.reporter())
    if done is None:
        return
    output.document(done.to_dict() | {"wall_seconds": seconds_since_start()})
    result, config = done.result, done.config
    if result.validation:
        held_out = result.validation
        output.line(
            f"Validation: accuracy {percent(held_out.accuracy)} on {held_out.total:,} images,"
            f" best at epoch {held_out.epoch}"
        )
    if result.members:
        each = [percent(member.accuracy) for member in result.members]
        output.line(f"Members, accuracy of each: {', '.join(each)}")
    test = result.test
    output.line(
        f"Test: accuracy {percent(test.accuracy)} ({test.correct:,}/{test.total:,}),"
        f" loss {test.loss:.4f}"
    )
    trained = counted(result.epochs, "epoch")
    if result.members:
        trained = f"{len(result.members)} x {trained}"
    output.line(
        f"Trained {config.recipe.label} for {trained} in {result.train_seconds:.1f} s"
        f" ({result.images_per_second:,.0f} images/s) on {config.dataset}"
    )
    output.line(f"Checkpoint: {done.checkpoint}")
