"""What a view asks: a network, where it computes, and the split of a data set it is shown."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mnistctl.data.names import DEFAULT_DATASET, check_dataset
from mnistctl.data.registry import Split, load_split
from mnistctl.device import torch_device
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.predictor import compute_logits
from mnistctl.errors import CheckpointError
from mnistctl.events import Reporter
from mnistctl.hardware import choose_hardware
from mnistctl.models.ensemble import Ensemble


@dataclass(frozen=True)
class Hardware:
    """Where networks compute."""

    device: torch.device
    precision: str


@dataclass(frozen=True)
class Subject:
    """A network with its recipe, and what it is to be shown."""

    loaded: LoadedModel
    hardware: Hardware
    dataset: str
    split: str
    data_dir: Path
    reporter: Reporter

    @property
    def name(self) -> str:
        """How to name the network in a picture."""
        return self.loaded.name

    def document(self) -> dict[str, str]:
        """What every JSON document on this subject says of it."""
        return {
            "checkpoint": str(self.loaded.path),
            "recipe": self.loaded.recipe.name,
            "dataset": self.dataset,
            "split": self.split,
        }

    def load_data(self) -> Split:
        """The split itself. Raises DataError."""
        return load_split(self.dataset, self.split, self.data_dir, self.reporter)

    def logits(self, images: Tensor) -> Tensor:
        """Float32 (n, 10) on the CPU, of uint8 images (n, 28, 28)."""
        own, where = self.loaded, self.hardware
        logits = compute_logits(
            own.model, images, own.recipe, where.device, where.precision, self.reporter
        )
        if not bool(logits.isfinite().all()):
            raise CheckpointError(
                f"{own.path}: the network's answers are no numbers", "its training diverged"
            )
        return logits

    def confidences(self, logits: Tensor) -> Tensor:
        """Probabilities as people are shown them, (n, 10): after the recipe's temperature."""
        return (logits / self.loaded.recipe.temperature).softmax(1)

    def network(self) -> nn.Module:
        """One network whose layers can be looked at: of an ensemble the first member."""
        model = self.loaded.model
        if not isinstance(model, Ensemble):
            return model
        self.reporter.say(f"Looking into the first of the {self.loaded.num_members} members")
        return model.members[0]


def find_hardware(device: str | None, precision: str | None, reporter: Reporter) -> Hardware:
    """What `--device` and `--precision` mean here, said. Raises UsageError or DeviceError."""
    chosen, number_format = choose_hardware(device, precision, Ranks(), reporter)
    return Hardware(torch_device(chosen), number_format)


def load_subject(
    checkpoint: str | None,
    hardware: Hardware,
    *,
    store: Path,
    data_dir: Path,
    dataset: str | None,
    split: str,
    reporter: Reporter,
) -> Subject:
    """The network that `checkpoint` names; its data set is `dataset`, or the one it learned from.

    Raises UsageError or CheckpointError; data are loaded when they are asked for.
    """
    if dataset is not None:
        check_dataset(dataset)
    loaded = load_model(checkpoint, store, hardware.device, reporter)
    reporter.say(f"Asking {loaded.label}")
    name = dataset or loaded.dataset or DEFAULT_DATASET
    return Subject(loaded, hardware, name, split, data_dir, reporter)
