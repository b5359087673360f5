"""Made-up signs: the same by seed, of strokes that meet, none of them a digit."""

import torch

from mnistctl.data import synthetic
from mnistctl.data.signs import ALIKE, POINTS, draw_signs, likeness, write_signs, write_strokes


def test_the_same_by_seed_and_in_the_form_of_digits() -> None:
    first, again, other = draw_signs(300, 1), draw_signs(300, 1), draw_signs(300, 2)
    assert first.shape == (300, 28, 28)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(first.unique(dim=0)) == 300
    assert (first.amax((1, 2)) == 255).all()
    inked = first > 100
    rows, columns = inked.any(2).sum(1), inked.any(1).sum(1)
    assert (torch.maximum(rows, columns) <= 21).all()
    assert min(rows.float().mean(), columns.float().mean()) > 10


def test_a_stroke_is_smooth_but_for_its_corners() -> None:
    strokes = write_strokes(500, torch.Generator().manual_seed(1))
    assert strokes.shape == (500, POINTS, 2)
    assert (strokes[:, 0] == 0).all()
    steps = strokes.diff(dim=1)
    lengths = steps.norm(dim=2)
    assert torch.allclose(lengths, lengths[:, :1].expand_as(lengths), atol=1e-3)
    heading = torch.atan2(steps[..., 1], steps[..., 0])
    turn = torch.remainder(heading.diff(dim=1) + torch.pi, 2 * torch.pi) - torch.pi
    corners = (turn.abs() > 1).sum(1)
    assert corners.max() <= 2
    assert 0.05 < (corners > 0).float().mean() < 0.8


def test_strokes_of_a_sign_often_meet() -> None:
    path, down = write_signs(400, torch.Generator().manual_seed(2))
    strokes = path.view(400, -1, POINTS, 2)
    drawn = torch.nn.functional.pad(down, (0, 1)).view(400, -1, POINTS)
    assert (drawn[:, :, -1] == 0).all()  # the pen is lifted after each
    two = drawn[:, 1, 0] == 1
    apart = torch.cdist(strokes[two, 0], strokes[two, 1]).amin((1, 2))
    size = (path.amax(1) - path.amin(1)).amax(1)[two]
    assert 0.5 < (apart < 0.1 * size).float().mean() < 0.95


def test_what_may_be_a_digit_is_left_out() -> None:
    digits = synthetic.load("test").images[:1000]
    assert likeness(digits[:50], digits).min() > 0.999
    free, kept = draw_signs(500, 3), draw_signs(500, 3, digits)
    assert (likeness(free, digits) >= ALIKE).any()
    assert (likeness(kept, digits) < ALIKE).all()
    assert (likeness(digits[:50], digits[50:]) >= ALIKE).float().mean() > 0.6
