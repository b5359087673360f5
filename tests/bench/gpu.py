"""A GPU in one command: the seconds to an accuracy, the rates, and every command on it.

Each step is measured for itself: one that fails is a line that says so, and one that would begin
after `SECONDS_IN_ALL` is skipped, so that a machine which is lent for minutes yields what it can.
"""

import contextlib
import subprocess
import time
import traceback
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from mnistctl.data.download import download_files
from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.device import choose_hardware, why_unusable
from mnistctl.distributed import Ranks
from mnistctl.errors import DeviceError
from mnistctl.events import Reporter
from tests.bench.figures import append, machine
from tests.bench.gpu_commands import PROGRAM, commands
from tests.bench.gpu_rates import against_plain, seconds_to_accuracy
from tests.bench.gpu_steps import alone_in_a_group, without_waiting

SECONDS_IN_ALL = 540.0


def measure(
    data_dir: Path,
    device_name: str,
    images: int = 60_000,
    seeds: int = 100,
    program: list[str] = PROGRAM,
) -> bool:
    """Measure all on `device_name`, a line each to results/gpu.jsonl; whether nothing failed.

    `images` and `seeds` bound the work. Raises DeviceError where the device can't be used.
    """
    end = time.perf_counter() + SECONDS_IN_ALL
    if problem := why_unusable(device_name):
        raise DeviceError(f"{device_name}: {problem}", "this benchmark needs a GPU")
    device, precision = choose_hardware(device_name, "auto", Ranks(), Reporter())
    mnist = get_dataset("mnist")
    download_files(mnist, data_dir, None, False, Reporter())  # torchvision reads no .gz
    whole = mnist.load("train", data_dir, Reporter())
    train = LabelledImages(whole.images[:images].to(device), whole.labels[:images].to(device))
    test = mnist.load("test", data_dir, Reporter())
    card = {"device": str(device), "precision": precision, "images": images, **card_of(device)}
    steps = chain(
        seconds_to_accuracy(train, test, device, precision, seeds),
        [("nccl alone", partial(alone_in_a_group, device))],
        without_waiting(train, device),
        commands(data_dir, device_name, program),
        against_plain(train, data_dir, device, precision),
    )
    good = True
    for part, function in steps:
        figures, failed = figures_of(part, function, end)
        good = good and not failed
        append("gpu", {"part": part, **card, "machine": machine(), "figures": figures})
    return good


def figures_of(
    part: str, function: Callable[[], dict[str, Any]], end: float
) -> tuple[dict[str, Any], bool]:
    """What a step measures, or why it didn't; and whether it failed."""
    if time.perf_counter() > end:
        print(f"{part}: skipped, the time is over", flush=True)
        return {"skipped": True}, True
    try:
        figures = function()
    except Exception as error:
        traceback.print_exc()
        print(f"{part}: {type(error).__name__}: {error}", flush=True)
        return {"error": f"{type(error).__name__}: {error}"}, True
    return figures, bool(figures.get("wrong"))


def card_of(device: torch.device) -> dict[str, Any]:
    """Name, driver and memory of a GPU; nothing of a CPU."""
    if device.type != "cuda":
        return {}
    properties = torch.cuda.get_device_properties(device)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver: list[str] = []
    with contextlib.suppress(OSError):
        driver = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
    memory = round(properties.total_memory / 2**30)
    return {
        "card": properties.name,
        "driver": driver[:1],
        "gib": memory,
        "cuda": torch.version.cuda,
    }
