from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mami_core.imagenet import LITE0, module_of
from mami_core.models.encoder import HALF, Config, MaMI, QuickGELU
from mami_core.models.remover import Remover, RemoverConfig
from mami_core.training import TrainingError
from mami_core.training.start import begin, freeze_statistics, renamed
from mami_core.weights import save


def test_imagenet_weights_reach_every_layer_of_the_trunk(tiny: Config) -> None:
    pytest.importorskip(module_of(LITE0))
    torch.manual_seed(0)
    model = MaMI(tiny)
    before = {name: value.clone() for name, value in model.trunk.state_dict().items()}
    assert begin(model, "mami", "imagenet") == "starting from ImageNet weights"
    after = model.trunk.state_dict()
    weights = [name for name in after if name.endswith("weight")]
    assert weights
    assert not [name for name in weights if torch.equal(before[name], after[name])]


def test_without_the_package_a_line_says_so_and_nothing_changes(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    model = MaMI(tiny)
    before = model.trunk.conv_stem.weight.clone()  # type: ignore[operator, union-attr]
    assert "not installed" in begin(model, "mami", "imagenet")
    assert torch.equal(model.trunk.conv_stem.weight, before)  # type: ignore[arg-type, union-attr]


def test_a_training_may_start_from_an_earlier_one(tmp_path: Path) -> None:
    first, second = Remover(RemoverConfig(image=64)), Remover(RemoverConfig(image=64))
    save(tmp_path / "a.safetensors", "remover", first, {})
    begin(second, "remover", str(tmp_path / "a.safetensors"))
    assert torch.allclose(second.spread.weight, first.spread.weight, atol=1e-3)


def test_a_clip_transformer_says_the_same_in_our_encoder(tmp_path: Path) -> None:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    theirs = VisionTransformer(
        img_size=32,
        patch_size=16,
        embed_dim=32,
        depth=2,
        num_heads=2,
        num_classes=0,
        pre_norm=True,
        act_layer=QuickGELU,
    ).eval()
    shape = {"image": 32, "width": 32, "depth": 2, "heads": 2, "features": 32, "bases": 4}
    config = Config(trunk="", clip=True, updates=(), mean=HALF, std=HALF, **shape)  # type: ignore[arg-type]
    ours = MaMI(config).eval()
    held = renamed(theirs.state_dict())
    missing, unexpected = ours.load_state_dict(held, strict=False)
    assert not unexpected
    kept = {name.split(".")[0] for name in missing}
    assert kept == {"head"}
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = theirs.forward_features((images - 0.5) / 0.5)[:, 1:].mean(dim=1)
        assert torch.allclose(ours(images).pooled, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("clip", "init", "words"),
    [(False, "clip", "size base only"), (True, "clip=absent.pth", "--init clip=FILE")],
)
def test_clip_weights_that_do_not_fit_or_are_not_there_are_one_line(
    tiny: Config, clip: bool, init: str, words: str
) -> None:
    model = MaMI(replace(tiny, trunk="" if clip else tiny.trunk, clip=clip))
    with pytest.raises(TrainingError, match=words):
        begin(model, "mami", init)


def test_weights_of_another_kind_are_refused(tiny: Config, tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", "remover", Remover(RemoverConfig(image=64)), {})
    with pytest.raises(TrainingError, match="another kind"):
        begin(MaMI(tiny), "mami", str(tmp_path / "a.safetensors"))


def test_batch_norm_in_a_frozen_part_keeps_its_statistics() -> None:
    layer = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).train()
    freeze_statistics(layer)
    layer(torch.rand(4, 3, 5, 5) + 7.0)
    assert layer[0].running_mean.tolist() == [0.0, 0.0, 0.0]  # type: ignore[operator, union-attr]
