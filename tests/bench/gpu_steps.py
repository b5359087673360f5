"""On a GPU: exchanges between processes, and training steps of which none waits for the card."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from mnistctl.data.images import LabelledImages
from mnistctl.distributed import (
    Ranks,
    from_first,
    gather_over_ranks,
    share_weights,
    sum_gradients,
    total_over_ranks,
    wait_for_all,
)
from mnistctl.engine.training.loop import FitData, Hooks, _Loop
from mnistctl.engine.training.signals import StopRequest
from mnistctl.engine.training.state import new_state
from mnistctl.events import Reporter
from mnistctl.recipes import RECIPES, Recipe
from tests.bench.ours import bench_config

FEW = 6_000
"""Images where drawing outliers for all would take most of the time."""
Step = tuple[str, Callable[[], dict[str, Any]]]
"""A name, and what measures its figures."""


def alone_in_a_group(device: torch.device) -> dict[str, Any]:
    """Every exchange of several processes, by NCCL on a card, in a group of one process."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(
        backend,
        store=dist.HashStore(),
        rank=0,
        world_size=1,
        device_id=device if backend == "nccl" else None,
    )
    try:
        value = torch.ones(3, device=device)
        model = nn.Linear(3, 2).to(device)
        model(value).sum().backward()
        sum_gradients(model.parameters())
        share_weights(model)
        wait_for_all()
        exact = bool((total_over_ranks(value) == 1).all()) and from_first("x") == "x"
        gathered = gather_over_ranks(value.sum(), Ranks()).tolist()
    finally:
        dist.destroy_process_group()
    print(f"{backend} in a group of one: {gathered}", flush=True)
    return {"backend": backend, "wrong": not exact or gathered != [3.0]}


def without_waiting(train: LabelledImages, device: torch.device) -> Iterator[Step]:
    """Steps of each recipe and precision, of which none may wait for the card."""
    few = LabelledImages(train.images[:FEW], train.labels[:FEW])
    for name, precision in ((name, kind) for name in RECIPES for kind in ("fp32", "bf16")):
        yield (
            f"steps {name} {precision}",
            partial(steps_without_waiting, RECIPES[name], few, device, precision),
        )


def steps_without_waiting(
    recipe: Recipe, train: LabelledImages, device: torch.device, precision: str
) -> dict[str, Any]:
    """Three steps after a first one; raises RuntimeError where one waits for the card."""
    config = bench_config(replace(recipe, batch_size=64), device, precision)
    state = new_state(config, device)
    hooks = Hooks(Reporter(), lambda record: None, lambda: None, StopRequest())
    loop = _Loop(state, config, FitData(train, None, None), Ranks(), hooks)
    loop.draw_outliers()
    batches = loop.feed.order(1)
    state.model.train()
    loop.train_step(batches[0])  # which draws the epoch
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        for state.step in (1, 2, 3):
            loop.train_step(batches[state.step])
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    loss = state.loss_sum.item()
    return {"loss_sum": loss, "wrong": not loss < float("inf")}
