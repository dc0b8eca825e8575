from __future__ import annotations

import pytest
import timm
import torch

from mami_core.models.whiten import Depths, Whiten, WhitenConfig

LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def model() -> Whiten:
    torch.manual_seed(0)
    config = WhitenConfig(
        (LITE0, LITE0),
        (32, 64),
        image=64,
        components=6,
        features=8,
        sets=("xray", "xray", "ct"),
    )
    found = Whiten(config).eval()
    for name in ("centres", "maps", "offsets"):
        place = getattr(found, name)
        place.copy_(torch.randn(place.shape))
    return found


def test_an_embedding_is_a_linear_map_of_both_networks_features(model: Whiten) -> None:
    images = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        found = model(images)
        large = model.networks[1](images)
        reduced = model.axes(found.pooled)
    assert model.depths == (2712, 2712)
    assert found.pooled.shape == (3, 5424)
    assert found.identity.shape == (3, 8)
    assert torch.allclose(found.pooled[:, 2712:], large)
    for row, kind, identity in zip(reduced, found.kind, found.identity, strict=True):
        expected = model.maps[kind] @ row + model.offsets[kind]
        assert torch.allclose(identity, expected, atol=1e-5)


def test_a_picture_gets_the_map_of_the_set_that_it_is_nearest_to(model: Whiten) -> None:
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        reduced = model.axes(model(images).pooled)
        for place, kind in enumerate((1, 1, 0)):
            model.centres.fill_(1e3)
            model.centres[place] = reduced[0]
            assert model.config.modalities[kind] == model.config.sets[place]
            assert model(images).kind.tolist() == [kind, kind]


def test_a_network_of_a_smaller_size_sees_the_picture_reduced(model: Whiten) -> None:
    coarse = torch.rand(1, 3, 8, 8)
    images = torch.nn.functional.interpolate(coarse, size=64, mode="bilinear")
    stripes = images.clone()
    stripes[:, :, ::2] += 0.2
    stripes[:, :, 1::2] -= 0.2
    with torch.inference_mode():
        plain, fine = model(images).pooled, model(stripes).pooled
    moved = (fine - plain).norm(dim=0)
    # Detail that only the larger size can show moves the features of that network.
    assert moved[:2712].norm() < 0.3 * moved[2712:].norm()


def test_the_features_are_means_and_maximum_of_the_trunks_maps() -> None:
    torch.manual_seed(0)
    network = Depths(timm.create_model(LITE0, num_classes=0)).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        last = network.trunk.forward_features((images - 0.5) / 0.5)
        found = network(images)
    assert network.width == found.shape[1] == 40 + 112 + 2 * 1280
    assert torch.allclose(found[:, -1280:], last.mean(dim=(2, 3)), atol=1e-5)
    assert torch.allclose(found[:, 152:1432], 0.3 * last.amax(dim=(2, 3)), atol=1e-5)
