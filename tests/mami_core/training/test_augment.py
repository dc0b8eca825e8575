from __future__ import annotations

import torch

from mami_core.training.augment import views
from mami_core.training.draws import Draws


def test_views_have_the_asked_size_and_stay_pictures() -> None:
    found = views(torch.rand(6, 3, 72, 72), 64, Draws(0, 0))
    assert found.shape == (6, 3, 64, 64)
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    assert torch.isfinite(found).all()


def test_a_step_draws_the_same_views_again_and_another_step_others() -> None:
    images = torch.rand(2, 3, 72, 72)
    first, again, other = (views(images, 64, Draws(3, step)) for step in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_two_pictures_that_are_equal_get_different_views() -> None:
    image = torch.rand(1, 3, 72, 72)
    first, second = views(image.repeat(2, 1, 1, 1), 64, Draws(0, 0))
    assert (first - second).abs().mean() > 0.01


def test_the_given_pictures_are_not_changed() -> None:
    images = torch.rand(2, 3, 72, 72)
    before = images.clone()
    views(images, 64, Draws(1, 1))
    assert torch.equal(images, before)


def test_the_smallest_pictures_that_can_be_asked_for_get_views() -> None:
    for step in range(20):
        assert views(torch.rand(6, 3, 37, 37), 32, Draws(0, step)).shape == (6, 3, 32, 32)
