"""Every key of every JSON document that the commands print is on the page about JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from test_docs import code_words, section
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.cli.help import page

TRAIN = ["train", "--recipe", "cnn-small", "--epochs", "1", "--device", "cpu", "--name"]
CHANGING = {"settings", "results", "versions", "recipes"}
"""Keys whose value has keys of recipes, of a run's results, of packages."""
FAILING = {"predict one.png none.png -c a", "predict -c nobody x"}
KINDS = "confusion errors activations saliency calibration embedding"


COMMANDS = {
    "train": [
        f"{' '.join(TRAIN)} a --dataset synthetic",
        f"{' '.join(TRAIN)} b --dataset synthetic --ensemble 2",
        f"{' '.join(TRAIN)} c --dataset synthetic --init a --validation 500",
    ],
    "evaluate": ["evaluate a", "evaluate a b"],
    "predict": ["predict one.png none.png -c a", "predict one.png --multi", "predict -c nobody x"],
    "visualize": [
        *(f"visualize {kind} -c a" for kind in KINDS.split()),
        "visualize samples --dataset synthetic",
        "visualize --index 3 -c a",
        "visualize --image one.png -c shipped",
        "visualize --image one.png --multi -c shipped",
        "visualize filters -c shipped",
        "visualize curves -c a -c b",
        "visualize compare -c a -c b",
    ],
    "export": ["export a -o a.safetensors", "export a -o a.pt"],
    "info": ["info", "info recipes"],
    "runs": ["runs", "runs show a", "runs show b", "runs diff a b", "runs rm c --yes"],
    "help": ["help", "help json"],
}


def printed(lines: list[str]) -> Iterator[Any]:
    """The document of each command."""
    for line in lines:
        result = CliRunner().invoke(app, [*line.split(), "--json"])
        assert result.exit_code == int(line in FAILING), (line, result.output, result.exception)
        yield json.loads(result.stdout)


def keys_of(document: Any) -> set[str]:
    """All keys of a document, those of documents within it too."""
    if isinstance(document, list):
        return set().union(*map(keys_of, document)) if document else set()
    if not isinstance(document, dict):
        return set()
    within = (own for key, own in document.items() if key not in CHANGING)
    return set(document).union(*map(keys_of, within))


def test_no_key_is_undocumented(small_datasets: None) -> None:
    digit = Image.new("L", (60, 60), 255)
    ImageDraw.Draw(digit).line((30, 10, 30, 50), fill=0, width=5)
    digit.save("one.png")
    Path("none.png").write_text("no picture")
    undocumented = {}
    for command, lines in COMMANDS.items():
        titles = {"runs": ["runs", "train"], "visualize": ["visualize", "predict"]}
        sections = [
            section(page("json"), own) for own in [*titles.get(command, [command]), "errors"]
        ]
        keys = set().union(*map(keys_of, printed(lines)))
        undocumented[command] = keys - code_words("".join(sections))
    assert undocumented == dict.fromkeys(COMMANDS, set())
