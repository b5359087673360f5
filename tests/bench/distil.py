"""Soft labels for cross-validation: distillation (Hinton et al., arXiv:1503.02531).

A teacher has seen neither the images that it labels nor the fold on which its student is judged:
one training for every two folds, which serves both.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mnistctl.data.images import LabelledImages
from mnistctl.files import replacing
from mnistctl.recipes import Recipe
from tests.bench.figures import claimed
from tests.bench.ours import train_fold


@dataclass(frozen=True)
class Teachers:
    """Trained as their students are; what they answered is kept in `kept`, and not trained again.

    `label` names their recipe and precision.
    """

    recipe: Recipe
    label: str
    device: torch.device
    precision: str
    kept: Path

    def labels_for(
        self, whole: LabelledImages, parts: list[Tensor], judged: int, share: float, seed: int
    ) -> Tensor:
        """Labels of all images, float32 (n, 10), for students judged on the fold `judged`.

        `share` of a label, 0..1, is what the teacher answered, the rest the image's own. `parts`
        are the folds as indexes. Those of the judged fold are the images' own.
        """
        soft = one_hot(whole.labels, 10).float()
        for fold, part in enumerate(parts):
            if fold != judged:
                answers = self._answers(whole, parts, (fold, judged), seed)[fold]
                soft[part] = share * answers.softmax(1) + (1 - share) * soft[part]
        return soft

    def _answers(
        self, whole: LabelledImages, parts: list[Tensor], pair: tuple[int, int], seed: int
    ) -> dict[int, Tensor]:
        """Logits, float32 (n, 10), for two folds, of a network that was trained on the others."""
        low, high = sorted(pair)
        path = self.kept / f"{self.label}, seed {seed}, without folds {low} and {high}.pt"
        while not path.exists():
            with claimed(path) as free:
                if free and not path.exists():
                    both = torch.cat([parts[low], parts[high]])
                    logits, _ = train_fold(
                        self.recipe, whole, both, seed, self.device, self.precision
                    )
                    sizes = [len(parts[low]), len(parts[high])]
                    answers = dict(zip((low, high), logits.split(sizes), strict=True))
                    with replacing(path) as file:
                        torch.save(answers, file)
        loaded: dict[int, Tensor] = torch.load(path)
        return loaded
