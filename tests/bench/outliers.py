"""What is called a digit and is none: sets of outliers through `predict`, beside MNIST's digits."""

import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mnistctl.data.registry import get_dataset
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.predict import predict_prepared
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.events import Reporter
from mnistctl.imaging.files import Picture, read_image
from mnistctl.imaging.prepare import Prepared, prepare
from tests.bench.figures import append, identity, machine, markdown, show_share
from tests.bench.outlier_pictures import CHOOSING_KINDS, KINDS, NEW_KINDS, outlier_pictures

NUM_EACH = 1_000
NUM_FITTED = 5_000
SEED = 3
WAY_FIGURES = ("auroc", "digits_flagged", "accepted")
"""AUROC; digits flagged with 95 % of outliers; outliers accepted with 99.4 % of digits."""


def measure(checkpoints: list[str], store: Path, data_dir: Path, omniglot: Path | None) -> None:
    """Print a table for each checkpoint; append its figures to results/outliers.jsonl."""
    pictures = outliers(data_dir, omniglot)
    sets = {name: [prepare(picture) for picture in own] for name, own in pictures}
    digits = get_dataset("mnist").load("test", data_dir, Reporter()).images
    for checkpoint in checkpoints:
        model = load_model(checkpoint, store, "cpu", "fp32", Reporter())
        scores = scores_of(model.predictor, data_dir)
        inside = {name: score(digits) for name, score in scores.items()}
        own = [Prepared(pixels, (0, 0, 28, 28)) for pixels in digits.numpy()]
        rows = [{"set": "MNIST test", **accepted(model, own)}]
        for name, prepared in sets.items():
            pixels = torch.from_numpy(np.stack([one.pixels for one in prepared]))
            doubted = torch.tensor([one.doubt is not None for one in prepared])
            row = {"set": name, **accepted(model, prepared), "doubted": int(doubted.sum())}
            for kind, score in scores.items():
                found = score(pixels).masked_fill(doubted, -math.inf)
                row[kind] = {
                    "auroc": auroc(inside[kind], found),
                    "digits_flagged": flagged(inside[kind], found),
                    "accepted": float((found >= inside[kind].quantile(0.006)).float().mean()),
                }
            rows.append(row)
        append("outliers", {**identity(model.predictor), "rows": rows, "machine": machine()})
        print(f"{model.label}\n\n{table(rows, list(scores))}\n")


def outliers(data_dir: Path, omniglot: Path | None) -> Iterator[tuple[str, list[Picture]]]:
    """Each set's name and pictures; those to choose on come first."""
    for split in ("train", "test"):
        images = get_dataset("fashion").load(split, data_dir, Reporter()).images
        clothes = [Picture(own, 28, 28) for own in images[:NUM_EACH].numpy()]
        yield f"Fashion-MNIST {split}", clothes
    for kind in (*CHOOSING_KINDS, *KINDS, *NEW_KINDS):
        drawn = outlier_pictures(NUM_EACH // 5, SEED, [kind])
        yield kind, [Picture(own, own.shape[1], own.shape[0]) for _, own in drawn]
    if omniglot is not None:
        with zipfile.ZipFile(omniglot) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".png"))
            yield "Omniglot", [read_image(archive.read(name), name) for name in names]


def accepted(model: LoadedModel, prepared: list[Prepared]) -> dict[str, int]:
    """How many `predict` calls a digit."""
    answers = predict_prepared(model.predictor, [(k, "", own) for k, own in enumerate(prepared)])
    return {"n": len(prepared), "digit": sum(own.verdict == "digit" for own in answers)}


def scores_of(predictor: Predictor, data_dir: Path) -> dict[str, Callable[[Tensor], Tensor]]:
    """Ways to tell digits from outliers: each maps uint8 (n, 28, 28) to (n,), high for digits."""
    ways = {
        "confidence": lambda pixels: predictor.probabilities(pixels).amax(1),
        "maximum logit": lambda pixels: predictor.logits(pixels).amax(1),
        "energy": lambda pixels: predictor.logits(pixels).logsumexp(1),
        "Mahalanobis": mahalanobis(predictor, data_dir),
    }
    if predictor.num_members > 1:
        ways["agreement"] = lambda pixels: -disagreement(predictor, pixels)
    return ways


def mahalanobis(predictor: Predictor, data_dir: Path) -> Callable[[Tensor], Tensor]:
    """Less the distance of the last layer's input to the nearest class (Lee et al., NeurIPS 2018).

    Means and the common covariance are those of training images, of an ensemble's first member.
    """
    training = get_dataset("mnist").load("train", data_dir, Reporter())
    features = features_of(predictor, training.images[:NUM_FITTED])
    labels = training.labels[:NUM_FITTED]
    means = torch.stack([features[labels == k].mean(0) for k in range(10)])
    spread = features - means[labels]
    covariance = spread.T @ spread / len(spread)
    size = len(covariance)
    ridge = 1e-3 * covariance.trace() / size * torch.eye(size)
    inverse = torch.linalg.inv(covariance + ridge)

    def score(pixels: Tensor) -> Tensor:
        apart = features_of(predictor, pixels)[:, None] - means
        return -torch.einsum("nkd,de,nke->nk", apart, inverse, apart).amin(1)

    return score


def features_of(predictor: Predictor, pixels: Tensor) -> Tensor:
    """What the last linear layer sees of uint8 (n, 28, 28): float32 (n, features)."""
    last = [own for own in predictor.members[0].modules() if isinstance(own, nn.Linear)][-1]
    kept: list[Tensor] = []
    handle = last.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
    predictor.logits(pixels)
    handle.remove()
    return torch.cat(kept).float()


def disagreement(predictor: Predictor, pixels: Tensor) -> Tensor:
    """Mutual information of answer and member, nats (n,) (Lakshminarayanan et al., 2017)."""
    with torch.inference_mode():
        inputs = predictor.inputs(pixels)
        shares = torch.stack([member(inputs).float().softmax(1) for member in predictor.members])

    def entropy(p: Tensor) -> Tensor:
        return torch.special.entr(p).sum(-1)

    return entropy(shares.mean(0)) - entropy(shares).mean(0)


def auroc(digits: Tensor, others: Tensor) -> float:
    """Probability that a digit scores higher than an outlier, 0..1; ties count half."""
    ordered = others.sort().values
    below = torch.searchsorted(ordered, digits).double()
    up_to = torch.searchsorted(ordered, digits, right=True).double()
    return float((below + up_to).mean() / (2 * len(others)))


def flagged(digits: Tensor, others: Tensor) -> float:
    """Share of digits that score below the limit under which 95 % of outliers are, 0..1."""
    limit = others.sort().values[math.ceil(0.95 * len(others)) - 1]
    return float((digits <= limit).double().mean())


def table(rows: list[dict[str, Any]], kinds: list[str]) -> str:
    """By set what is called a digit; then for each way AUROC, and the digits that it flags."""

    def cells(row: dict[str, Any]) -> Iterator[str]:
        for kind in kinds:
            own = row.get(kind, {})
            yield " / ".join(f"{100 * own[key]:.1f}" for key in WAY_FIGURES) if own else ""

    lines = [[r["set"], str(r["n"]), show_share(r["digit"], r["n"]), *cells(r)] for r in rows]
    return markdown(["set", "n", "called digit", *kinds], lines)
