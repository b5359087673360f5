"""The effective configuration of a run: with the data set, all that reproduces it."""

import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mnistctl.recipes import Recipe, check_fields

DEFAULT_DATA_DIR, DEFAULT_STORE = Path("data"), Path("runs")
MAX_MEMBERS = 100


def program_words(world_size: int) -> list[str]:
    """The words that start this program as so many processes that train together."""
    if world_size == 1:
        return ["mnistctl"]
    return ["torchrun", "--standalone", f"--nproc-per-node={world_size}", "-m", "mnistctl"]


def store_words(store: Path) -> list[str]:
    """What names `store` to a command, nothing where it is the one taken without."""
    return _place_words("--store", store, "MNISTCTL_STORE", DEFAULT_STORE)


def data_words(data_dir: Path) -> list[str]:
    """What names `data_dir` to a command, nothing where it is the one taken without."""
    return _place_words("--data-dir", data_dir, "MNISTCTL_DATA", DEFAULT_DATA_DIR)


def resume_line(directory: Path) -> str:
    """The command that resumes the run in `directory`, in one process."""
    if not directory.name or ".." in directory.parts:
        directory = directory.resolve()
    words = [*program_words(1), "train", "--resume", directory.name]
    return shlex.join([*words, *store_words(directory.parent)])


def _place_words(option: str, place: Path, variable: str, default: Path) -> list[str]:
    usual = Path(os.environ.get(variable) or default)
    return [] if place == usual else [option, str(place)]


@dataclass(frozen=True)
class Init:
    """The checkpoint whose weights a run begins with."""

    checkpoint: str
    """Path of the file."""
    sha256: str
    member: int = 0
    """Which of its networks, where it is an ensemble."""


@dataclass(frozen=True)
class RunConfig:
    """What a run computes (recipe to precision), what it reports, and where it came from."""

    recipe: Recipe
    dataset: str
    dataset_sha256: str
    classes: tuple[str, ...]
    """Names of the data set's classes, in the order of its labels."""
    seed: int
    validation: int
    """Training images held out for validation, the last ones of a seeded permutation."""
    device: str
    precision: str
    threads: int
    """CPU threads; sums, and so the last bits, depend on it."""
    world_size: int
    """Processes that share every batch."""
    log_every: int
    checkpoint_every: int
    """Steps between checkpoints within an epoch; 0: at each epoch's end only."""
    test_every_epoch: bool
    started: str
    """UTC, ISO 8601."""
    command: str
    versions: dict[str, str]
    ensemble: int = 1
    """Networks trained, of this and the following seeds, to answer as one."""
    init: Init | None = None
    """None: the initial weights are drawn from the seed."""
    job: str | None = None
    """Of torchrun, that began it: started again, it resumes it."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return asdict(self) | {"recipe": self.recipe.to_dict(), "classes": list(self.classes)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "RunConfig":
        """Rebuild from `to_dict`. Raises TypeError, KeyError or ValueError on another shape."""
        recipe, classes = Recipe.from_dict(data["recipe"]), tuple(data["classes"])
        init = Init(**data["init"]) if data.get("init") else None
        config = cls(**{**data, "recipe": recipe, "classes": classes, "init": init})
        check_fields(config)
        counts = min(
            config.log_every, len(classes), config.ensemble, MAX_MEMBERS + 1 - config.ensemble
        )
        if counts < 1 or min(config.checkpoint_every, config.validation) < 0:
            raise ValueError("numbers out of their ranges")
        if not all(map(str.isprintable, classes)):
            raise ValueError("names of classes that can't be shown")
        return config

    def identity(self) -> dict[str, Any]:
        """What makes two configurations parts of one run: all that decides its steps' results."""
        recipe = self.recipe.to_dict()
        del recipe["epochs"], recipe["summary"]
        return {
            "recipe": recipe,
            "dataset": self.dataset,
            "dataset_sha256": self.dataset_sha256,
            "classes": self.classes,
            "seed": self.seed,
            "validation": self.validation,
            "init": self.init,
        }
