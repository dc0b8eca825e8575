"""The last stage of an encoder by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mami_core.models.encoder import Config, MaMI
from mami_core.models.stage import Stage, coarse

SMALL = Config(
    trunk="", image=64, width=32, depth=2, heads=2, hidden=64, groups=16, rank=2, features=24
)


def test_by_what_enters_it_the_stage_says_what_the_encoder_says() -> None:
    torch.manual_seed(0)
    model = MaMI(SMALL).eval()
    for net in (model.attention_net, model.ffn_net):
        # As after some training: the generated updates are no longer zero.
        torch.nn.init.normal_(net.up.weight, std=0.1)
    with torch.inference_mode():
        seen = model(torch.rand(3, 3, 64, 64))
        found = Stage(model)(seen.entering, seen.modality)
    assert torch.allclose(found, seen.pooled[:, -SMALL.width :], atol=1e-5)


def test_four_neighbours_of_the_grid_are_made_one() -> None:
    tokens = torch.arange(16.0)[None, :, None]
    assert coarse(tokens)[0, :, 0].tolist() == [2.5, 4.5, 10.5, 12.5]


@pytest.mark.parametrize("changed", [{"depth": 0, "updates": ()}, {"clip": True}])
def test_an_encoder_whose_last_stage_reads_no_patches_has_none(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no last stage"):
        Stage(MaMI(replace(SMALL, **changed)))  # type: ignore[arg-type]
