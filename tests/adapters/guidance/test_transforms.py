"""Changes of many pictures at once, held against torchvision's of one picture at a time."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as one_by_one

from evalkit_adapters.guidance import transforms
from evalkit_adapters.guidance.augmentations import Augmentation
from evalkit_adapters.seeding import globally_seeded
from tests.support.adapters import furthest
from tests.support.guides import pixels

HEIGHT, WIDTH = 40, 50
CORNERS = [[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]]


@pytest.fixture(scope="module")
def pictures():
    """Two, of which the second is grey in a half."""
    made = torch.cat([pixels(HEIGHT, WIDTH), pixels(HEIGHT, WIDTH, seed=5)])
    made[1, :, :20] = made[1, :1, :20]
    return made


def column(*values):
    """A number for each picture."""
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


@pytest.mark.parametrize(
    ("ours", "theirs", "amounts"),
    [
        ("adjust_brightness", one_by_one.adjust_brightness, (1.1, 0.9)),
        ("adjust_contrast", one_by_one.adjust_contrast, (1.1, 0.9)),
        ("adjust_saturation", one_by_one.adjust_saturation, (0.9, 1.1)),
        ("adjust_hue", one_by_one.adjust_hue, (0.1, -0.08)),
    ],
)
def test_every_tint_is_torchvisions(pictures, ours, theirs, amounts):
    """By an amount of each picture's own, to 1e-6 (theirs keeps factors in float32); and grey stays finite."""
    pictures = pictures.clone().requires_grad_()
    found = getattr(transforms, ours)(pictures, column(*amounts))
    expected = torch.cat([theirs(one[None], amount) for one, amount in zip(pictures, amounts, strict=True)])
    assert furthest(found.detach(), expected.detach()) < 1e-6
    found.square().sum().backward()
    assert pictures.grad.isfinite().all()


def test_grey_is_torchvisions(pictures):
    """In all three channels, to 1e-12."""
    assert furthest(transforms.to_grey(pictures), one_by_one.rgb_to_grayscale(pictures, 3)) < 1e-12


def inside(pictures, edge):
    """Without what may have been taken from beyond the edge, which torchvision darkens by half a pixel."""
    return pictures[..., edge:-edge, edge:-edge]


def test_turns_are_torchvisions(pictures):
    """Clockwise, about the middle, then shifted, to 1e-9; white comes in from outside."""
    angles, shifts = torch.tensor([11.0, -7.0]).double(), torch.tensor([[3.0, -2.0], [0.0, 4.0]]).double()
    found = transforms.warp(pictures, transforms.rotations(angles, shifts, (HEIGHT, WIDTH)))
    bilinear = {"scale": 1.0, "shear": [0.0, 0.0], "interpolation": InterpolationMode.BILINEAR, "fill": 1}
    expected = torch.cat(
        [
            one_by_one.affine(one[None], angle=float(angle), translate=shift.int().tolist(), **bilinear)
            for one, angle, shift in zip(pictures, angles, shifts, strict=True)
        ]
    )
    assert furthest(inside(found, 12), inside(expected, 12)) < 1e-9
    far = transforms.warp(pictures, transforms.rotations(angles * 0, shifts * 100, (HEIGHT, WIDTH)))
    assert torch.equal(far, torch.ones_like(far))


def test_perspectives_are_torchvisions(pictures):
    """Four corners to four others, to 1e-5 (theirs solves in float32); corners that stay change nothing."""
    moved = [[4, 3], [45, 1], [47, 36], [2, 33]]
    start, end = (2 * torch.tensor(points).double() / torch.tensor([WIDTH, HEIGHT]) - 1 for points in (CORNERS, moved))
    found = transforms.warp(pictures, transforms.perspectives(torch.stack([end, start]), torch.stack([start, start])))
    expected = one_by_one.perspective(pictures[:1], CORNERS, moved, interpolation=InterpolationMode.BILINEAR, fill=1)
    assert furthest(inside(found[:1], 8), inside(expected, 8)) < 1e-5
    assert furthest(found[1:], pictures[1:]) < 1e-9


def test_every_change_happens_as_often_as_published():
    """Mirrored in half of the views, grey in 15 of 100, tinted in 70, and none of all in as many as follows."""
    flat = torch.tensor([0.8, 0.5, 0.2]).view(1, 3, 1, 1).expand(2000, 3, 9, 9)
    lit = torch.linspace(0.2, 0.6, 9).expand(2000, 3, 9, 9)
    with globally_seeded(0):
        found, sides = Augmentation().augment(flat), Augmentation().augment(lit)
    middle = found[:, :, 4, 4]
    is_grey = middle.std(dim=1) < 1e-6
    is_tinted = (middle - flat[:, :, 4, 4]).abs().amax(dim=1) > 1e-5
    untouched = (found - flat).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert abs(is_grey.float().mean() - 0.15) < 0.03
    assert abs(is_tinted[~is_grey].float().mean() - 0.7) < 0.04
    assert abs(untouched.float().mean() - 0.85 * 0.2 * 0.5 * 0.3) < 0.012
    assert abs((sides[:, 0, 4, 3] > sides[:, 0, 4, 5]).float().mean() - 0.5) < 0.04
