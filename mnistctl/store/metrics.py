"""`metrics.jsonl`: one JSON line per logged step and per epoch of a run."""

import contextlib
import os
from pathlib import Path
from typing import Any, TextIO

from mnistctl.errors import CheckpointError
from mnistctl.files import explained, read_regular, reason, write_atomic
from mnistctl.text import parse_json, to_json

METRICS_NAME = "metrics.jsonl"
MAX_METRICS_BYTES = 256 << 20
"""Four million steps, each of them logged."""
ROOM_HINT = "what was saved before is intact; make room, then continue it with --resume"


class MetricsLog:
    """Appends records to a run's metrics file, each visible to readers at once."""

    def __init__(self, directory: Path, epoch: int, step: int) -> None:
        """Open the log at `step` of `epoch` (1-based; step 0: nothing of that epoch).

        What came after is dropped: a resumed run begins at its checkpoint, so that each step
        is recorded once. Raises CheckpointError when the file can't be written.
        """
        self._path = directory / METRICS_NAME
        kept = [r for r in read_metrics(directory) if _position(r) <= (epoch, step)]
        text = "".join(to_json(record) + "\n" for record in kept)
        with self._told():
            write_atomic(self._path, text.encode())
            self._file: TextIO = open(self._path, "a", encoding="utf-8")  # noqa: SIM115

    def append(self, record: dict[str, Any]) -> None:
        """Write one record as a line. Raises CheckpointError when the disk is full."""
        with self._told():
            self._file.write(to_json(record) + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Bring every line to the disk, before a checkpoint that counts on them.

        Raises CheckpointError when the disk won't take them.
        """
        with self._told():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """End writing."""
        with contextlib.suppress(OSError):  # a full disk was reported when it was written to
            self._file.close()

    def _told(self) -> contextlib.AbstractContextManager[None]:
        return explained(f"can't write {self._path}", CheckpointError, ROOM_HINT)


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """All whole records of a run, in order; a last line cut short by a kill is left out.

    Step records have the keys epoch, step, steps (of an epoch) and loss; epoch records have epoch,
    train_loss and more. Returns an empty list when there is no file.
    Raises CheckpointError when it can't be read.
    """
    try:
        text = read_regular(directory / METRICS_NAME, MAX_METRICS_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"can't read {directory / METRICS_NAME}: {reason(error)}") from error
    records = []
    for line in text.split(b"\n"):
        with contextlib.suppress(ValueError):
            record = parse_json(line)
            if isinstance(record, dict) and _has_position(record):
                records.append(record)
    return records


def _has_position(record: dict[str, Any]) -> bool:
    return type(record.get("epoch")) is int and type(record.get("step", 0)) is int


def _position(record: dict[str, Any]) -> tuple[int, float]:
    """Where a record stands: epoch records come after all steps of their epoch."""
    return record["epoch"], record.get("step", float("inf"))
