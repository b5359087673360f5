"""What a training run leaves on disk while it runs: checkpoints and metrics."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnistctl.engine.state import TrainingState, state_to_payload
from mnistctl.store import checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.metrics import MetricsLog
from mnistctl.store.runs import BEST_NAME, CONFIG_NAME, save_last, write_json, writing


class Saver:
    """Writes a run's checkpoints and metrics.

    `directory` and `log` are None on the processes that only take part in saving (all but
    rank 0): gathering the state needs every one of them.
    """

    def __init__(
        self,
        config: RunConfig,
        state: TrainingState,
        directory: Path | None = None,
        log: MetricsLog | None = None,
    ) -> None:
        self.config, self.state = config, state
        self.directory, self.log = directory, log

    def record(self, record: dict[str, Any]) -> None:
        """Keep one metrics record. Raises CheckpointError when the disk is full."""
        if self.log:
            self.log.append(record)

    def save(self) -> None:
        """Save the state as it is. Raises CheckpointError when the disk won't take it.

        best.pt comes first: killed in between, the run resumes before this epoch's end and
        writes both again.
        """
        training = state_to_payload(self.state)
        if self.directory is None or self.log is None:
            return
        self.log.sync()
        history = self.state.history
        payload = {
            "run": self.directory.name,
            "recipe": self.config.recipe.to_dict(),
            "dataset": self.config.dataset,
            "config": self.config.to_dict(),
            "metrics": history[-1] if history else {},
            "weights": training["model"],
        }
        if self.state.step == 0 and history and self.state.best_epoch() is history[-1]:
            checkpoint.save(self.directory / BEST_NAME, payload)
        save_last(self.directory, payload | {"training": training})


@contextlib.contextmanager
def saver_for(directory: Path | None, config: RunConfig, state: TrainingState) -> Iterator[Saver]:
    """The saver of a run, its directory locked and its metrics brought to where `state` stands.

    Raises CheckpointError when another process trains there, or it can't be written.
    """
    if directory is None:
        yield Saver(config, state)
        return
    with writing(directory):
        write_json(directory, CONFIG_NAME, config.to_dict())
        log = MetricsLog(directory)
        try:
            log.rewind(state.epochs_done + 1, state.step)
            yield Saver(config, state, directory, log)
        finally:
            log.close()
