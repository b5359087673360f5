"""The loop that most MNIST scripts use, to compare with: torchvision, DataLoader, float32.

Written for the benchmark after the common tutorials: a PIL image for each digit, `ToTensor`,
`Normalize`, a `DataLoader`, the loss read back for the progress line every 20 steps.
"""

import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout, log_softmax, max_pool2d, nll_loss, relu
from torch.utils.data import DataLoader, Dataset, Subset

from mnistctl.device import synchronize
from mnistctl.errors import MnistctlError
from mnistctl.models.registry import build
from mnistctl.recipes import Recipe
from tests.bench.figures import CPU, clock


def torchvision_mnist(data_dir: Path, train: bool, mean: float, std: float) -> Dataset:
    """torchvision's MNIST with its usual transforms.

    Raises MnistctlError when torchvision doesn't match the installed torch.
    """
    try:
        from torchvision import datasets, transforms
    except (ImportError, RuntimeError) as error:
        raise MnistctlError(
            f"torch {torch.__version__} and torchvision don't fit together: {error}",
            "reinstall the pair: pip install --force-reinstall torch torchvision",
        ) from error
    steps = [transforms.ToTensor(), transforms.Normalize((mean,), (std,))]
    return datasets.MNIST(data_dir, train=train, transform=transforms.Compose(steps))


def plain_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser as a script would make it."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), recipe.learning_rate, recipe.momentum)
    return torch.optim.Adam(model.parameters(), recipe.learning_rate)


def plain_training_rate(
    recipe: Recipe, data_dir: Path, num_images: int, device: torch.device = CPU
) -> float:
    """Images a second over `num_images` training images, by the plain loop on `device`."""
    data = torchvision_mnist(data_dir, True, recipe.pixel_mean, recipe.pixel_std)
    loader = DataLoader(Subset(data, range(num_images)), recipe.batch_size, shuffle=True)
    model = build(recipe.network, 10).to(device)
    optimizer = plain_optimizer(recipe, model)
    model.train()
    start = clock(device)
    for step, (images, labels) in enumerate(loader):
        optimizer.zero_grad()
        loss = cross_entropy(model(images.to(device)), labels.to(device))
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            loss.item()
    synchronize(device)
    return num_images / (clock(device) - start)


@torch.no_grad()
def plain_evaluation_rate(recipe: Recipe, data_dir: Path, num_images: int) -> float:
    """Images a second over `num_images` test images, in batches of 1,000 as in pytorch/examples."""
    data = torchvision_mnist(data_dir, False, recipe.pixel_mean, recipe.pixel_std)
    model = build(recipe.network, 10).eval()
    correct, start = 0, clock()
    for images, labels in DataLoader(Subset(data, range(num_images)), batch_size=1000):
        correct += int((model(images).argmax(1) == labels).sum())
    return num_images / (clock() - start)


class ExamplesNet(nn.Module):
    """The network of pytorch/examples `mnist`, after its description: 1,199,882 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 1, 28, 28) -> log-probabilities (n, 10)."""
        x = max_pool2d(relu(self.conv2(relu(self.conv1(x)))), 2)
        x = dropout(x, 0.25, self.training).flatten(1)
        x = dropout(relu(self.fc1(x)), 0.5, self.training)
        return log_softmax(self.fc2(x), 1)


def examples_seconds_to(accuracy: float, data_dir: Path, seed: int) -> tuple[float, int]:
    """Seconds of training (evaluation left out) and epochs until the test accuracy is reached.

    pytorch/examples' recipe: Adadelta 1.0, gamma 0.7 an epoch, batch 64, 14 epochs at most.
    Raises MnistctlError when 14 epochs don't reach it.
    """
    torch.manual_seed(seed)
    train = torchvision_mnist(data_dir, True, 0.1307, 0.3081)
    test = torchvision_mnist(data_dir, False, 0.1307, 0.3081)
    model = ExamplesNet()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    seconds = 0.0
    for epoch in range(1, 15):
        model.train()
        start = time.perf_counter()
        for images, labels in DataLoader(train, 64, shuffle=True):
            optimizer.zero_grad()
            nll_loss(model(images), labels).backward()
            optimizer.step()
        schedule.step()
        seconds += time.perf_counter() - start
        model.eval()
        with torch.no_grad():
            loader = DataLoader(test, batch_size=1000)
            right = sum(int((model(x).argmax(1) == y).sum()) for x, y in loader)
        if right >= accuracy * 10_000:
            return seconds, epoch
    raise MnistctlError(f"pytorch/examples' recipe did not reach {accuracy}")
