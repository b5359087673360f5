"""Our optimiser takes the very steps of torch.optim's fused one."""

from dataclasses import replace

import pytest
import torch

from mnistctl.engine.training.optim import Optimizer
from mnistctl.models.registry import build
from mnistctl.recipes import RECIPES


@pytest.mark.parametrize("name", ["mlp", "cnn-small", "standard"])
def test_steps_are_those_of_torch(name: str) -> None:
    recipe = replace(RECIPES[name], weight_decay=0.1)
    torch.manual_seed(0)
    ours, theirs = build(recipe.network, 10), build(recipe.network, 10)
    theirs.load_state_dict(ours.state_dict())
    parameters = list(theirs.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    reference: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        reference = torch.optim.SGD(groups, lr=0.1, momentum=recipe.momentum, fused=True)
    else:
        reference = torch.optim.AdamW(groups, lr=0.1, betas=recipe.betas, fused=True)
    optimizer = Optimizer(recipe, ours.parameters())
    for _ in range(4):
        for mine, other in zip(ours.parameters(), parameters, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        optimizer.step(0.1)
        reference.step()
        assert all(p.grad is None for p in ours.parameters())
    for mine, other in zip(ours.parameters(), parameters, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("name", ["mlp", "cnn-small"])
def test_a_parameter_that_the_loss_does_not_depend_on_stays(name: str) -> None:
    model = build("mlp", 10)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = Optimizer(RECIPES[name], model.parameters())
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.ones_like(parameter) if number else None
    optimizer.step(0.1)
    same = [torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True)]
    assert same == [True] + [False] * (len(same) - 1)


def test_state_of_another_optimiser_is_refused() -> None:
    adam = Optimizer(RECIPES["cnn-small"], build("cnn-small", 10).parameters())
    sgd = Optimizer(RECIPES["mlp"], build("mlp", 10).parameters())
    with pytest.raises(ValueError, match="of another kind"):
        adam.load_state_dict(sgd.state_dict())
    wide = Optimizer(RECIPES["cnn-wide"], build("cnn-wide", 10).parameters())
    with pytest.raises(ValueError, match="another shape|argument"):
        adam.load_state_dict(wide.state_dict())
