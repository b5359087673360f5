"""Several networks that answer as one."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mnistctl.models.layers import mean_of_answers


class Ensemble(nn.Module):
    """The mean of the members' probabilities (Lakshminarayanan et al., arXiv:1612.01474).

    `rejects` tells whether the members have a class of outliers, see `mean_of_answers`.
    """

    def __init__(self, members: Sequence[nn.Module], rejects: bool = False) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.rejects = rejects

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, classes) of the mean probabilities."""
        return mean_of_answers([member(x).float() for member in self.members], self.rejects)


def join_members(members: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The ensemble's state dict, from those of its members."""
    return {
        f"members.{index}.{name}": tensor
        for index, state in enumerate(members)
        for name, tensor in state.items()
    }


def split_members(state: Mapping[str, Tensor], num_members: int) -> list[dict[str, Tensor]]:
    """The members' state dicts, from that of the ensemble. What belongs to none is in the first."""
    parts: list[dict[str, Tensor]] = [{} for _ in range(num_members)]
    for key, tensor in state.items():
        start, _, rest = key.partition(".")
        index, _, name = rest.partition(".")
        known = start == "members" and index.isdecimal() and int(index) < num_members
        parts[int(index) if known else 0][name if known else key] = tensor
    return parts
