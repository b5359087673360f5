"""`metrics.jsonl`: one JSON line per logged step and per epoch of a run."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any, TextIO

from mnistctl.errors import CheckpointError
from mnistctl.files import reason, write_atomic

METRICS_NAME = "metrics.jsonl"


class MetricsLog:
    """Appends records to a run's metrics file, each visible to readers at once."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / METRICS_NAME
        self._file: TextIO = open(self._path, "a", encoding="utf-8")  # noqa: SIM115

    def append(self, record: dict[str, Any]) -> None:
        """Write one record as a line. Raises CheckpointError when the disk is full."""
        try:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        except OSError as error:
            raise CheckpointError(
                f"can't write {self._path}: {reason(error)}", "the last checkpoint is intact"
            ) from error

    def sync(self) -> None:
        """Bring every line to the disk, before a checkpoint that counts on them."""
        os.fsync(self._file.fileno())

    def rewind(self, epoch: int, step: int) -> None:
        """Drop what came after `step` of `epoch` (1-based; step 0: nothing of that epoch).

        A resumed run goes on from its checkpoint, so that each step is recorded once.
        """
        self._file.close()
        kept = [r for r in read_metrics(self._path.parent) if _position(r) <= (epoch, step)]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        write_atomic(self._path, text.encode())
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115

    def close(self) -> None:
        """End writing."""
        with contextlib.suppress(OSError):  # a full disk was reported when it was written to
            self._file.close()


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """All whole records of a run, in order; a last line cut short by a kill is left out.

    Step records have the keys epoch, step, loss; epoch records have epoch, train_loss and more.
    Returns an empty list when there is no file.
    """
    try:
        lines = (directory / METRICS_NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def _position(record: dict[str, Any]) -> tuple[int, float]:
    """Where a record stands: epoch records come after all steps of their epoch."""
    return record["epoch"], record.get("step", float("inf"))
