"""Fast recipes of others, written anew from their descriptions, to time beside ours on one card."""

import time

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d, relu

from mnistctl.data.images import LabelledImages
from mnistctl.device import synchronize

MEAN, STD = 0.1307, 0.3081
BATCH = 256


class FastNet(nn.Module):
    """The network of tuomaso/train_mnist_fast: two convolutions, a hidden layer of 256."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 24, 5), nn.Conv2d(24, 32, 3)
        self.fc1, self.fc2 = nn.Linear(800, 256), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, 10)."""
        for convolution in (self.conv1, self.conv2):
            x = relu(max_pool2d(convolution(x), 2))
        logits: Tensor = self.fc2(relu(self.fc1(x.flatten(1))))
        return logits


def fast_inputs(images: Tensor) -> Tensor:
    """Images, uint8 (n, 28, 28), as that recipe keeps them in memory: float32 (n, 1, 28, 28)."""
    return (images.unsqueeze(1).float() / 255 - MEAN) / STD


def train_fast(inputs: Tensor, labels: Tensor, seed: int) -> tuple[FastNet, float]:
    """An epoch of tuomaso/train_mnist_fast (99.04 % in 0.76 s, GTX 1660 Ti): network, seconds.

    Adam, 0.01 at its peak, betas (0.7, 0.9), one-cycle by torch, batches of 256 in the order
    given, which that recipe shuffles once, when it stores the data.
    """
    torch.manual_seed(seed)
    synchronize(inputs.device)
    start = time.perf_counter()
    model = FastNet().to(inputs.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.7, 0.9))
    steps = -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.01, total_steps=steps, cycle_momentum=False
    )
    for pictures, classes in zip(inputs.split(BATCH), labels.split(BATCH), strict=True):
        optimizer.zero_grad()
        cross_entropy(model(pictures), classes).backward()
        optimizer.step()
        schedule.step()
    synchronize(inputs.device)
    return model, time.perf_counter() - start


@torch.no_grad()
def num_correct(model: nn.Module, inputs: Tensor, data: LabelledImages) -> int:
    """How many of `data`, which `inputs` show, the network gets right."""
    answers = torch.cat([model(own).argmax(1) for own in inputs.split(2_000)])
    return int((answers == data.labels.to(answers.device)).sum())
