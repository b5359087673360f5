"""What a training run leaves on disk while it runs: checkpoints and metrics."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnistctl.distributed import Ranks, gather_over_ranks
from mnistctl.engine.training.state import TrainingState, restore, state_to_payload, to_cpu
from mnistctl.errors import CheckpointError
from mnistctl.events import Reporter
from mnistctl.store.checkpoint import Checkpoint, save
from mnistctl.store.config import RunConfig
from mnistctl.store.metrics import MetricsLog
from mnistctl.store.rotation import Newest, load_best, load_newest, save_last
from mnistctl.store.runs import BEST_NAME, CONFIG_NAME, write_json


class Saver:
    """Writes a run's checkpoints and metrics.

    `directory` and `log` are None on the processes that only take part in saving (all but
    rank 0): gathering the state needs every one of them.
    """

    def __init__(
        self,
        config: RunConfig,
        state: TrainingState,
        ranks: Ranks,
        directory: Path | None = None,
        log: MetricsLog | None = None,
        last_is_good: bool = True,
    ) -> None:
        self.config, self.state, self.ranks = config, state, ranks
        self.directory, self.log = directory, log
        self.last_is_good = last_is_good

    def record(self, record: dict[str, Any]) -> None:
        """Keep one metrics record. Raises CheckpointError when the disk is full."""
        if self.log:
            self.log.append(record)

    def save(self) -> None:
        """Save the state as it is. Raises CheckpointError when the disk won't take it.

        Killed between last.pt and best.pt, the run writes best.pt when it is resumed.
        """
        loss_sums = gather_over_ranks(self.state.loss_sum, self.ranks)
        if self.directory is None or self.log is None:
            return
        self.log.sync()
        history = self.state.history
        metrics = history[-1] if history else {}
        training = state_to_payload(self.state, loss_sums)
        averaged = self.state.averaged
        weights = to_cpu(averaged.state_dict()) if averaged else training["model"]
        result = Checkpoint(weights, self.config, self.directory.name, metrics)
        save_last(self.directory, replace(result, training=training), self.last_is_good)
        self.last_is_good = True
        if self.state.just_ended_best_epoch():
            save(self.directory / BEST_NAME, result)


@contextlib.contextmanager
def saver_for(
    directory: Path | None,
    config: RunConfig,
    state: TrainingState,
    ranks: Ranks,
    newest: Newest | None,
) -> Iterator[Saver]:
    """The saver of a run whose directory this process holds, or None where it doesn't write.

    Its metrics are brought to where `state` stands, which came from the checkpoint `newest`.
    Raises CheckpointError when the directory can't be written.
    """
    if directory is None:
        yield Saver(config, state, ranks)
        return
    write_json(directory, CONFIG_NAME, config.to_dict())
    if newest is not None and newest.checkpoint is not None and state.just_ended_best_epoch():
        _complete_best(directory, newest.checkpoint, config)
    log = MetricsLog(directory, state.epochs_done + 1, state.step)
    try:
        yield Saver(config, state, ranks, directory, log, not (newest and newest.problems))
    finally:
        log.close()


def restore_newest(
    directory: Path, config: RunConfig, state: TrainingState, ranks: Ranks, reporter: Reporter
) -> Newest:
    """Bring a new `state` to the newest valid checkpoint of a run, and say which and why.

    Raises CheckpointError when there are checkpoints and none is valid.
    """
    newest = load_newest(directory, config)
    for problem in newest.problems:
        reporter.warn(f"{problem}; resuming from {newest.path.name}")
    if newest.checkpoint is not None and newest.checkpoint.training is not None:
        restore(state, newest.checkpoint.training, ranks)
    if state.epochs_done == config.recipe.epochs:
        reporter.say(f"Run {directory.name} has trained all its epochs: testing it")
    elif state.epochs_done or state.step:
        where = f"epoch {state.epochs_done + 1}, step {state.step}"
        reporter.say(f"Resuming run {directory.name} from {where}")
    else:
        reporter.say(f"Run {directory.name} has no checkpoint yet: it starts from the beginning")
    return newest


def _complete_best(directory: Path, last: Checkpoint, config: RunConfig) -> None:
    """Write the best.pt that belongs to a last.pt of the best epoch, if a kill came in between."""
    with contextlib.suppress(CheckpointError):
        if load_best(directory, config).metrics == last.metrics:
            return
    save(directory / BEST_NAME, replace(last, training=None))
