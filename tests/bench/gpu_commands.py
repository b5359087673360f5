"""On a GPU: every command, and what it is to end with."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mnistctl.recipes import RECIPES
from mnistctl.visualize.registry import all_kinds
from tests.bench.figures import PACKAGE
from tests.bench.gpu_steps import FEW, Step

PROGRAM = [sys.executable, "-m", "mnistctl"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
COMMAND_SECONDS = 90.0
AT_ONCE = 4
"""Trainings that are only to succeed, side by side."""


@dataclass(frozen=True)
class Command:
    """Words of a command, and what it is to end with."""

    words: list[str]
    code: int = 0
    says: str = ""
    """What it is to say on stderr."""


def commands(data_dir: Path, device: str, program: list[str]) -> Iterator[Step]:
    """Every command on the card: its exit code, seconds, and the last lines of what failed.

    Later ones use the runs of earlier ones. The trainings of all recipes, of which nothing is
    timed, come last, several at once.
    """
    with tempfile.TemporaryDirectory() as place:
        environment = os.environ | {
            "MNISTCTL_DATA": str(data_dir.absolute()),
            "PYTHONPATH": str(PACKAGE.parent),
        }
        for name, command in commands_on(device, program).items():
            yield name, partial(run, name, command, place, environment)
        trainings = trainings_on(device, program)

        def all_trained() -> dict[str, Any]:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                jobs = {
                    name: pool.submit(run, name, command, place, environment)
                    for name, command in trainings.items()
                }
                found = {name: job.result() for name, job in jobs.items()}
            return found | {"wrong": any(own["wrong"] for own in found.values())}

        yield "train every recipe", all_trained


def run(name: str, command: Command, place: str, environment: dict[str, str]) -> dict[str, Any]:
    """Run a command in the directory `place`; `wrong` unless it ends as it should."""
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command.words,
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        code, stderr = done.returncode, done.stderr
    except subprocess.TimeoutExpired:
        code, stderr = -1, f"not over after {COMMAND_SECONDS:.0f} s"
    seconds = time.perf_counter() - start
    right = code == command.code and command.says in stderr
    said = [] if right else stderr.strip().splitlines()[-20:]
    ended = "as it should" if right else f"not {command.code}: {said}"
    print(f"{name:<40} {seconds:6.1f} s, ended with {code}, {ended}", flush=True)
    return {"code": code, "seconds": seconds, "said": said, "wrong": not right}


def commands_on(device: str, program: list[str]) -> dict[str, Command]:
    """The commands by name, in an order in which later ones find the runs of earlier ones."""

    def on(*words: str) -> Command:
        return Command([*program, *words, "--device", device])

    train = ["train", "-r", "fast"]
    found = {
        "begin on the CPU": Command([*program, *train, "--name", "x", "--device", "cpu"]),
        "go on with it here": on("train", "--resume", "x", "--epochs", "2"),
        "go back to the CPU": Command(
            [*program, "train", "--resume", "x", "--epochs", "3", "--device", "cpu"]
        ),
        "best of validation images": on(
            *train, "--validation", "5000", "--epochs", "2", "--name", "v"
        ),
        "ensemble of 8": on(*train, "--ensemble", "8", "--name", "e"),
        "evaluate": on("evaluate", "x", "e", "shipped"),
        "evaluate fp32": on("evaluate", "x", "--precision", "fp32"),
        "a picture": Command([*program, "visualize", "samples", "--count", "1", "-o", "digit.png"]),
        "predict": on("predict", "digit.png"),
        "predict several": on("predict", "digit.png", "--multi"),
        "saliency by Grad-CAM": on(
            *("visualize", "saliency", "-c", "x", "--method", "gradcam", "-o", "cam.png")
        ),
    }
    for kind in all_kinds():
        models = ["-c", "x", "-c", "e"] if kind == "compare" else ["-c", "x"]
        offline = kind in ("curves", "samples")  # these ask no network
        words = [*program, "visualize", kind] if offline else on("visualize", kind, *models).words
        found[f"visualize {kind}"] = Command([*words, "-o", f"{kind}.png"])
    module = program[1:]
    shared = ["train", "-r", "fast", "--epochs", "1", "--device", device.partition(":")[0]]
    found["torchrun, one process"] = Command([*TORCHRUN, "1", *module, *shared])
    found["torchrun, two on one card"] = Command(
        [*TORCHRUN, "2", *module, *shared], code=1, says="processes on this machine"
    )
    return found


def trainings_on(device: str, program: list[str]) -> dict[str, Command]:
    """An epoch of each recipe in each precision; of one with outliers, of a tenth of the images."""
    found = {}
    for name, recipe in RECIPES.items():
        fewer = ["--validation", str(60_000 - FEW)] if recipe.outliers_per_batch else []
        for precision in ("fp32", "bf16"):
            words = ["train", "-r", name, "--epochs", "1", "--precision", precision, "--quiet"]
            words += [*fewer, "--name", f"{name}-{precision}", "--device", device]
            found[f"train {name} {precision}"] = Command([*program, *words])
    return found
