"""What `predict` does around the network, with one that is sure of everything."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from mnistctl.engine.inference import predict as predict_module
from mnistctl.engine.inference.loading import LoadedModel
from mnistctl.engine.inference.predict import Answers, predict
from mnistctl.events import NullReporter
from mnistctl.recipes import RECIPES


class Sure(nn.Module):
    """Says 8, whatever it sees."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 50.0 * nn.functional.one_hot(torch.full((len(x),), 8), 10).float()


class Recorder(NullReporter):
    """Keeps the names of the calls about a task."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def begin(self, task: str, total: int | None, unit: str) -> None:
        self.calls.append(f"begin {task} {total}")

    def advance(self, done: int) -> None:
        self.calls.append(f"advance {done}")

    def end(self) -> None:
        self.calls.append("end")


@pytest.fixture(autouse=True)
def _sure(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = LoadedModel(Sure(), RECIPES["mlp"], "mnist", Path("sure.pt"), "sure", "sure.pt")
    monkeypatch.setattr(predict_module, "load_model", lambda *arguments: loaded)


def ask(*images: str, multi: bool = False, reporter: Any = None) -> Answers:
    return predict(
        images,
        checkpoint=None,
        store=Path("no-store"),
        device="cpu",
        precision="fp32",
        invert="auto",
        multi=multi,
        reporter=reporter or NullReporter(),
    )


def page(joined: bool) -> str:
    """Two crosses side by side, 150 pixels tall, whose arms meet or leave a gap."""
    image = Image.new("L", (400, 250), 230)
    draw = ImageDraw.Draw(image)
    for left in (60, 170 if joined else 210):
        draw.line([(left + 55, 50), (left + 55, 200)], fill=30, width=12)
        draw.line([(left, 120), (left + 110, 120)], fill=30, width=12)
    image.save("page.png")
    return "page.png"


def test_pieces_that_touched_are_at_best_uncertain() -> None:
    apart = ask(page(joined=False), multi=True).predictions
    assert [p.verdict for p in apart] == ["digit", "digit"]
    touching = ask(page(joined=True), multi=True).predictions
    assert [p.verdict for p in touching] == ["uncertain", "uncertain"]
    assert all("touched its neighbour" in p.warnings[0] for p in touching)
    assert [p.digit for p in touching] == [8, 8]


def test_wide_digit_is_uncertain_only_among_several() -> None:
    image = Image.new("L", (300, 300), 230)
    ImageDraw.Draw(image).ellipse([60, 90, 240, 210], outline=30, width=12)
    image.save("wide.png")
    for multi, verdict in ((False, "digit"), (True, "uncertain")):
        (prediction,) = ask("wide.png", multi=multi).predictions
        assert prediction.warnings == ("wider than most digits: two that touch?",)
        assert prediction.verdict == verdict


def test_progress_counts_every_image_and_is_closed() -> None:
    reporter = Recorder()
    Image.fromarray(np.full((9, 9), 200, np.uint8)).save("blank.png")
    ask("blank.png", "missing.png", "blank.png", reporter=reporter)
    assert reporter.calls == ["begin predicting 3", "advance 1", "advance 2", "advance 3", "end"]


def test_interrupt_closes_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(predict_module, "read_image", interrupted)
    reporter = Recorder()
    with pytest.raises(KeyboardInterrupt):
        ask("page.png", reporter=reporter)
    assert reporter.calls == ["begin predicting 1", "end"]
