"""The model card beside an exported file: where it comes from, how good it is, what it can't do."""

from collections.abc import Sequence

from mnistctl.data.images import DIGITS
from mnistctl.data.outliers import drawn_outliers
from mnistctl.data.registry import DEFAULT_DATASET
from mnistctl.engine.inference.loading import LoadedModel
from mnistctl.engine.inference.predict import predict_prepared
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.imaging.prepare import Prepared
from mnistctl.store.resolve import SHIPPED
from mnistctl.store.result import Score
from mnistctl.text import escaped

NUM_OUTLIERS = 300
Rows = Sequence[tuple[str, str]]

_ANSWERS = """\
Input `pixels`: uint8 (n, 1, 28, 28), any n, light ink (255) on black (0), in the form of the data
set: for digits centred by mass in a box of 20x20. Outputs, float32 (n, {classes}): `probabilities`,
calibrated, and `logits`. Preprocessing, members, views and temperature are inside.
"""
_WEIGHTS = """\
Weights alone. The network `{network}` takes float32 (n, 1, 28, 28): (x / 255 - {mean:g}) / {std:g}
of pixels 0..255, light ink on black. Softmax of its logits{divided} gives calibrated
probabilities{more}.
"""


def card(model: LoadedModel, name: str, made: Rows, tested: Score | None) -> str:
    """The text for an exported file called `name`; `made` are rows about the file itself."""
    known = _shipped() if model.path == SHIPPED else _table(_origin(model, tested))
    parts = [f"# {name}", _table(made), _use(model.predictor, name), "## The model", known]
    return (
        "\n\n".join([*(part.strip() for part in parts), "## Limits", _limits(model.predictor)])
        + "\n"
    )


def _shipped() -> str:
    return SHIPPED.with_name("README.md").read_text(encoding="utf-8").partition("\n")[2]


def _origin(model: LoadedModel, tested: Score | None) -> Rows:
    recipe, config, predictor = model.predictor.recipe, model.config, model.predictor
    parameters = sum(own.numel() for own in predictor.network.parameters())
    of_mnist = config is not None and config.dataset == DEFAULT_DATASET
    summary = f": {recipe.summary}" if of_mnist else ""  # it names an accuracy on MNIST
    rows = [
        ("recipe", f"{_code(recipe.label)}{summary}"),
        ("networks", f"{predictor.num_members}, {parameters:,} parameters in all"),
        ("classes", ", ".join(map(_code, predictor.classes))),
    ]
    if config is None:
        return [*rows, ("trained on", "not known: the weights were a bare state dict")]
    held_out = f", less {config.validation:,} held out for validation" if config.validation else ""
    rows += [
        ("trained on", f"the training images of {_code(config.dataset)}{held_out}"),
        ("SHA-256 of the data set", _code(config.dataset_sha256)),
        ("command", _code(config.command)),
        ("seed, device, precision", f"{config.seed}, {config.device}, {config.precision}"),
    ]
    accuracy = "not recorded"
    if tested is not None:
        share = f"{tested.correct:,} of {tested.total:,} ({100 * tested.accuracy:.2f} %)"
        accuracy = f"{share}, computed in {config.precision}"
    return [*rows, ("test accuracy", accuracy)]


def _use(predictor: Predictor, name: str) -> str:
    if name.lower().endswith(".onnx"):
        return _ANSWERS.format(classes=len(predictor.classes))
    recipe = predictor.recipe
    return _WEIGHTS.format(
        network=recipe.network,
        mean=recipe.pixel_mean,
        std=recipe.pixel_std,
        divided="" if recipe.temperature == 1 else f" / {recipe.temperature:g}",
        more=" (of the mean of its members and views)"
        if predictor.num_members > 1 or recipe.tta_shifts or recipe.tta_flip
        else "",
    )


def _limits(predictor: Predictor) -> str:
    """What the network makes of images of none of its classes, measured for digits."""
    classes = predictor.classes
    text = f"It knows {len(classes)} classes, and every image gets probabilities of these alone."
    if classes != DIGITS:
        return f"{text} What it makes of other images was not measured."
    outliers = drawn_outliers(NUM_OUTLIERS, seed=1)
    prepared = [(k, "", Prepared(pixels, (0, 0, 28, 28))) for k, pixels in enumerate(outliers)]
    verdicts = [answer.verdict for answer in predict_prepared(predictor, prepared)]
    return (
        f"{text} Of {NUM_OUTLIERS} drawn letters, symbols and shapes, in MNIST's form and of the"
        f" kinds that the recipe `robust` is trained against, `mnistctl predict` calls"
        f" {verdicts.count('digit')} a digit. It also rejects images by their ink alone."
    )


def _table(rows: Rows) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _code(text: str) -> str:
    """Text of a file in a cell: what could end the cell or the line is shown escaped."""
    plain = escaped(text).replace("|", "\\|").replace("`", "'")
    return f"`{plain}`"
