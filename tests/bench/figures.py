"""Medians and spreads, the machine in general terms, and results on disk."""

import contextlib
import hashlib
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import mnistctl
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.store.lock import locked

RESULTS = Path(os.environ.get("MNISTCTL_RESULTS") or Path(__file__).parent / "results")
PACKAGE = Path(mnistctl.__file__).parent
CPU = torch.device("cpu")


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


def clock(device: torch.device = CPU) -> float:
    """Seconds: of one thread on the CPU those it computed, which other programs don't lengthen."""
    alone = device == CPU and torch.get_num_threads() == 1
    return time.thread_time() if alone else time.perf_counter()


def cpu_flags() -> list[str]:
    """What this CPU has for matrix products, of what torch asks for."""
    kinds = ("avx2", "avx512", "avx512_bf16", "amx_tile")
    asked = {kind: getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in kinds}
    return [kind for kind, has in asked.items() if has and has()]


def machine() -> dict[str, Any]:
    """The kind of machine and the versions, nothing that names it."""
    return {
        "cpu_threads": torch.get_num_threads(),
        "cpu_cores": os.cpu_count(),
        "architecture": platform.machine(),
        "cpu_flags": cpu_flags(),
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
    document[part] = {**source(), "machine": machine(), "figures": figures}
    path.write_text(json.dumps(document, indent=2) + "\n")


def append(name: str, line: dict[str, Any]) -> None:
    """Add a line, and from which source it is, to results/NAME.jsonl."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(line | source()) + "\n")


def source() -> dict[str, Any]:
    """The package's version and commit (None outside of git), `-dirty` where its files differ."""
    return {"version": mnistctl.__version__, "commit": commit_of(PACKAGE)}


def commit_of(directory: Path) -> str | None:
    """The commit that a source tree is at (None outside of git), as `source` has it."""
    commit = _git(directory, "rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and _git(directory, "status", "--porcelain", ".") else commit


def _git(directory: Path, *words: str) -> str | None:
    """What git says about a directory; None where it can't."""
    command = ["git", "-C", str(directory), *words]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return None


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold what will be `path` as the one process that makes it; False while another does."""
    claim = path.with_suffix(".claim")
    claim.mkdir(parents=True, exist_ok=True)
    with locked(claim) as free:
        yield free


def recipe_hash(settings: dict[str, Any]) -> str:
    """SHA-256 of what a recipe computes in training: its fields as JSON, by name.

    Left out are the summary, the temperature, which is fitted afterwards, and to what values fields
    were adapted, which the fields have.
    """
    fields = {k: v for k, v in settings.items() if k not in ("summary", "temperature")}
    fields["adapted"] = list(settings["adapted"])
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def identity(predictor: Predictor) -> dict[str, Any]:
    """Which network it was: its recipe, its size, and a hash of its weights' names and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(predictor.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    parameters = sum(parameter.numel() for parameter in predictor.network.parameters())
    return {
        "recipe": predictor.recipe.name,
        "parameters": parameters,
        "weights_sha256": digest.hexdigest(),
    }


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a share, 0..1: Wilson, J. Am. Stat. Assoc. 1927 (no images: 0 to 1)."""
    if not total:
        return 0.0, 1.0
    z, share = 1.959964, hits / total
    scale = 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    reach = z / scale * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def show_share(hits: int, total: int) -> str:
    """`94.8 % (89.1-97.6)`, with the 95 % interval."""
    low, high = wilson(hits, total)
    return f"{100 * hits / total:.1f} % ({100 * low:.1f}-{100 * high:.1f})" if total else "-"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, its first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))
