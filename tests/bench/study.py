"""Accuracy over seeds: whole runs of a recipe, one JSON line each, nothing chosen."""

from pathlib import Path

from mnistctl.engine.inference.significance import summarise
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.run import train
from mnistctl.errors import UsageError
from mnistctl.events import Reporter
from mnistctl.store.config import RunConfig
from mnistctl.store.result import RunResult
from mnistctl.store.runs import MEMBERS_NAME, RESULT_NAME, RunInfo, describe
from tests.bench.figures import append, machine, recipe_hash
from tests.bench.ours import trains_as_today


def study(
    recipe_name: str,
    seeds: range,
    ensemble: int,
    data_dir: Path,
    device_name: str,
    store: Path,
    dataset: str = "mnist",
    precision: str | None = None,
) -> None:
    """Train `recipe_name` on all of `dataset` with each seed and test the last epoch once.

    The runs stay in `store`; those already there are not trained again, a stopped one resumes.
    With `ensemble` N each run is an ensemble of N, and its members are recorded, too. Appends a
    line a run to results/accuracy.jsonl and prints mean and standard deviation.
    """
    accuracies = []
    what = recipe_name if dataset == "mnist" else f"{recipe_name}-{dataset}"
    for seed in seeds:
        name = f"{what}-seed-{seed}" + (f"-of-{ensemble}" if ensemble > 1 else "")
        begun, known = (store / name).exists(), (store / name / RESULT_NAME).exists()
        if begun:
            check_recipe(store / name)
        request = TrainRequest(
            store=store,
            data_dir=data_dir,
            recipe=recipe_name,
            dataset=dataset,
            device=device_name,
            precision=None if begun else precision,
            seed=None if begun else seed,
            ensemble=None if begun else ensemble,
            name=name,
            resume=name if begun else None,
        )
        done = train(request, Reporter())
        assert done is not None
        if not known:
            for member in sorted((store / name / MEMBERS_NAME).glob(f"*/{RESULT_NAME}")):
                record_run(describe(member.parent))
            record(done.config, done.result)
        test, seconds = done.result.test, done.result.train_seconds
        accuracies.append(100 * test.accuracy)
        print(f"{name}: {test.correct:,} of {test.total:,} in {seconds:.1f} s", flush=True)
    if len(accuracies) > 1:
        found = summarise(accuracies)
        print(
            f"{what}: n={found.n} mean {found.mean:.3f} SD {found.sd:.3f}"
            f" min {found.min:.2f} max {found.max:.2f},"
            f" 95 % interval of the mean {found.ci95[0]:.3f} to {found.ci95[1]:.3f}"
        )


def check_recipe(directory: Path) -> None:
    """Raise UsageError for a run of a recipe that has changed since: it would count as today's."""
    config = describe(directory).config
    if config is None:
        raise UsageError(f"{directory} has no config.json: remove it, or take another --store")
    if not trains_as_today(config.recipe, config.dataset):
        raise UsageError(
            f"{directory} was trained by another form of {config.recipe.name}",
            "take another --store",
        )


def record_run(run: RunInfo) -> None:
    """Append the result of a finished run to results/accuracy.jsonl."""
    assert run.config is not None
    assert run.result is not None
    record(run.config, run.result)


def record(config: RunConfig, result: RunResult) -> None:
    """Append the result of a run, or of an ensemble, to results/accuracy.jsonl."""
    recipe = config.recipe
    other = "" if config.dataset == "mnist" else f" --dataset {config.dataset}"
    command = f"python -m tests.bench study --recipe {recipe.name}{other} --first {config.seed}"
    command += f" --precision {config.precision}"
    line = {
        "recipe": recipe.name,
        "dataset": config.dataset,
        "recipe_sha256": recipe_hash(recipe.to_dict()),
        "seed": config.seed,
        "ensemble": config.ensemble,
        "command": f"{command} --ensemble {config.ensemble} --runs 1",
        "parameters": result.parameters,
        "correct": result.test.correct,
        "epochs": result.epochs,
        "device": config.device,
        "precision": config.precision,
        "train_seconds": round(result.train_seconds, 3),
        "machine": machine(),
    }
    append("accuracy", line)
