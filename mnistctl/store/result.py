"""`result.json`: what a run ended with. Its settings are in `config.json` alone."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mnistctl.recipes import check_fields
from mnistctl.store.config import RunConfig


@dataclass(frozen=True)
class Score:
    """Of a network on a labelled set; `accuracy` in 0..1, `loss` the mean per image."""

    loss: float
    accuracy: float
    correct: int
    total: int


@dataclass(frozen=True)
class ValidationScore:
    """Of the epoch that was best on held-out training images."""

    loss: float
    accuracy: float
    total: int
    epoch: int


@dataclass(frozen=True)
class MemberScore:
    """Test accuracy, 0..1, of an ensemble's member by itself."""

    seed: int
    accuracy: float


@dataclass(frozen=True)
class RunResult:
    """What a finished run has to show."""

    epochs: int
    checkpoint: str
    """Name of the file, in the run's directory, that was tested."""
    parameters: int
    train_seconds: float
    """Of the training loop alone; an ensemble's are the sum over its members."""
    images_per_second: float
    test: Score
    validation: ValidationScore | None = None
    members: tuple[MemberScore, ...] = ()
    tf32: bool = False
    """Whether a GPU was allowed to round factors of fp32 to ten bits: never, see `device`."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return asdict(self) | {"members": [asdict(member) for member in self.members]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "RunResult":
        """Rebuild from `to_dict`. Raises TypeError, KeyError or ValueError on another shape."""
        validation = data["validation"]
        result = cls(
            **{
                **data,
                "test": Score(**data["test"]),
                "validation": validation and ValidationScore(**validation),
                "members": tuple(MemberScore(**member) for member in data["members"]),
            }
        )
        check_fields(result)
        return result


@dataclass(frozen=True)
class TrainResult:
    """A finished run: where it is, its settings and what it ended with."""

    directory: Path
    config: RunConfig
    result: RunResult

    @property
    def checkpoint(self) -> Path:
        """The file that was tested."""
        return self.directory / self.result.checkpoint

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of `mnistctl train`, less `wall_seconds`."""
        config, result = self.config, self.result.to_dict()
        members = {"members": result["members"]} if result["members"] else {}
        return {
            "run": self.directory.name,
            "run_dir": str(self.directory),
            "checkpoint": str(self.checkpoint),
            "recipe": config.recipe.name,
            "dataset": config.dataset,
            "classes": list(config.classes),
            "device": config.device,
            "precision": config.precision,
            "threads": config.threads,
            "world_size": config.world_size,
            "seed": config.seed,
            "epochs": self.result.epochs,
            "parameters": self.result.parameters,
            "train_seconds": self.result.train_seconds,
            "images_per_second": self.result.images_per_second,
            "test": result["test"],
            "validation": result["validation"],
            "settings": config.recipe.to_dict(),
            "init": config.init.checkpoint if config.init else None,
            **members,
        }
