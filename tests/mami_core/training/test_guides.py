from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from mami_core.training.guides import Guide, guide
from mami_core.weights import WeightsError

VIT, CNN, LAST = "vit_tiny_patch16_224", "test_resnet", "test_mambaout"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    for name in (VIT, CNN, LAST):
        torch.save(timm.create_model(name).state_dict(), root / f"{name}.pth")
    return {name: root / f"{name}.pth" for name in (VIT, CNN, LAST)}


@pytest.mark.parametrize(
    ("name", "shape"), [(VIT, (2, 196, 192)), (CNN, (2, 25, 96)), (LAST, (2, 25, 64))]
)
def test_any_model_of_timm_is_a_guide_whatever_its_layout(
    files: dict[str, Path], name: str, shape: tuple[int, ...]
) -> None:
    found = guide(f"timm:{name}={files[name]}")
    tokens = found(torch.rand(2, 3, 96, 96))
    assert tokens.shape == shape
    assert found.width == shape[2]
    assert not tokens.requires_grad


def test_our_medical_encoder_is_a_guide(judges: dict[str, Path]) -> None:
    assert guide(str(judges["medical"]))(torch.rand(2, 3, 96, 96)).shape == (2, 16, 32)


def test_a_network_of_the_callers_own_is_a_guide() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5))
    own = Guide(network, image=32)
    own.train()
    images = torch.rand(3, 3, 32, 32)
    assert torch.equal(own(images), own(images))
    assert own(images).shape == (3, 900, 5)
    assert own.width == 5


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("timm:no_such_network", "timm has no model"),
        (f"timm:{VIT}=absent.pth", "can not be read"),
        ("absent.safetensors", "does not exist"),
        ("mami_tiny", "another kind"),
    ],
)
def test_a_guide_that_can_not_be_had_is_one_line(spec: str, words: str) -> None:
    with pytest.raises(WeightsError, match=words) as told:
        guide(spec)
    assert "\n" not in str(told.value)
