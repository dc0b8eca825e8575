from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mami_core.models.encoder import Config, MaMI

SMALL = Config(image=64, width=32, depth=1, heads=2, hidden=64, groups=16, rank=2, features=24)


@pytest.fixture(scope="module")
def encoder() -> MaMI:
    torch.manual_seed(0)
    model = MaMI(SMALL).eval()
    # As after some training: the generated updates are no longer zero.
    for net in (model.attention_net, model.ffn_net):
        torch.nn.init.normal_(net.up.weight, std=0.1)
    return model


def test_shapes_of_all_that_the_encoder_says(encoder: MaMI) -> None:
    seen = encoder(torch.rand(2, 3, 64, 64))
    assert seen.identity.shape == (2, 24)
    assert seen.tokens.shape == (2, 16, 24)
    assert seen.modality.shape == (2, 32)
    assert seen.weights.shape == (2, 32)


def test_the_identity_is_the_mean_of_the_patch_tokens(encoder: MaMI) -> None:
    seen = encoder(torch.rand(2, 3, 64, 64))
    assert torch.allclose(seen.identity, seen.tokens.mean(dim=1), atol=1e-5)


def test_the_identity_is_a_linear_map_of_pooled_features(encoder: MaMI) -> None:
    seen = encoder(torch.rand(2, 3, 64, 64))
    assert torch.equal(seen.read, seen.pooled)
    assert torch.allclose(seen.identity, encoder.head(seen.pooled), atol=1e-4)


def test_a_last_layer_of_deep_maps_reads_their_means_and_squares() -> None:
    torch.manual_seed(0)
    model = MaMI(replace(SMALL, last="deep")).eval()
    model.level.fill_(2.0)
    every, late = sum(model.depths), sum(model.depths[-2:])
    with torch.inference_mode():
        seen = model(torch.rand(2, 3, 64, 64))
    means, squares = seen.read.split(every, dim=1)
    assert torch.allclose(means, seen.pooled, atol=1e-5)
    # A map that varies over the picture has a mean square above the square of its mean.
    assert (squares > means.square() - 1e-5).all()
    read = torch.cat([means[:, -late:], squares[:, -late:]], dim=1)
    assert torch.allclose(seen.identity, model.head(read / 2), atol=1e-4)
    assert torch.allclose(seen.identity, seen.tokens.mean(dim=1), atol=1e-5)


@pytest.mark.parametrize(("last", "trunk"), [("late", "tf_efficientnet_lite0"), ("deep", "")])
def test_a_last_layer_that_there_is_not_is_refused(last: str, trunk: str) -> None:
    with pytest.raises(ValueError, match=r"last layer reads|no deep maps"):
        MaMI(replace(SMALL, last=last, trunk=trunk))


def test_an_image_does_not_depend_on_its_batch(encoder: MaMI) -> None:
    images = torch.rand(4, 3, 64, 64)
    with torch.inference_mode():
        together = encoder(images).identity
        alone = torch.cat([encoder(image[None]).identity for image in images])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_generated_update_changes_what_is_said_of_an_image(encoder: MaMI) -> None:
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = encoder(images).identity
        ups = [net.up.weight for net in (encoder.attention_net, encoder.ffn_net)]
        kept = [up.clone() for up in ups]
        for up in ups:
            up.zero_()
        after = encoder(images).identity
        for up, old in zip(ups, kept, strict=True):
            up.copy_(old)
    assert (before - after).abs().max() > 1e-5
