from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mami_core.models.remover import Remover, RemoverConfig


@pytest.fixture(scope="module")
def remover() -> Remover:
    torch.manual_seed(0)
    model = Remover(RemoverConfig(image=64)).eval()
    torch.nn.init.normal_(model.unet.segmentation_head[0].weight, std=1.0)
    return model


def _grey(count: int) -> torch.Tensor:
    return torch.rand(count, 1, 64, 64).repeat(1, 3, 1, 1)


def test_strength_zero_leaves_every_pixel_as_it_is(remover: Remover) -> None:
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(remover(images, torch.randn(2, 16), torch.zeros(2)), images)


def test_a_grey_picture_stays_grey_and_is_changed(remover: Remover) -> None:
    images = _grey(2)
    edited = remover(images, torch.randn(2, 16), torch.ones(2))
    assert torch.equal(edited[:, 0], edited[:, 1])
    assert torch.equal(edited[:, 0], edited[:, 2])
    assert (edited - images).abs().mean() > 1e-4


def test_the_output_stays_within_the_range_of_pictures(remover: Remover) -> None:
    edited = remover(torch.rand(2, 3, 64, 64), torch.randn(2, 16), torch.ones(2))
    assert edited.min() >= 0.0
    assert edited.max() <= 1.0


def test_another_code_gives_another_picture(remover: Remover) -> None:
    images = _grey(1)
    first, second = (remover.residual(images, torch.full((1, 16), v)) for v in (1.0, -1.0))
    assert not torch.allclose(first, second, atol=1e-5)


def test_the_residual_grows_linearly_with_strength_away_from_the_limits(remover: Remover) -> None:
    images, code = 0.4 + 0.2 * _grey(1), torch.randn(1, 16)
    half = remover(images, code, torch.tensor([0.25])) - images
    full = remover(images, code, torch.tensor([0.5])) - images
    assert torch.allclose(2 * half, full, atol=1e-5)


def test_the_residual_survives_being_resized(remover: Remover) -> None:
    residual = remover.residual(_grey(1), torch.randn(1, 16))
    small = functional.interpolate(residual, scale_factor=0.5, mode="area")
    back = functional.interpolate(small, scale_factor=2.0, mode="bicubic")
    assert (back - residual).abs().mean() < 0.2 * residual.abs().mean()
