"""An epoch of a recipe, in turn with the same of another version of the package."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.figures import PACKAGE, append, commit_of, machine, markdown, show, summary


def measure(
    recipes: list[str], against: Path, data_dir: Path, precision: str, threads: int, runs: int
) -> None:
    """Print a table; append a line a recipe to results/versions.jsonl.

    `against` is the root of the other version's source tree. Its recipe of the same name is
    trained: where that has another network or other outliers, the ratio is not one of speed alone.
    """
    trees = {"now": PACKAGE.parent, "before": against}
    rows: list[list[str]] = []
    for recipe in recipes:
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
        for tree in trees.values():
            trained(tree, recipe, data_dir, precision, threads)  # fills the system's cache
        for _ in range(runs):
            for name, tree in trees.items():
                found[name].append(trained(tree, recipe, data_dir, precision, threads))
        now, before = ([run["images_per_second"] for run in found[name]] for name in trees)
        ratio = summary([a / b for a, b in zip(now, before, strict=True)])
        kind = machine() | {"cpu_threads": threads}
        line = {"recipe": recipe, "precision": precision, "runs": found, "ratio": ratio}
        append("versions", line | {"against": commit_of(against / PACKAGE.name), "machine": kind})
        rates = [show(summary(rates), 0) for rates in (now, before)]
        rows.append([f"`{recipe}`", str(runs), *rates, show(ratio)])
    print(markdown(["recipe", "runs", "images/s", "before", "ratio"], rows))


def trained(
    tree: Path, recipe: str, data_dir: Path, precision: str, threads: int
) -> dict[str, Any]:
    """What `train --epochs 1` of a source tree says of its speed."""
    words = ["train", "--recipe", recipe, "--epochs", "1", "--device", "cpu", "--json"]
    own = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as store:
        where = ["--precision", precision, "--data-dir", str(data_dir), "--store", store]
        done = subprocess.run(
            [sys.executable, "-m", "mnistctl", *words, *where],
            env=os.environ | own,
            cwd=tree,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    said = json.loads(done.stdout)
    return {key: said[key] for key in ("images_per_second", "train_seconds", "parameters")}
