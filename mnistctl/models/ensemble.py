"""Several networks that answer as one."""

from collections.abc import Sequence

from torch import Tensor, nn

from mnistctl.models.layers import mean_of_answers


class Ensemble(nn.Module):
    """The mean of the members' probabilities (Lakshminarayanan et al., arXiv:1612.01474)."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> the logarithm of the mean probabilities (n, 10), usable as logits."""
        return mean_of_answers([member(x).float().log_softmax(1) for member in self.members])


def member_name(index: int, name: str) -> str:
    """How an ensemble's state dict calls the tensor `name` of member `index`, from 0."""
    return f"members.{index}.{name}"
