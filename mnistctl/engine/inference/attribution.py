"""Which pixels a decision rests on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

NUM_STEPS = 256
BATCH = 64


@dataclass(frozen=True)
class Attribution:
    """What each pixel contributes to a digit's score, float32 (height, width).

    `score` is that of the image and `baseline` that of the empty one; integrated gradients add up
    to their difference. Grad-CAM has no such sum, and `baseline` is None.
    """

    values: Tensor
    score: float
    baseline: float | None


def integrated_gradients(
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    baseline: Tensor,
    digit: int,
    num_steps: int = NUM_STEPS,
) -> Attribution:
    """Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", arXiv:1703.01365.

    `image` and `baseline` are inputs of the network, float32 (1, 1, height, width). The gradient
    of the logit of `digit` is averaged over `num_steps` points on the straight way from the one to
    the other (midpoint rule) and multiplied by their difference.
    """
    difference = image - baseline
    places = (torch.arange(num_steps, device=image.device) + 0.5) / num_steps
    total = torch.zeros_like(image)
    for first in range(0, num_steps, BATCH):
        part = places[first : first + BATCH]
        points = (baseline + part.view(-1, 1, 1, 1) * difference).requires_grad_()
        (gradient,) = torch.autograd.grad(network(points)[:, digit].sum(), points)
        total += gradient.sum(0, keepdim=True)
    values = (difference * total / num_steps)[0, 0]
    with torch.no_grad():
        score, empty = network(torch.cat([image, baseline]))[:, digit].tolist()
    return Attribution(values.cpu(), score, empty)


def grad_cam(
    network: nn.Module, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, image: Tensor, digit: int
) -> Attribution:
    """Selvaraju et al., "Grad-CAM", arXiv:1610.02391.

    The feature maps of the convolution `conv` (of the batch normalisation `norm` behind it, in
    evaluation mode), rectified, are added up, each weighted by the mean gradient of the logit of
    `digit` to it; what is left above 0 is enlarged to the size of `image`, float32 (1, 1, height,
    width). The gradient is the one that passes the rectifier: 0 where a map is not active. Without
    rectifying, a channel that is off and is evidence against the digit would light the background.
    """
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        kept.append(output)
        return output.clone()  # an activation function in place would change it

    with conv.register_forward_hook(keep):
        score = network(image.clone().requires_grad_())[0, digit]
    (maps,) = kept
    (gradient,) = torch.autograd.grad(score, maps)
    with torch.no_grad():
        if norm is not None:
            gradient, maps = gradient / _slope(norm), norm(maps)
        weights = gradient.mean((2, 3), keepdim=True)
        # What pooling leaves out, as the last row of an odd map, has no part in the score.
        reached = (gradient != 0).any(1, keepdim=True)
        heat = relu((weights * relu(maps)).sum(1, keepdim=True)) * reached
        size = list(image.shape[2:])
        values = interpolate(heat, size, mode="bilinear", align_corners=False)
    return Attribution(values[0, 0].float().cpu(), float(score.detach()), None)


def _slope(norm: nn.BatchNorm2d) -> Tensor:
    """By what batch normalisation multiplies each channel, (channels, 1, 1), never 0."""
    assert norm.running_var is not None
    slope: Tensor = norm.weight / (norm.running_var + norm.eps).sqrt()
    tiny = slope.abs() < 1e-6
    return slope.masked_fill(tiny, float("inf"))[:, None, None]
