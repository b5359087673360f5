"""`mnistctl train`: a recipe, trained, saved and tested."""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mnistctl.cli import complete, options
from mnistctl.cli.command import examples
from mnistctl.cli.output import Output, start_output
from mnistctl.cli.process import seconds_since_start
from mnistctl.recipes import DEFAULT_RECIPE, RECIPES
from mnistctl.store.config import data_words, store_words
from mnistctl.text import counted, percent

if TYPE_CHECKING:
    from mnistctl.store.result import TrainResult

EXAMPLES = examples(
    "mnistctl train",
    "mnistctl train --recipe fast --name first",
    "mnistctl train --recipe cnn-small --epochs 3 --set augmentation.rotate=15",
    "mnistctl train --resume first --epochs 2",
)


def train_command(
    ctx: typer.Context,
    recipe: Annotated[
        str | None,
        options.training_option(
            "--recipe",
            "-r",
            metavar="NAME",
            help=f"One of: {', '.join(RECIPES)} [default: {DEFAULT_RECIPE}].",
            show_default=False,
            autocompletion=complete.recipes,
        ),
    ] = None,
    dataset: options.TrainingDataset = None,
    prepare: options.Prepare = None,
    skip_unreadable: options.SkipUnreadable = False,
    init: Annotated[
        str | None,
        options.training_option(
            "--init",
            metavar="CHECKPOINT",
            help="Start from the weights of a checkpoint, at a tenth of the learning rate.",
            autocompletion=complete.checkpoints,
        ),
    ] = None,
    device: options.Device = None,
    precision: options.Precision = None,
    epochs: Annotated[
        int | None,
        options.training_option(
            "--epochs", metavar="N", help="Total number of epochs [default: recipe's]."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        options.training_option(
            "--batch-size", metavar="N", help="Images per step [default: recipe's]."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        options.training_option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a field of the recipe, e.g. augmentation.rotate=15; repeatable.",
        ),
    ] = None,
    lr: Annotated[
        float | None,
        options.training_option(
            "--lr", metavar="X", help="Peak learning rate [default: recipe's]."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        options.training_option("--seed", metavar="N", help="Random seed [default: 0]."),
    ] = None,
    validation: Annotated[
        int | None,
        options.data_option(
            "--validation",
            metavar="N",
            help="Hold out N training images; best.pt is chosen on them [default: 0].",
        ),
    ] = None,
    ensemble: Annotated[
        int | None,
        options.training_option(
            "--ensemble",
            metavar="N",
            help="Train N networks with consecutive seeds, and average their predictions.",
        ),
    ] = None,
    test_every_epoch: Annotated[
        bool | None,
        options.output_option(
            "--test-every-epoch", help="Report the test result after each epoch, too."
        ),
    ] = None,
    log_every: Annotated[
        int | None,
        options.output_option(
            "--log-every", metavar="N", help="Report the loss every N steps [default: 20]."
        ),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        options.output_option(
            "--checkpoint-every",
            metavar="N",
            help="Save every N steps, not only after each epoch.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        options.output_option("--name", metavar="RUN", help="Name of the new run."),
    ] = None,
    resume: Annotated[
        str | None,
        options.training_option(
            "--resume",
            metavar="RUN",
            help="Continue a run, by name or directory, from its last checkpoint.",
            autocompletion=complete.runs,
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        options.output_option(
            "--tensorboard",
            help="Write event files for TensorBoard, too; with --resume, say so again.",
        ),
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
    reporter = output.reporter()
    from mnistctl.distributed import launch_words
    from mnistctl.engine.training.config import TrainRequest
    from mnistctl.engine.training.run import train

    request = TrainRequest(
        store=store,
        data_dir=data_dir,
        recipe=recipe,
        dataset=options.dataset_name(dataset, prepare, skip_unreadable),
        init=init,
        device=device,
        # A resumed run keeps its own, whatever the environment says.
        precision=precision if resume is None or options.typed(ctx, "precision") else None,
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
        command=shlex.join([*(launch_words() or ["mnistctl"]), *sys.argv[1:]]),
    )
    if tensorboard:
        from mnistctl.cli.tensorboard import with_tensorboard

        done = with_tensorboard(train, request, reporter)
    else:
        done = train(request, reporter)
    if done is None:
        return
    output.document(done.to_dict() | {"wall_seconds": seconds_since_start()})
    _show(output, done)
    for line in _next_steps(ctx, done):
        reporter.say(line)


def _show(output: Output, done: "TrainResult") -> None:
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


def _next_steps(ctx: typer.Context, done: "TrainResult") -> list[str]:
    """The two commands that one would type next, with what was said of places on the way here."""
    model = ["-c", done.directory.name, *store_words(done.directory.parent)]
    data = data_words(ctx.params["data_dir"])
    return [
        f"Next: {shlex.join(['mnistctl', 'predict', 'photo.jpg', *model])}",
        f"      {shlex.join(['mnistctl', 'visualize', 'errors', *model, *data])}",
    ]
