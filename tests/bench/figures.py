"""Medians and spreads, the machine in general terms, and results on disk."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from mnistctl.device import cpu_has_bf16

RESULTS = Path(__file__).parent / "results"


def summary(values: Sequence[float]) -> dict[str, float]:
    """n, median, minimum and maximum."""
    return {
        "n": len(values),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def show(values: dict[str, float], digits: int = 2, unit: str = "") -> str:
    """`1.23 (1.10-1.40)`."""
    low, high = f"{values['min']:,.{digits}f}", f"{values['max']:,.{digits}f}"
    return f"{values['median']:,.{digits}f}{unit} ({low}-{high})"


def machine() -> dict[str, Any]:
    """The kind of machine and the versions, nothing that names it."""
    return {
        "cpu_threads": torch.get_num_threads(),
        "cpu_cores": os.cpu_count(),
        "architecture": platform.machine(),
        "cpu_bf16": cpu_has_bf16(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def keep(name: str, part: str, figures: Any) -> None:
    """Put `figures` with the machine's kind under `part` of results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    document[part] = {"machine": machine(), "figures": figures}
    path.write_text(json.dumps(document, indent=2) + "\n")
