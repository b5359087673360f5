"""The four networks of the documents this project replaces, under their layers' own names.

All take float tensors (n, 1, 28, 28) and return logits (n, num_classes). The numbers of parameters
are those for ten classes.
"""

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from mnistctl.models.layers import Dropout
from mnistctl.models.registry import network


@network("mlp")
class MLP(nn.Module):
    """784-128-64-10 with ReLU, 109,386 parameters."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, num_classes)."""
        x = relu(self.fc1(x.flatten(1)))
        logits: Tensor = self.fc3(relu(self.fc2(x)))
        return logits


@network("cnn-small")
class CNNSmall(nn.Module):
    """Two 5x5 convolutions, channel dropout and dropout, 21,840 parameters."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = Dropout(0.5, channelwise=True)
        self.fc1 = nn.Linear(320, 50)
        self.fc1_drop = Dropout(0.5)
        self.fc2 = nn.Linear(50, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, num_classes)."""
        x = relu(max_pool2d(self.conv1(x), 2))
        x = relu(max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = self.fc1_drop(relu(self.fc1(x.flatten(1))))
        logits: Tensor = self.fc2(x)
        return logits


@network("cnn-wide")
class CNNWide(nn.Module):
    """Two padded 3x3 convolutions of 32 and 64 channels, 421,642 parameters."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.fc1 = nn.Linear(3136, 128)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, num_classes)."""
        # The document takes the maximum after ReLU: the same values and gradients for more work.
        x = relu(max_pool2d(self.conv1(x), 2))
        x = relu(max_pool2d(self.conv2(x), 2))
        logits: Tensor = self.fc2(relu(self.fc1(x.flatten(1))))
        return logits


@network("cnn-dropout")
class CNNDropout(nn.Module):
    """Two 3x3 convolutions, one pool, dropout .25 and .5, 1,199,882 parameters."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3)
        self.dropout1 = Dropout(0.25)
        self.fc1 = nn.Linear(9216, 128)
        self.dropout2 = Dropout(0.5)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> logits (n, num_classes)."""
        x = relu(max_pool2d(self.conv2(relu(self.conv1(x))), 2))
        x = self.dropout1(x)
        x = self.dropout2(relu(self.fc1(x.flatten(1))))
        logits: Tensor = self.fc2(x)
        return logits
