"""Other looks of one picture: pose, exposure, noise, erased parts, collimation.

Sessions leave marks (tone, borders, collimation) that would pass for identity: they are drawn anew.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mami_core.training.draws import Draws


def views(images: Tensor, size: int, draws: Draws) -> Tensor:
    """``(B, 3, S, S)`` in 0..1 to augmented ``(B, 3, size, size)`` in 0..1, on the CPU."""
    x = _pose(images, size, draws)
    x = _tone(x, draws)
    for picture in x:
        _hide(picture, draws)
    return x


def _pose(images: Tensor, size: int, draws: Draws) -> Tensor:
    """Rotation, scale, aspect, shift."""
    count = len(images)
    angle, scale = 0.5 * draws.centred(count), 1.0 + 0.35 * draws.centred(count)
    aspect, shift = 1.0 + 0.16 * draws.centred(count), 0.24 * draws.centred(count, 2)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = torch.cos(angle) * scale * aspect
    theta[:, 0, 1] = -torch.sin(angle) * scale
    theta[:, 1, 0] = torch.sin(angle) * scale
    theta[:, 1, 1] = torch.cos(angle) * scale / aspect
    theta[:, :, 2] = shift
    grid = functional.affine_grid(theta, [count, 3, size, size], align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False, padding_mode="zeros")


def _tone(x: Tensor, draws: Draws) -> Tensor:
    """Gamma, contrast, brightness, noise."""
    count = len(x)
    one = (count, 1, 1, 1)
    x = x.clamp(1e-4, 1.0) ** torch.exp(draws.centred(*one))
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * torch.exp(0.6 * draws.centred(*one)) + mean + 0.3 * draws.centred(*one)
    noisy = (draws.uniform(*one) < 0.5) * 0.03 * draws.uniform(*one)
    return (x + noisy * draws.normal(*x.shape)).clamp(0.0, 1.0)


def _hide(picture: Tensor, draws: Draws) -> None:
    """Erase a rectangle, cover a border; in place."""
    size, choice = picture.shape[-1], draws.choice
    _erase(picture, draws)
    if choice.random() < 0.3:
        depth, edge = int(choice.integers(4, max(5, size // 8))), int(choice.integers(4))
        side = picture if edge < 2 else picture.transpose(1, 2)
        (side[:, :depth] if edge % 2 else side[:, -depth:]).zero_()


def _erase(picture: Tensor, draws: Draws) -> None:
    """One rectangle of one grey, in every second picture; in place."""
    size, choice = picture.shape[-1], draws.choice
    if choice.random() < 0.5:
        height, width = choice.integers(size // 11, size // 3, 2)
        top, left = choice.integers(0, size - height), choice.integers(0, size - width)
        picture[:, top : top + height, left : left + width] = float(choice.random())


def paper_views(images: Tensor, size: int, draws: Draws) -> Tensor:
    """As `views`, by the paper (section 4.1): flips on both axes, a random crop, random erasing."""
    found = []
    for picture in images:
        axes = [axis for axis in (1, 2) if draws.choice.random() < 0.5]
        top, left = draws.choice.integers(0, picture.shape[1] - size + 1, 2)
        found.append(picture[:, top : top + size, left : left + size].flip(axes))
        _erase(found[-1], draws)
    return torch.stack(found)


#: How pictures are varied, by the name that a `Recipe` gives it.
VIEWS = {"strong": views, "paper": paper_views}
