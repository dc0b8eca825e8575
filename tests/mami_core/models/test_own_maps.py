from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mami_core.models.encoder import Config, MaMI
from mami_core.models.own_maps import OwnMaps

PLAIN = Config(image=64, width=32, depth=1, heads=2, hidden=64, groups=16, rank=2, features=24)
#: The modalities of two sets of X-rays and one of CT, which has a map of its own.
SETS = ("ct", "xray", "xray")


@pytest.fixture(scope="module")
def encoders() -> tuple[MaMI, MaMI]:
    """The same network without and with a map for CT."""
    torch.manual_seed(0)
    plain = MaMI(PLAIN).eval()
    model = MaMI(replace(PLAIN, own=("ct",), sets=SETS)).eval()
    model.load_state_dict(plain.state_dict(), strict=False)
    own = _own(model)
    for one in (own.weight, own.bias):
        one.copy_(torch.randn(one.shape))
    return plain, model


def _own(model: MaMI) -> OwnMaps:
    assert model.own is not None
    return model.own


def _near(model: MaMI, pooled: torch.Tensor, places: tuple[int, ...]) -> None:
    """Let the pictures be of the sets at these places."""
    own = _own(model)
    own.centres.fill_(1e3)
    for row, place in zip(pooled, places, strict=True):
        own.centres[place] = row


def test_only_pictures_near_a_set_of_the_modality_get_its_map(
    encoders: tuple[MaMI, MaMI],
) -> None:
    plain, model = encoders
    images = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        before = plain(images)
        _near(model, before.pooled, (1, 0, 2))
        after = model(images)
        assert _own(model).which(before.pooled).tolist() == [-1, 0, -1]
    for row in (0, 2):
        assert torch.equal(before.identity[row], after.identity[row])
        assert torch.equal(before.tokens[row], after.tokens[row])
    assert (before.identity[1] - after.identity[1]).abs().max() > 0.1


def test_the_identity_stays_the_mean_of_the_tokens_and_a_map_of_means(
    encoders: tuple[MaMI, MaMI],
) -> None:
    _, model = encoders
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        _near(model, model(images).pooled, (0, 1))
        seen = model(images)
        told = model.last(seen.read, seen.pooled)
        own = _own(model)
        expected = model.head(seen.read[0]) + own.weight[0] @ seen.read[0] + own.bias[0]
    assert torch.allclose(seen.identity, seen.tokens.mean(dim=1), atol=1e-4)
    assert torch.allclose(seen.identity, told, atol=1e-4)
    assert torch.allclose(seen.identity[0], expected, atol=1e-4)


def test_what_is_far_from_all_sets_gets_no_map(encoders: tuple[MaMI, MaMI]) -> None:
    own = _own(encoders[1])
    width = own.centres.shape[1]
    own.centres.fill_(0.0)
    own.centres[1:] = 9.0
    pooled = torch.stack([torch.full((width,), value) for value in (1.2, 1.4, 9.0)])
    assert own.which(pooled).tolist() == [0, -1, -1]
    own.spread.fill_(2.0)
    assert own.which(pooled).tolist() == [0, 0, -1]
    own.spread.fill_(1.0)


def test_a_picture_learns_through_its_own_map(encoders: tuple[MaMI, MaMI]) -> None:
    _, model = encoders
    images = torch.rand(2, 3, 64, 64, requires_grad=True)
    with torch.no_grad():
        _near(model, model(images).pooled, (0, 1))
    model(images).identity.square().sum().backward()
    assert images.grad is not None
    assert all(one.any() for one in images.grad)


def test_nothing_is_added_before_a_map_is_fitted_or_where_no_set_is_known() -> None:
    torch.manual_seed(0)
    model = MaMI(replace(PLAIN, own=("ct",), sets=SETS)).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        seen = model(images)
        assert torch.equal(seen.tokens.mean(dim=1), model.head(_grid(model, images)).mean(dim=1))
    assert MaMI(replace(PLAIN, own=("ct",))).own is None


def _grid(model: MaMI, images: torch.Tensor) -> torch.Tensor:
    kept: list[torch.Tensor] = []
    handle = model.head.register_forward_hook(lambda _module, given, _out: kept.append(given[0]))
    model(images)
    handle.remove()
    return kept[0]
