"""How fast this CPU computes in each number format, by a short measurement."""

import sys
import time
from collections.abc import Callable

SIDE = 512
IMAGES, CHANNELS, FIELD = 16, 32, 14
"""Of the convolution that is tried: 3x3, forward and backward, as in the recipes' networks."""
OPERATIONS = 2 * SIDE**3 + 3 * 2 * IMAGES * CHANNELS**2 * 9 * FIELD**2
ROUNDS = 6
ENOUGH_SECONDS = 0.1
"""No further round begins after so long, on a machine that is busy; the second always does."""


# A thread's own time leaves out what other programs take; Windows counts it too coarsely.
_clock = time.perf_counter if sys.platform == "win32" else time.thread_time


def cpu_rates() -> dict[str, float]:
    """Floating-point operations a second of one thread, by precision.

    Of a matrix product and a convolution together, the best of a few rounds that take turns; the
    first also sets the kernels up.
    """
    import torch

    tasks = [_product(), _convolution()]
    best = {precision: [float("inf")] * len(tasks) for precision in ("fp32", "bf16")}
    threads, started = torch.get_num_threads(), time.perf_counter()
    torch.set_num_threads(1)  # several wait for each other on a busy machine
    try:
        for number in range(ROUNDS):
            if number > 1 and time.perf_counter() - started > ENOUGH_SECONDS:
                break
            for precision, times in best.items():
                times[:] = map(min, times, [_seconds(task, precision) for task in tasks])
    finally:
        torch.set_num_threads(threads)
    return {precision: OPERATIONS / sum(times) for precision, times in best.items()}


def _seconds(task: Callable[[], None], precision: str) -> float:
    import torch

    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        start = _clock()
        task()
        return _clock() - start


def _product() -> Callable[[], None]:
    import torch

    a, b = torch.ones(SIDE, SIDE), torch.ones(SIDE, SIDE)

    def task() -> None:
        torch.mm(a, b)

    return task


def _convolution() -> Callable[[], None]:
    import torch
    from torch.nn.functional import conv2d

    last = torch.channels_last
    images = torch.ones(IMAGES, CHANNELS, FIELD, FIELD).to(memory_format=last).requires_grad_()
    weights = torch.ones(CHANNELS, CHANNELS, 3, 3).to(memory_format=last).requires_grad_()

    def task() -> None:
        images.grad = weights.grad = None
        # Of a scalar: a gradient given to begin with makes torch import its compiler.
        conv2d(images, weights, padding=1).square().sum().backward()  # type: ignore[no-untyped-call]

    return task
