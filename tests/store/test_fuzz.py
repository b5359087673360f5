"""Checkpoints by a grammar: none hangs, crashes, executes anything, takes memory or is believed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mnistctl.errors import CheckpointError
from mnistctl.store import checkpoint

GENERATOR = Path(__file__).parents[1] / "fuzz_checkpoints.py"


def fuzz(count: int, seed: int, keep: Path) -> dict[str, Any]:
    keep.mkdir()
    command = [sys.executable, str(GENERATOR), str(count), str(seed), str(keep)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


@pytest.mark.parametrize(
    ("count", "seed"), [(500, 0), pytest.param(20_000, 100_000, marks=pytest.mark.slow)]
)
def test_fuzz(count: int, seed: int, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    summary = fuzz(count, seed, kept)
    assert set(summary["outcomes"]) == {"read", "refused"}, summary
    assert sum(summary["outcomes"].values()) == count
    assert min(summary["outcomes"].values()) > count / 20
    assert summary["megabytes"] < 256
    assert summary["seconds"] < 5
    same = sum(map(read_as_torch_does, sorted(kept.iterdir())))
    assert same > count / 50


def read_as_torch_does(path: Path) -> bool:
    """Whether a file is no hazard to the whole program, and its tensors are what torch reads."""
    try:
        ours = checkpoint.load(path)
    except CheckpointError:
        return False
    try:
        theirs = torch.load(path, weights_only=True)
    except Exception:  # it is stricter in some places, e.g. about unaligned records
        return False
    state = theirs.get("weights", theirs) if ours.config else theirs
    for key in () if ours.config else ("state_dict", "model_state_dict", "model"):
        state = state[key] if isinstance(state.get(key), dict) else state
    assert list(state) == list(ours.weights)
    for name, tensor in ours.weights.items():
        assert torch.equal(tensor, state[name])
        assert tensor.dtype == state[name].dtype
        assert tensor.stride() == state[name].stride()
    return True
