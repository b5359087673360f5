"""Makes the weights that the package ships from a trained run, and the card beside them."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mnistctl.data.registry import get_dataset
from mnistctl.engine.inference.evaluate import Evaluation, evaluate
from mnistctl.errors import UsageError
from mnistctl.events import Reporter
from mnistctl.recipes import get_recipe
from mnistctl.store import checkpoint
from mnistctl.store.checkpoint import Checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.resolve import SHIPPED, resolve
from mnistctl.store.runs import describe
from tests.bench.figures import machine
from tests.bench.ours import trains_as_today

CARD = """\
# shipped.pt

| | |
|---|---|
| recipe | `{recipe}`: {summary} |
| command | `{command}` |
| networks | {members}, {parameters:,} parameters in all, quantised to 8 bits |
| trained on | the 60,000 training images of MNIST, the last epoch; SHA-256 of the data set {data} |
| test accuracy | {correct:,} of 10,000 ({accuracy:.2f} %), `mnistctl evaluate shipped` |
| calibration error | {calibration:.2f} % on the test set |
| temperature | {temperature:g}, fitted for one network on held-out training images |
| size | {size:,} bytes |
| date | {date}, torch {torch} |

Nothing was selected on the test set. tests/bench/README.md in the repository has the figures on
photographs of handwriting, outliers and corruptions.
"""


def ship(run: str, store: Path, data_dir: Path) -> None:
    """Write mnistctl/weights/shipped.pt, and README.md beside it, from `run`.

    Weights of two and more dimensions are quantised to 8 bits. The recipe's temperature is that of
    the package now, as it may have been fitted after the run began.
    """
    found = resolve(run, store)
    config = found.checkpoint.config
    assert config is not None  # a run's
    recipe = get_recipe(config.recipe.name)
    whole = config.dataset == "mnist" and not config.validation
    finished = describe(found.path.parent).state == "finished"
    if not (whole and finished and trains_as_today(config.recipe)):
        raise UsageError(
            f"{run} is not `mnistctl train --recipe {recipe.name}` on all images, finished"
        )
    command = f"mnistctl train --recipe {recipe.name} --seed {config.seed}"
    if config.ensemble > 1:
        command += f" --ensemble {config.ensemble}"
    config = replace(config, recipe=recipe, command=command)
    weights, scales = checkpoint.quantised(found.checkpoint.weights)
    SHIPPED.parent.mkdir(exist_ok=True)
    checkpoint.save(SHIPPED, Checkpoint(weights, config, "shipped", scales=scales))
    parameters = sum(tensor.numel() for name, tensor in weights.items() if not _is_statistic(name))
    card = _card(config, parameters, _tested(data_dir))
    SHIPPED.with_name("README.md").write_text(card)
    print(card)


def _tested(data_dir: Path) -> Evaluation:
    return evaluate(
        ["shipped"],
        store=Path("runs"),
        data_dir=data_dir,
        dataset="mnist",
        split="test",
        device="cpu",
        precision=None,
        reporter=Reporter(),
    )[0]


def _is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def _card(config: RunConfig, parameters: int, tested: Evaluation) -> str:
    recipe, scores = config.recipe, tested.scores
    return CARD.format(
        recipe=recipe.name,
        summary=recipe.summary,
        command=config.command,
        members=config.ensemble,
        parameters=parameters,
        data=get_dataset("mnist").fingerprint(),
        correct=scores.correct,
        accuracy=100 * scores.accuracy,
        calibration=100 * scores.calibration_error,
        temperature=recipe.temperature,
        size=SHIPPED.stat().st_size,
        date=datetime.now(UTC).date().isoformat(),
        torch=machine()["torch"],
    )
