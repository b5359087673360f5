"""The one way to ask a network: its preprocessing, precision, shifts, members and temperature."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from mnistctl.data.sampling import shard_of
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.scores import Scores, score
from mnistctl.errors import CheckpointError
from mnistctl.events import Reporter
from mnistctl.models.ensemble import Ensemble
from mnistctl.models.layers import mean_of_answers
from mnistctl.recipes import Recipe

BATCH_SIZE = {"cpu": 500}
"""Images at a time; a CPU is fastest while activations stay in its caches."""
GPU_BATCH_SIZE = 2_000
"""Enough to keep a GPU busy: 0.9 GB for `cnn-dropout` in fp32."""
SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
"""Down and right, pixels; what leaves at one edge, black in MNIST's form, comes in at the other."""


class Predictor:
    """A network with all that its answers depend on.

    `network` maps float32 (n, 1, 28, 28) to logits (n, len(classes)) and is on `device`. `name` is
    what figures and errors call it.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        classes: Sequence[str],
        device: torch.device,
        precision: str,
        name: str = "the network",
    ) -> None:
        self._network, self.recipe, self.classes = network, recipe, tuple(classes)
        self.device, self.precision, self.name = device, precision, name

    @property
    def network(self) -> nn.Module:
        """What computes the logits, for those who look inside."""
        return self._network

    @property
    def members(self) -> list[nn.Module]:
        """The networks that answer together; one where it is no ensemble."""
        own = self.network
        return list(own.members) if isinstance(own, Ensemble) else [own]

    @property
    def num_members(self) -> int:
        """How many networks answer together."""
        return len(self.members)

    def inputs(self, pixels: Tensor) -> Tensor:
        """What the network sees of uint8 (n, 28, 28): float32 (n, 1, 28, 28) on its device."""
        return scale_pixels(pixels.to(self.device).unsqueeze(1).float(), self.recipe)

    def logits(self, pixels: Tensor, reporter: Reporter | None = None) -> Tensor:
        """Logits, float32 (n, classes) on the CPU, of uint8 images (n, 28, 28).

        Of an ensemble, and where the recipe averages over shifts, they are those of the mean
        probabilities. The network is set to evaluation mode.
        Raises CheckpointError where they are not finite.
        """
        self.network.eval()
        return self._in_batches(self.answers, pixels, reporter)

    @torch.inference_mode()
    def _in_batches(
        self, answers: Callable[[Tensor], Tensor], pixels: Tensor, reporter: Reporter | None
    ) -> Tensor:
        reporter = reporter or Reporter()
        size = BATCH_SIZE.get(self.device.type, GPU_BATCH_SIZE)
        reporter.begin("evaluating", len(pixels), "images")
        parts = [torch.empty(0, len(self.classes))]
        try:
            for first in range(0, len(pixels), size):
                batch = pixels[first : first + size]
                parts.append(answers(batch).cpu())
                reporter.advance(first + len(batch))
        finally:
            reporter.end()
        found = torch.cat(parts)
        if not bool((found / self.recipe.temperature).isfinite().all()):
            raise CheckpointError(f"{self.name}: its logits are not finite", "training diverged")
        return found

    def answers(self, pixels: Tensor) -> Tensor:
        """Logits, float32 (n, classes) on the network's device, of one batch, as `logits`."""
        inputs = self.inputs(pixels)
        with autocast(self.device, self.precision):
            found = [self.network(view).float() for view in self._views(inputs)]
        return found[0] if len(found) == 1 else mean_of_answers(found, self.recipe.rejects)

    def _views(self, inputs: Tensor) -> Iterator[Tensor]:
        """What the answers to `inputs` are the mean of."""
        for shift in SHIFTS if self.recipe.tta_shifts else SHIFTS[:1]:
            shifted = inputs.roll(shift, (2, 3)) if any(shift) else inputs
            yield shifted
            if self.recipe.tta_flip:
                yield shifted.flip(3)

    def probabilities(self, pixels: Tensor, reporter: Reporter | None = None) -> Tensor:
        """Calibrated probabilities, float32 (n, classes), of uint8 images (n, 28, 28)."""
        return self.calibrated(self.logits(pixels, reporter))

    def calibrated(self, logits: Tensor) -> Tensor:
        """Probabilities (n, classes) of logits: softmax after the recipe's temperature."""
        return (logits / self.recipe.temperature).softmax(1)

    def outlier_probabilities(self, logits: Tensor) -> Tensor | None:
        """How likely logits (n, classes) are those of an outlier, (n,), 0..1.

        None where the network has not been trained to tell.
        """
        return torch.sigmoid(-logits.logsumexp(1)) if self.recipe.rejects else None

    def scores(
        self,
        images: Tensor,
        labels: Tensor,
        ranks: Ranks | None = None,
        reporter: Reporter | None = None,
    ) -> Scores:
        """Scores over uint8 images (n, 28, 28) and int64 labels (n,).

        With several processes each takes a shard, and every image is counted once.
        """
        ranks = ranks or Ranks()
        first, end = shard_of(len(images), ranks.rank, ranks.world_size)
        logits = self.logits(images[first:end], reporter)
        own = labels[first:end].cpu()
        return score(logits, own, self.recipe.temperature, len(images), self.device, ranks)


def scale_pixels(pixels: Tensor, recipe: Recipe) -> Tensor:
    """Float pixels 0..255 of any shape, scaled in place as the recipe's network expects."""
    return pixels.sub_(255.0 * recipe.pixel_mean).mul_(1.0 / (255.0 * recipe.pixel_std))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bfloat16 in matrix products and convolutions when `precision` is bf16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
