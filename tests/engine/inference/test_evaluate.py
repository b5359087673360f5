"""Checkpoints on a labelled split: what they are measured on, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs_made import CONFIG

from mnistctl.data.registry import DATASETS
from mnistctl.engine.inference.evaluate import Evaluation, evaluate
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.errors import CheckpointError, UsageError
from mnistctl.events import Reporter
from mnistctl.models.registry import build
from mnistctl.recipes import RECIPES
from mnistctl.store import checkpoint
from mnistctl.store.checkpoint import Checkpoint

pytestmark = pytest.mark.usefixtures("small_datasets")


class Warnings(Reporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


def evaluate_all(
    paths: list[Path],
    dataset: str | None = None,
    reporter: Reporter | None = None,
    split: str = "test",
) -> list[Evaluation]:
    return evaluate(
        [str(path) for path in paths],
        store=Path("no-store"),
        data_dir=Path("no-data"),
        dataset=dataset,
        split=split,
        device="cpu",
        precision="fp32",
        reporter=reporter or Reporter(),
    )


def save_networks(directory: Path, datasets: list[str], num_classes: int = 10) -> list[Path]:
    """Untrained networks of seeds 0, 1, ... said to be trained on `datasets`."""
    paths = []
    classes = tuple(f"class {k}" for k in range(num_classes)) if num_classes != 10 else None
    for seed, dataset in enumerate(datasets):
        torch.manual_seed(seed)
        config = replace(CONFIG, dataset=dataset, classes=classes or CONFIG.classes)
        paths.append(directory / f"{seed}.pt")
        weights = build("mlp", num_classes).state_dict()
        checkpoint.save(paths[-1], Checkpoint(weights, config, f"run-{seed}"))
    return paths


def test_several_are_scored_as_each_alone(tmp_path: Path) -> None:
    paths = save_networks(tmp_path, ["mnist"] * 3)
    together = evaluate_all(paths)
    assert [result.model.path for result in together] == paths
    assert [r.scores for r in together] == [evaluate_all([p])[0].scores for p in paths]
    assert len({result.scores.loss for result in together}) == 3


def test_the_document(tmp_path: Path) -> None:
    (path,) = save_networks(tmp_path, ["mnist"])
    (result,) = evaluate_all([path])
    document = result.to_dict()
    assert document == result.scores.to_dict() | {
        "checkpoint": str(path),
        "recipe": "mlp",
        "dataset": "mnist",
        "classes": list("0123456789"),
        "split": "test",
        "label_errors": None,
        "seconds": result.seconds,
        "device": "cpu",
        "precision": "fp32",
    }


def test_known_label_errors_are_counted_among_the_misclassified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = save_networks(tmp_path, ["mnist"])
    plain = evaluate_all([path])[0]
    data = DATASETS["mnist"].load("test", tmp_path, Reporter())
    correct = plain.model.predictor.logits(data.images).argmax(1) == data.labels
    hits, misses = correct.nonzero()[:2, 0].tolist(), (~correct).nonzero()[:3, 0].tolist()
    row = replace(DATASETS["mnist"], label_errors={"test": (*hits, *misses)})
    monkeypatch.setitem(DATASETS, "mnist", row)
    (result,) = evaluate_all([path])
    assert result.to_dict()["label_errors"] == {"misclassified": 3, "known": 5}
    assert result.scores == plain.scores


def test_the_split_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    (path,) = save_networks(tmp_path, ["mnist"])
    for split, total in (("test", 500), ("train", 2_000)):
        (result,) = evaluate_all([path], split=split)
        assert (result.split, result.scores.total) == (split, total)


def test_all_are_loaded_before_data_or_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [*save_networks(tmp_path, ["mnist"]), tmp_path / "missing.pt"]
    monkeypatch.setattr(Predictor, "scores", None)  # a call would be a TypeError
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], load=None))  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="missing.pt does not exist"):
        evaluate_all(paths)


def test_several_are_measured_on_one_data_set(tmp_path: Path) -> None:
    paths = save_networks(tmp_path, ["mnist", "synthetic", "mnist"])
    with pytest.raises(UsageError, match=r"different data sets: .*2\.pt on mnist, .*1\.pt on syn"):
        evaluate_all(paths)
    said = evaluate_all(paths, dataset="synthetic")
    assert [result.dataset for result in said] == ["synthetic"] * 3


def test_bare_state_dict_joins_those_of_mnist(tmp_path: Path) -> None:
    torch.save(build("mlp", 10).state_dict(), tmp_path / "bare.pt")
    paths = [*save_networks(tmp_path, ["mnist"]), tmp_path / "bare.pt"]
    assert [result.dataset for result in evaluate_all(paths)] == ["mnist"] * 2


def test_one_checkpoint_twice_is_no_sample_of_two(tmp_path: Path) -> None:
    (path,) = save_networks(tmp_path, ["mnist"])
    (tmp_path / "link.pt").symlink_to(path)
    for again in (path, tmp_path / "link.pt"):
        with pytest.raises(UsageError, match="are the same checkpoint"):
            evaluate_all([path, again])


def test_networks_of_other_classes_than_the_data_set_are_refused(tmp_path: Path) -> None:
    (path,) = save_networks(tmp_path, ["mnist"], num_classes=3)
    with pytest.raises(UsageError) as caught:
        evaluate_all([path], dataset="synthetic")
    assert caught.value.message == (
        f"the classes of {path} are not those of the data set 'synthetic':"
        " class 0, class 1, class 2 (3); 0, 1, 2, 3, ... (10)"
    )
    assert "it was trained on mnist" in caught.value.hint
    torch.save(build("mlp", 47).state_dict(), tmp_path / "bare.pt")
    with pytest.raises(
        UsageError, match=r"'mnist': 0, 1, 2, 3, ... \(47\); 0, 1, 2, 3, ... \(10\)"
    ):
        evaluate_all([tmp_path / "bare.pt"])


@pytest.mark.parametrize("change", [{"epochs": 3}, {"learning_rate": 0.1}])
def test_runs_of_one_recipe_with_other_settings_are_no_repetitions(
    change: dict[str, float], tmp_path: Path
) -> None:
    paths = save_networks(tmp_path, ["mnist"] * 2)
    evaluate_all(paths, reporter=(alike := Warnings()))
    assert alike.texts == []
    found = checkpoint.load(paths[1])
    assert found.config
    other = replace(found.config, recipe=replace(RECIPES["mlp"], **change))
    checkpoint.save(paths[1], replace(found, config=other))
    evaluate_all(paths, reporter=(unlike := Warnings()))
    assert unlike.texts == [
        "these are not runs of one recipe: their spread is not that of seeds alone"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"split": "tset"}, "did you mean 'test'"), ({"dataset": "mnits"}, "did you mean 'mnist'")],
)
def test_names_are_checked_before_files_are_read(change: dict[str, str], message: str) -> None:
    words = {"dataset": None, "split": "test"} | change
    with pytest.raises(UsageError, match=message):
        evaluate(
            ["missing.pt"],
            store=Path("no-store"),
            data_dir=Path("no-data"),
            device="cpu",
            precision="fp32",
            reporter=Reporter(),
            **words,  # type: ignore[arg-type]
        )
