"""The effective configuration of a run: with the data set, all that reproduces it."""

from dataclasses import asdict, dataclass
from typing import Any

from mnistctl.recipes import Recipe


@dataclass(frozen=True)
class RunConfig:
    """What a run computes (recipe to precision), what it reports, and where it came from."""

    recipe: Recipe
    dataset: str
    dataset_sha256: str
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return asdict(self) | {"recipe": self.recipe.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "RunConfig":
        """Rebuild from `to_dict`. Raises TypeError, KeyError or ValueError on another shape."""
        return cls(**{**data, "recipe": Recipe.from_dict(data["recipe"])})
