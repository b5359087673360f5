"""metrics.jsonl goes back to a checkpoint exactly, and survives a line cut short."""

import os
from pathlib import Path

import pytest

from mnistctl.errors import CheckpointError
from mnistctl.store.metrics import METRICS_NAME, MetricsLog, read_metrics


def fill(directory: Path) -> list[dict[str, float]]:
    log = MetricsLog(directory, 1, 0)
    records: list[dict[str, float]] = []
    for epoch in (1, 2):
        records += [{"epoch": epoch, "step": step, "loss": 1 / 3 / step} for step in (20, 40, 50)]
        records.append({"epoch": epoch, "train_loss": 0.1})
    for record in records:
        log.append(record)
    log.close()
    return records


@pytest.mark.parametrize(
    ("epoch", "step", "kept"), [(1, 0, 0), (1, 39, 1), (1, 40, 2), (2, 0, 4), (2, 50, 7), (3, 0, 8)]
)
def test_rewinds_to_the_step(epoch: int, step: int, kept: int, tmp_path: Path) -> None:
    records = fill(tmp_path)
    log = MetricsLog(tmp_path, epoch, step)
    assert read_metrics(tmp_path) == records[:kept]
    log.append({"epoch": 9, "step": 1, "loss": 0.0})
    log.close()
    assert read_metrics(tmp_path) == [*records[:kept], {"epoch": 9, "step": 1, "loss": 0.0}]


def test_a_line_cut_short_or_damaged_is_left_out(tmp_path: Path) -> None:
    records = fill(tmp_path)
    raw = (tmp_path / METRICS_NAME).read_bytes()
    (tmp_path / METRICS_NAME).write_bytes(raw[:-5] + b"\n\xff\xfe\n[1]\n7\n{}\n" + b"[" * 99_999)
    assert read_metrics(tmp_path) == records[:-1]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks files up in /proc")
def test_sync_brings_every_record_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    log = MetricsLog(tmp_path, 1, 0)
    log.append({"epoch": 1, "step": 20, "loss": 0.5})
    monkeypatch.setattr(os, "fsync", fsync)
    log.sync()
    log.close()
    assert synced == [str(tmp_path / METRICS_NAME)]


def test_each_record_is_visible_at_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 1, 0)
    log.append({"epoch": 1, "step": 20, "loss": 0.5})
    assert read_metrics(tmp_path) == [{"epoch": 1, "step": 20, "loss": 0.5}]
    log.close()


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    run = tmp_path / "run"
    run.mkdir()
    (run / METRICS_NAME).symlink_to(outside)
    log = MetricsLog(run, 1, 0)
    log.append({"epoch": 1, "step": 20, "loss": 0.5})
    log.close()
    assert outside.read_text() == "untouched"


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / METRICS_NAME)
    with pytest.raises(CheckpointError, match=r"can't read .*metrics\.jsonl: it is a pipe"):
        MetricsLog(tmp_path, 1, 0)


def test_no_number_that_json_lacks_is_written_or_believed(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 1, 0)
    log.append({"epoch": 1, "step": 1, "loss": float("nan"), "rate": float("inf")})
    log.close()
    path = tmp_path / METRICS_NAME
    assert path.read_text() == '{"epoch": 1, "step": 1, "loss": null, "rate": null}\n'
    for number in ("NaN", "Infinity", "1e999", "1" + "0" * 400):
        path.write_text(f'{{"epoch": 1, "step": 1, "loss": {number}}}\n')
        assert read_metrics(tmp_path) == []


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / METRICS_NAME).mkdir()
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl"):
        MetricsLog(tmp_path, 1, 0)
