"""A split in two dimensions: the principal components of the last layer's features."""

from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from mnistctl.draw.chart import scatter
from mnistctl.draw.style import CLASSES, new_figure, open_frame
from mnistctl.draw.terminal import has_blocks
from mnistctl.draw.types import Axes, Figure, Values
from mnistctl.visualize import sources
from mnistctl.visualize.answers import Answers, ask
from mnistctl.visualize.registry import kind

if TYPE_CHECKING:
    from torch import Tensor

NUM_DIRECTIONS = 8
"""Directions that the randomised method follows; two are kept."""
MARKS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Of classes whose names are longer than a character."""


@kind("embedding", "", "-c best --output embedding.png")
def embedding(model: sources.Network, data: sources.Split) -> "EmbeddingView":
    """Penultimate-layer features in two dimensions (PCA)."""
    import torch

    from mnistctl.engine.inference.activations import penultimate

    loaded = model.load()
    with penultimate(model.inside(loaded)) as collected:
        (answers,) = ask([loaded], data)
    # Where an answer is the mean over shifts, a batch goes through once a shift, at first as it is.
    passes = sum(map(len, collected)) // answers.scores.total
    points, explained = principal_components(torch.cat(collected[::passes]))
    return EmbeddingView(answers, points.numpy(), explained)


def principal_components(features: "Tensor") -> "tuple[Tensor, tuple[float, float]]":
    """Coordinates (n, 2) of features (n, d) along their two widest directions, and their shares.

    PCA by the randomised decomposition of Halko, Martinsson and Tropp (arXiv:0909.4061); seeded,
    and each direction's largest coefficient positive, so that a figure comes out the same again.
    """
    import torch
    from torch.nn.functional import pad

    centred = features - features.mean(0)
    directions = min(NUM_DIRECTIONS, *centred.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, _, axes = torch.pca_lowrank(centred, directions, center=False, niter=8)
    widest = axes[:, :2]
    widest = widest * widest.gather(0, widest.abs().argmax(0, keepdim=True)).sign()
    points = pad(centred @ widest, (0, 2 - widest.shape[1]))  # one image, or one feature
    total = float(centred.double().square().sum()) or 1.0
    shares = (points.double().square().sum(0) / total).tolist()
    return points, (shares[0], shares[1])


@dataclass(frozen=True)
class EmbeddingView:
    """Points float32 (n, 2), and each axis's share of the variance, 0..1."""

    answers: Answers
    points: Values
    explained: tuple[float, float]

    @property
    def title(self) -> str:
        members = len(self.answers.model.predictor.members)
        layer = "penultimate layer" + (f" of the first of {members} members" if members > 1 else "")
        wrong, total = int((~self.answers.correct).sum()), self.answers.scores.total
        what = f"{total:,} images by features of the {layer}, {wrong:,} misclassified"
        return f"{self.answers.where}: {what}"

    def to_dict(self) -> dict[str, Any]:
        x, y = self.points.T.astype(float).round(4).tolist()
        return {
            **self.answers.document(),
            "explained_variance": list(self.explained),
            "x": x,
            "y": y,
            "labels": self.answers.data.labels.tolist(),
            "predictions": self.answers.predictions.tolist(),
        }

    def figure(self) -> Figure:
        """A cloud coloured by label, mistakes with a black edge."""
        figure = new_figure(8.0, max(7.0, 0.24 * len(self.answers.classes)), self.title)
        axes = figure.subplots()
        self._draw_points(axes)
        first, second = (f"{100 * share:.0f} % of the variance" for share in self.explained)
        axes.set_xlabel(f"first principal component ({first})")
        axes.set_ylabel(f"second principal component ({second})")
        open_frame(axes)
        beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        axes.legend(
            **beside, frameon=False, title="label", ncols=1 + len(self.answers.classes) // 21
        )
        return figure

    def _draw_points(self, axes: Axes) -> None:
        """In random order, so that no class covers another; each class's name at its median."""
        import numpy as np

        labels, wrong = self.answers.data.labels.numpy(), (~self.answers.correct).numpy()
        colours = np.array([CLASSES[k % len(CLASSES)] for k in range(len(self.answers.classes))])
        size = min(max(20_000 / len(labels), 5.0), 40.0)
        order = np.random.default_rng(0).permutation(len(labels))
        look: dict[str, Any] = {"s": size, "linewidths": 0, "rasterized": True, "alpha": 0.55}
        axes.scatter(*self.points[order].T, color=colours[labels[order]], **look)
        look |= {"linewidths": 0.7, "edgecolors": "black", "alpha": 1.0, "zorder": 3}
        look["s"] = max(size, min(10_000 / max(int(wrong.sum()), 1), 30.0))  # few stand out
        axes.scatter(*self.points[wrong].T, color=colours[labels[wrong]], **look)
        text: dict[str, Any] = {"ha": "center", "va": "center", "fontweight": "bold", "zorder": 4}
        for k, name in enumerate(self.answers.classes):
            own, colour = self.points[labels == k], colours[k]
            axes.scatter([], [], color=colour, label=name, s=40)
            if len(own):
                x, y = np.median(own, 0)
                box = {"facecolor": "white", "edgecolor": colour, "pad": 2, "alpha": 0.85}
                axes.text(x, y, name, fontsize=14 if len(name) == 1 else 10, bbox=box, **text)
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": "black", "s": 40}
        axes.scatter([], [], label=f"misclassified ({int(wrong.sum()):,})", **ring)

    def panel(self, console: Console) -> RenderableType:
        """The cloud in characters, and what they mean."""
        classes = self.answers.classes
        single = all(cell_len(name) == len(name) == 1 for name in classes)
        marks = "".join(classes) if single else "".join(islice(cycle(MARKS), len(classes)))
        names = "" if single else f" ({', '.join(map(' '.join, zip(marks, classes, strict=True)))})"
        cross = "×" if has_blocks(console) else "x"
        crossed = f"{cross}: most there are misclassified"
        legend = Text(f"a character: the most frequent label there{names}; {crossed}")
        height = console.width // 3
        if console.is_terminal:  # all of it on one screen
            beneath = len(legend.wrap(console, console.width)) + 3
            height = max(8, min(height, console.height - beneath))
        labels, wrong = self.answers.data.labels.numpy(), (~self.answers.correct).numpy()
        return Group(scatter(self.points, labels, marks, wrong, console, height), legend)
