from __future__ import annotations

import torch

from mami_core.models.mfm import MedicalConfig, MedicalEncoder

CONFIG = MedicalConfig(("xray:Pneumonia", "fundus:DR"), image=64, width=32, queries=3)


def test_keys_and_logits_have_the_promised_shapes() -> None:
    seen = MedicalEncoder(CONFIG).eval()(torch.rand(2, 3, 64, 64))
    assert seen.keys.shape == (2, 3, 32)
    assert seen.logits.shape == (2, 2)


def test_keys_lie_within_the_range_of_the_map_that_they_are_pooled_from() -> None:
    torch.manual_seed(0)
    model = MedicalEncoder(CONFIG).eval()
    held = {}
    model.norm.register_forward_hook(lambda _m, _i, out: held.update(grid=out))
    keys = model(torch.rand(2, 3, 64, 64)).keys
    low, high = held["grid"].amin(dim=1), held["grid"].amax(dim=1)
    assert (keys >= low[:, None] - 1e-5).all()
    assert (keys <= high[:, None] + 1e-5).all()


def test_probabilities_follow_the_fitted_slope_and_offset() -> None:
    model = MedicalEncoder(CONFIG)
    model.slope.copy_(torch.tensor([2.0, 0.5]))
    model.offset.copy_(torch.tensor([-1.0, 1.0]))
    found = model.probabilities(torch.tensor([[1.0, 2.0]]))
    assert torch.allclose(found, torch.sigmoid(torch.tensor([[1.0, 2.0]])))
