from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from mami_core.imagenet import PACKAGE
from mami_core.models.encoder import Config, MaMI
from mami_core.models.remover import Remover, RemoverConfig
from mami_core.training import TrainingError
from mami_core.training.start import begin, freeze_statistics
from mami_core.weights import save


def test_imagenet_weights_reach_every_layer_of_the_trunk(tiny: Config) -> None:
    pytest.importorskip(PACKAGE)
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


def test_weights_of_another_kind_are_refused(tiny: Config, tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", "remover", Remover(RemoverConfig(image=64)), {})
    with pytest.raises(TrainingError, match="another kind"):
        begin(MaMI(tiny), "mami", str(tmp_path / "a.safetensors"))


def test_batch_norm_in_a_frozen_part_keeps_its_statistics() -> None:
    layer = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).train()
    freeze_statistics(layer)
    layer(torch.rand(4, 3, 5, 5) + 7.0)
    assert layer[0].running_mean.tolist() == [0.0, 0.0, 0.0]  # type: ignore[operator, union-attr]
