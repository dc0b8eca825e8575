"""Networks that timm builds: how a file says that they are fed, and how they are built again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from mami_core.models.of_timm import fingerprint, local, of_timm, plan, rebuilt
from mami_core.weights import WeightsError

VIT, CNN = "test_vit", "test_resnet"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    for name in (VIT, CNN):
        save_file(timm.create_model(name).state_dict(), root / f"{name}.safetensors")
    return {name: root / f"{name}.safetensors" for name in (VIT, CNN)}


def seen(network: Any, side: int) -> torch.Tensor:
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return local(network, network.eval().forward_features(pictures))


@pytest.mark.parametrize(("name", "side"), [(VIT, 160), (f"{VIT}@96", 96), (CNN, 160)])
def test_a_network_is_built_again_from_what_can_be_written_down(
    files: dict[str, Path], name: str, side: int
) -> None:
    network = of_timm(name, str(files[name.partition("@")[0]]))
    held = json.loads(json.dumps(plan(network)))
    assert held["told"]["input_size"] == [3, side, side]
    assert str(files[VIT].parent) not in str(held)
    again = rebuilt(held)
    again.load_state_dict(network.state_dict())
    assert torch.equal(seen(again, side), seen(network, side))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "no_such_network"},
        {"name": "hf-hub:somebody/something"},
        {"name": "local-dir:/somewhere"},
        {"arguments": {"checkpoint_path": "weights.pth"}},
        {"arguments": {"pretrained": True}},
        {"arguments": {"no_such_argument": 1}},
    ],
)
def test_a_plan_that_asks_for_more_than_a_network_of_timm_is_one_line(
    files: dict[str, Path], change: dict[str, Any]
) -> None:
    held = plan(of_timm(CNN, str(files[CNN])))
    with pytest.raises(WeightsError, match="timm can not build") as told:
        rebuilt({**held, **change})
    assert "\n" not in str(told.value)


def test_a_file_says_how_its_network_is_fed(files: dict[str, Path], tmp_path: Path) -> None:
    plain = of_timm(CNN, str(files[CNN]))
    file = tmp_path / "own.safetensors"
    save_file(plain.state_dict(), file, metadata={"mean": "[0, 0, 0.5]", "std": "[1, 1, 2]"})
    own = of_timm(CNN, str(file))
    assert tuple(own.pretrained_cfg["mean"]) == (0.0, 0.0, 0.5)
    assert tuple(own.pretrained_cfg["std"]) == (1.0, 1.0, 2.0)
    assert plan(own)["told"]["std"] == [1.0, 1.0, 2.0]
    assert fingerprint(own) != fingerprint(plain) == fingerprint(of_timm(CNN, str(files[CNN])))


@pytest.mark.parametrize(
    "told",
    [
        {"mean": "0.5"},
        {"mean": "[0, 0]"},
        {"mean": "nothing"},
        {"mean": "[0, 0, NaN]"},
        {"std": "[1, 1, 0]"},
    ],
)
def test_a_file_that_says_it_wrong_is_one_line(
    files: dict[str, Path], tmp_path: Path, told: dict[str, str]
) -> None:
    file = tmp_path / "own.safetensors"
    save_file(of_timm(CNN, str(files[CNN])).state_dict(), file, metadata=told)
    with pytest.raises(WeightsError, match="three numbers") as error:
        of_timm(CNN, str(file))
    assert "\n" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_other_weights_of_one_network_are_told_apart(files: dict[str, Path]) -> None:
    network = of_timm(CNN, str(files[CNN]))
    before = fingerprint(network)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1e-3
    assert fingerprint(network) != before
