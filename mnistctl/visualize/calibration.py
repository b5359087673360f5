"""How far a network's confidence can be trusted: a reliability diagram."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from mnistctl.draw.style import BLUE, GREY, ORANGE, new_figure, open_frame
from mnistctl.draw.terminal import has_blocks
from mnistctl.draw.types import Figure
from mnistctl.text import percent
from mnistctl.visualize import sources
from mnistctl.visualize.answers import Answers, ask_one
from mnistctl.visualize.registry import kind

LEAST_BAR, MAX_BAR = 8, 40


@kind("calibration", "", "-c best --output calibration.png")
def calibration(model: sources.Model, data: sources.Split) -> "CalibrationView":
    """Reliability diagram, and the expected calibration error."""
    return CalibrationView(ask_one(model, data))


@dataclass(frozen=True)
class CalibrationView:
    """A reliability diagram and its expected calibration error."""

    answers: Answers

    @cached_property
    def bins(self) -> list[dict[str, Any]]:
        """From confidence `low` to `high`: how many images, their mean confidence, accuracy.

        All in 0..1; both are None where there is no image.
        """
        from mnistctl.engine.inference.calibration import NUM_BINS, reliability

        own, temperature = self.answers, self.answers.model.predictor.recipe.temperature
        diagram = reliability(own.logits, own.data.labels, temperature)
        columns = (diagram.count.tolist(), diagram.confidence.tolist(), diagram.hits.tolist())
        return [
            {
                "low": number / NUM_BINS,
                "high": (number + 1) / NUM_BINS,
                "count": int(count),
                "confidence": confidence / count if count else None,
                "accuracy": hits / count if count else None,
            }
            for number, (count, confidence, hits) in enumerate(zip(*columns, strict=True))
        ]

    @property
    def title(self) -> str:
        error = percent(self.answers.scores.calibration_error)
        return f"{self.answers.where}: expected calibration error {error}"

    def to_dict(self) -> dict[str, Any]:
        """The error is that of `evaluate` in the same precision."""
        return {
            **self.answers.document(),
            "calibration_error": self.answers.scores.calibration_error,
            "temperature": self.answers.model.predictor.recipe.temperature,
            "bins": self.bins,
        }

    def figure(self) -> Figure:
        """Accuracy of each bin of confidence against the diagonal, above the numbers of images."""
        figure = new_figure(6.4, 6.4, self.title)
        diagram, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        counts = [own["count"] for own in self.bins]
        step = self.bins[0]["high"]
        filled = [own for own in self.bins if own["count"]]
        middles = [own["low"] + step / 2 for own in filled]
        accuracy = [own["accuracy"] for own in filled]
        diagram.bar(middles, accuracy, 0.94 * step, color=BLUE, label="accuracy")
        diagram.hlines(
            [own["confidence"] for own in filled],
            [own["low"] for own in filled],
            [own["high"] for own in filled],
            color=ORANGE,
            linewidth=4,
            label="mean confidence",
        )
        diagram.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfect calibration")
        diagram.set_ylim(0, 1.02)
        diagram.set_xlim(0, 1)
        diagram.set_ylabel("accuracy")
        diagram.legend(loc="upper left", frameon=False)
        histogram.bar([own["low"] + step / 2 for own in self.bins], counts, 0.94 * step, color=BLUE)
        histogram.set_yscale("symlog", linthresh=1)
        histogram.set_yticks([0, 1, 10, 100, 1000, 10_000], ["0", "1", "10", "100", "1k", "10k"])
        histogram.set_ylim(0, 3 * max(1, *counts))
        histogram.set_ylabel("images")
        histogram.set_xlabel("confidence")
        open_frame(diagram)
        open_frame(histogram)
        return figure

    def panel(self, console: Console) -> RenderableType:
        """A line for each bin that has images, with a bar of its accuracy."""
        room = min(console.width - 48, MAX_BAR)
        table = Table(box=None, pad_edge=False)
        for heading in ("confidence", "images", "mean", "accuracy"):
            table.add_column(heading, justify="right", no_wrap=True)
        if room >= LEAST_BAR:
            table.add_column("", no_wrap=True)
        full = "█" if has_blocks(console) else "#"
        for own in self.bins:
            if own["count"]:
                table.add_row(
                    f"{own['low']:.2f}-{own['high']:.2f}",
                    f"{own['count']:,}",
                    percent(own["confidence"]),
                    percent(own["accuracy"]),
                    *([full * round(own["accuracy"] * room)] if room >= LEAST_BAR else []),
                )
        return table
