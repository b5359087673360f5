"""Saliency on networks whose answer is known by hand."""

import pytest
import torch
from torch import Tensor, nn

from mnistctl.engine.inference.attribution import grad_cam, integrated_gradients
from mnistctl.models.registry import build

GENERATOR = torch.Generator().manual_seed(0)


def test_of_a_linear_network_it_is_weight_times_difference() -> None:
    weight = torch.randn(10, 784, generator=GENERATOR)
    image, baseline = torch.rand(2, 1, 1, 28, 28, generator=GENERATOR)

    def network(inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ weight.T

    found = integrated_gradients(network, image, baseline, 3)
    expected = weight[3].view(28, 28) * (image - baseline)[0, 0]
    assert torch.allclose(found.values, expected, atol=1e-5)
    assert found.score == pytest.approx(float(network(image)[0, 3]), rel=1e-5)


def test_of_a_product_it_shares_equally() -> None:
    """f = x * y from (0, 0): both get half of it, though neither's gradient at the start is > 0."""

    def network(inputs: Tensor) -> Tensor:
        return (inputs[:, 0, 0, 0] * inputs[:, 0, 0, 1])[:, None]

    found = integrated_gradients(
        network, torch.tensor([[[[2.0, 3.0]]]]), torch.zeros(1, 1, 1, 2), 0
    )
    assert found.values.flatten().tolist() == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize("name", ["mlp", "cnn-small", "cnn-dropout", "compact-3", "compact-5"])
def test_attributions_add_up_to_the_difference_of_scores(name: str) -> None:
    torch.manual_seed(1)
    network = build(name, 10).eval()
    image = torch.rand(1, 1, 28, 28, generator=GENERATOR)
    found = integrated_gradients(network, image, torch.zeros_like(image), 7)
    assert found.baseline is not None
    assert float(found.values.sum()) == pytest.approx(found.score - found.baseline, abs=3e-3)


class OneChannel(nn.Module):
    """A convolution that passes the image on, times +1 and -1; digit 3 counts the first's light."""

    def __init__(self, for_first: float = 1.0, for_second: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.conv.weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
        self.weights = torch.tensor([for_first, for_second])

    def forward(self, inputs: Tensor) -> Tensor:
        light = torch.relu_(self.conv(inputs)).mean((2, 3)) @ self.weights
        return torch.stack([light * (digit == 3) for digit in range(10)], 1)


def bright_corner() -> Tensor:
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, 20:, 20:] = 1
    return image


def test_grad_cam_lights_the_corner_that_counts() -> None:
    network = OneChannel()
    found = grad_cam(network, network.conv, None, bright_corner(), 3)
    assert torch.equal(found.values > 0, bright_corner()[0, 0] > 0)
    assert float(found.values[24, 24]) == pytest.approx(64 / 784 / 784)
    assert found.score == pytest.approx(64 / 784)


def test_grad_cam_is_dark_for_what_speaks_against_or_not_at_all() -> None:
    against = OneChannel(for_first=-1.0)
    assert grad_cam(against, against.conv, None, bright_corner(), 3).values.max() == 0
    network = OneChannel()
    assert grad_cam(network, network.conv, None, bright_corner(), 8).values.max() == 0


def test_grad_cam_is_dark_where_a_channel_that_speaks_against_is_off() -> None:
    """Ink is +1 and paper -1, and the second channel is active on ink: paper shows nothing."""
    against = OneChannel(for_first=0.0, for_second=-1.0)
    found = grad_cam(against, against.conv, None, 1 - 2 * bright_corner(), 3)
    assert found.score < 0
    assert found.values.max() == 0


def test_grad_cam_sees_batch_normalisation_as_part_of_the_layer() -> None:
    torch.manual_seed(2)
    conv, norm = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
    norm.running_mean = torch.randn(4)
    norm.running_var = torch.rand(4) + 0.5
    norm.weight.data, norm.bias.data = torch.randn(4), torch.randn(4)
    head = nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(196, 10))
    slope = norm.weight / (norm.running_var + norm.eps).sqrt()
    folded = nn.Conv2d(1, 4, 3, padding=1)
    folded.weight.data = conv.weight * slope[:, None, None, None]
    folded.bias.data = norm.bias - norm.running_mean * slope  # type: ignore[union-attr]
    image = torch.rand(1, 1, 28, 28)
    apart = grad_cam(nn.Sequential(conv, norm, *head).eval(), conv, norm, image, 5)
    whole = grad_cam(nn.Sequential(folded, *head).eval(), folded, None, image, 5)
    assert whole.values.max() > 0
    assert torch.allclose(apart.values, whole.values, atol=1e-5)


def test_grad_cam_weighs_what_each_channel_answers() -> None:
    """Two channels, unlike in weight and in where they are active, against the formula."""
    torch.manual_seed(3)
    conv = nn.Conv2d(1, 2, 3, padding=1)
    head = nn.Linear(2, 10)
    network = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    image = torch.rand(1, 1, 28, 28) - 0.3
    with torch.no_grad():
        head.weight[4] = torch.tensor([2.0, -1.0])
        maps = conv(image)
        active = (maps > 0).float().mean((2, 3), keepdim=True) / 784
        weights = head.weight[4].view(1, 2, 1, 1) * active
        expected = (weights * maps.clamp(min=0)).sum(1).clamp(min=0)[0]
    found = grad_cam(network, conv, None, image, 4).values
    assert expected.max() > 0
    assert torch.allclose(found, expected, atol=1e-8)
