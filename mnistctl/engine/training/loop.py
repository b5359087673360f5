"""The training loop: batches in, weights out; it reports, and saves through what it is given."""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mnistctl.data.images import LabelledImages
from mnistctl.data.sampling import Stream, derive_seed
from mnistctl.device import default_generator, synchronize
from mnistctl.distributed import Ranks, any_rank, share_weights, sum_gradients, total_over_ranks
from mnistctl.engine.inference.predictor import autocast
from mnistctl.engine.inference.scores import Scores
from mnistctl.engine.training.batches import Feed
from mnistctl.engine.training.loss import batch_loss
from mnistctl.engine.training.optim import learning_rate
from mnistctl.engine.training.signals import StopRequest
from mnistctl.engine.training.state import TrainingState, is_finite, result_predictor
from mnistctl.errors import MnistctlError
from mnistctl.events import EpochReport, Reporter, StepReport, TrainingPlan
from mnistctl.models.layers import set_shard
from mnistctl.store.config import RunConfig

STATISTICS_STEPS = 40
"""Batches over which the averaged network's batch statistics are taken."""
STOP_CHECK_STEPS = 10
"""Several processes agree on stopping every so many steps: an exchange of its own each time."""
STOP_CHECK_DRAWN = 500
"""The same while outliers are drawn, counted in those drawn: every process draws all of them."""


@dataclass(frozen=True)
class FitData:
    """What is trained on, and what is measured after each epoch (None: not)."""

    train: LabelledImages
    validation: LabelledImages | None
    test: LabelledImages | None


@dataclass(frozen=True)
class Hooks:
    """How the loop reaches the outside."""

    reporter: Reporter
    record: Callable[[dict[str, Any]], None]
    """Keeps one metrics record."""
    save: Callable[[], None]
    """Saves the state as it is; called on every process together."""
    stop: StopRequest


def fit(state: TrainingState, config: RunConfig, data: FitData, ranks: Ranks, hooks: Hooks) -> bool:
    """Train from where `state` stands to the last epoch; False when a stop was asked for.

    The order of images, dropout and augmentation depend on (seed, epoch, step) alone. With
    several processes each trains on its shard of every batch, and the sum of their gradients is
    that of the whole batch.
    Raises MnistctlError where training diverges or torchrun has died; what saving raises.
    """
    loop = _Loop(state, config, data, ranks, hooks)
    if not loop.draw_outliers():
        return False
    hooks.reporter.training(loop.plan)
    try:
        while state.epochs_done < config.recipe.epochs:
            if not loop.run_epoch():
                return False
        loop.average(state.epochs_done)
        return True
    finally:
        hooks.reporter.end()


class _StoppedError(Exception):
    """A stop was asked for while outliers were drawn."""


class _Loop:
    """The collaborators of one call of `fit`."""

    def __init__(
        self, state: TrainingState, config: RunConfig, data: FitData, ranks: Ranks, hooks: Hooks
    ) -> None:
        self.state, self.config, self.data = state, config, data
        self.ranks, self.hooks = ranks, hooks
        self.feed = Feed(config, data.train)
        self.device, self.steps = self.feed.device, self.feed.steps
        self.plan = TrainingPlan(
            epochs=config.recipe.epochs,
            steps_per_epoch=self.steps,
            images_per_epoch=self.feed.num_images,
            first_epoch=state.epochs_done + 1,
            first_step=state.step,
        )
        if ranks.world_size > 1:  # another kind of processor may have drawn other initial weights
            share_weights(state.model)
        self.parent = os.getppid()
        self.started = time.perf_counter()
        self.reported = state.images, state.seconds

    def draw_outliers(self) -> bool:
        """Draw what the recipe trains against; False when a stop was asked for on the way.

        Nothing has changed then since the last checkpoint. Several processes agree on the way.
        """
        reporter, stop = self.hooks.reporter, self.hooks.stop
        alone = self.ranks.world_size == 1

        def drawn(done: int) -> None:
            reporter.advance(done)
            due = done % STOP_CHECK_DRAWN == 0
            if stop.requested if alone else due and self.agree_on_stopping():
                raise _StoppedError

        if not self.feed.num_drawn:
            return True
        reporter.begin("drawing outliers", self.feed.num_drawn, "images")
        try:
            self.feed.draw_outliers(drawn)
        except _StoppedError:
            return False
        finally:
            reporter.end()
        return alone or not self.agree_on_stopping()

    def run_epoch(self) -> bool:
        """Train to the end of the current epoch; False when a stop was asked for on the way."""
        state = self.state
        self.started = time.perf_counter()
        batches = self.feed.order(state.epochs_done + 1)
        state.averaged = None
        state.model.train()
        while state.step < self.steps:
            loss = self.train_step(batches[state.step])
            state.step += 1
            state.images += len(batches[state.step - 1])
            self.hooks.reporter.advance(state.epochs_done * self.steps + state.step)
            if state.step % self.config.log_every == 0 or state.step == self.steps:
                self.report_step(loss, len(batches[state.step - 1]))
            if state.step == self.steps:
                break
            stopping = self.stop_agreed()
            if stopping or self.save_due():
                self.pause_clock()
                self.save()
                if stopping:
                    return False
                self.started = time.perf_counter()
        self.end_epoch()
        self.save()
        # A stop that came during the last epoch changes nothing: the run is complete.
        complete = state.epochs_done == self.config.recipe.epochs
        return complete or not self.stop_agreed()

    def train_step(self, indexes: Tensor) -> Tensor:
        """One optimiser step on the global batch `indexes`, int64.

        Returns the sum of this shard's losses, a float32 scalar on the device, not waited for.
        """
        state, config = self.state, self.config
        epoch, world_size = state.epochs_done + 1, self.ranks.world_size
        batch = self.feed.batch(indexes, epoch, state.step, self.ranks)
        rate = self.rate(state.step)
        self.seed_step(epoch, state.step)
        if world_size > 1:
            set_shard(state.model, batch.shard)
        with autocast(self.device, config.precision):
            logits = state.model(batch.inputs).float()
        loss, part = batch_loss(logits, batch, config.recipe)
        part.backward()  # type: ignore[no-untyped-call]
        if world_size > 1:
            sum_gradients(state.model.parameters())
        state.optimizer.step(rate)
        if state.average:
            state.average.update(state.model, state.epochs_done * self.steps + state.step + 1)
        shard_loss = loss.detach()
        state.loss_sum += shard_loss
        return shard_loss

    def seed_step(self, epoch: int, step: int) -> None:
        """Make what the network draws in the 0-based `step` depend on nothing drawn before."""
        seed = derive_seed(self.config.seed, Stream.STEP, epoch, step)
        default_generator(self.device).manual_seed(seed)

    def average(self, epoch: int) -> None:
        """Make the averaged network after `epoch`, unless it is there or none is wanted."""
        state = self.state
        if state.average is None or state.averaged is not None:
            return
        batches = self.feed.order(epoch)[:STATISTICS_STEPS]

        def inputs() -> Iterator[Tensor]:
            for step, batch in enumerate(batches):
                own = self.feed.batch(batch, epoch, step, Ranks()).inputs
                self.seed_step(epoch, step)  # dropout's, which is on while statistics are taken
                yield own

        state.averaged = state.average.network(state.model, inputs(), self.config.precision)

    def rate(self, step: int) -> float:
        """The learning rate of the 0-based `step` of the current epoch."""
        recipe = self.config.recipe
        done = self.state.epochs_done * self.steps + step
        return learning_rate(recipe, done, recipe.epochs * self.steps)

    def report_step(self, shard_loss: Tensor, batch_size: int) -> None:
        """Read the loss back, keep it and show it: the loop waits here, and where it saves."""
        state = self.state
        loss = total_over_ranks(shard_loss).item() / batch_size
        self.pause_clock()
        epoch = state.epochs_done + 1
        if not math.isfinite(loss):
            raise self.diverged(f"the loss is {loss}")
        images, seconds = self.reported
        self.reported = state.images, state.seconds
        speed = (state.images - images) / (state.seconds - seconds)
        record = {"epoch": epoch, "step": state.step, "steps": self.steps, "loss": loss}
        self.hooks.record(record)
        self.hooks.reporter.step(
            StepReport(epoch, state.step, loss, self.rate(state.step - 1), speed)
        )
        self.started = time.perf_counter()

    def save(self) -> None:
        """Save the state. Raises MnistctlError where it is not finite: it replaces no other.

        Such a file would be refused when it is read.
        """
        if any_rank(not is_finite(self.state), self.device):
            raise self.diverged("weights, or the optimiser's state, are not finite")
        self.hooks.save()

    def diverged(self, how: str) -> MnistctlError:
        """The error that ends the run here."""
        state = self.state
        place = f"epoch {state.epochs_done + 1}, step {state.step}"
        if state.step == 0:
            place = f"epoch {state.epochs_done}"
        return MnistctlError(
            f"training diverged: {how} in {place}",
            f"try a lower learning rate than --lr {self.config.recipe.learning_rate:g}",
        )

    def save_due(self) -> bool:
        """True in mid-epoch when a checkpoint is due."""
        every = self.config.checkpoint_every
        return every > 0 and (self.state.epochs_done * self.steps + self.state.step) % every == 0

    def stop_agreed(self) -> bool:
        """Whether any process was asked to stop, and by which signal; all agree on the answer."""
        if self.ranks.world_size == 1:
            return self.hooks.stop.requested
        if self.state.step % STOP_CHECK_STEPS:
            return False
        if os.getppid() != self.parent:
            raise MnistctlError(
                "torchrun has died: stopped", "continue from the last checkpoint with --resume"
            )
        return self.agree_on_stopping()

    def agree_on_stopping(self) -> bool:
        """As `stop_agreed` for several processes, at once."""
        stop = self.hooks.stop
        terminated = stop.requested and stop.signal == signal.SIGTERM
        requested = any_rank(stop.requested, self.device)
        if requested and any_rank(terminated, self.device):
            stop.signal = signal.SIGTERM
        return requested

    def end_epoch(self) -> None:
        """Close the epoch: mean loss, measurements, one record, one report."""
        state = self.state
        epoch = state.epochs_done + 1
        held_out = (("validation", self.data.validation), ("test", self.data.test))
        if epoch == self.config.recipe.epochs or any(part for _, part in held_out):
            self.average(epoch)
        self.pause_clock()
        before = sum(record["seconds"] for record in state.history)
        record: dict[str, Any] = {
            "epoch": epoch,
            "train_loss": total_over_ranks(state.loss_sum).item() / self.feed.num_images,
            "learning_rate": self.rate(self.steps - 1),
            "seconds": state.seconds - before,
        }
        for name, part in held_out:
            if part is not None:
                scores = self.measure(part)
                record |= {f"{name}_loss": scores.loss, f"{name}_accuracy": scores.accuracy}
        state.history.append(record)
        state.epochs_done, state.step = epoch, 0
        state.loss_sum.zero_()
        self.hooks.record(record)
        self.hooks.reporter.epoch(EpochReport(**record))

    def measure(self, part: LabelledImages) -> Scores:
        """Scores of the network as it is on held-out images."""
        predictor = result_predictor(self.state, self.config, self.device)
        return predictor.scores(part.images, part.labels, self.ranks)

    def pause_clock(self) -> None:
        """Add the time since the clock was started to the training seconds."""
        synchronize(self.device)
        self.state.seconds += time.perf_counter() - self.started
        self.started = time.perf_counter()
