"""The medical encoder on a network of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mami_core.data import Dataset
from mami_core.models.mfm import MedicalConfig
from mami_core.models.of_timm import of_timm
from mami_core.models.remover import RemoverConfig
from mami_core.training import TrainingError, train_mfm, train_unet
from mami_core.training.guides import guide
from mami_core.training.loop import STATE
from mami_core.training.mfm import MedicalTask
from mami_core.weights import WeightsError, load

CNN = "test_resnet"
CONFIG = MedicalConfig((), width=32, queries=3)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's weights, with statistics that are not those of a fresh network."""
    torch.manual_seed(0)
    network = timm.create_model(CNN).train()
    with torch.no_grad():
        network(torch.rand(8, 3, 64, 64))
    path = tmp_path_factory.mktemp("own") / "own.safetensors"
    told = {"mean": "[0.25, 0.25, 0.25]", "std": "[0.3, 0.3, 0.3]"}
    save_file(network.state_dict(), path, metadata=told)
    return path


@pytest.fixture
def trunk(file: Path) -> str:
    return f"timm:{CNN}@64={file}"


def train(data: Dataset, output: Path, trunk: str, **more: Any) -> Path:
    given: dict[str, Any] = {"steps": 2, "batch": 4, "seed": 1, "config": CONFIG, **more}
    return train_mfm([data], output, trunk=trunk, **given)


@pytest.fixture
def ct(data: Dataset) -> Dataset:
    """The same people in CT, and nobody has a finding that another has not."""
    data.records[:] = [
        replace(record, modality="ct", findings={"nodule": 1}) for record in data.records
    ]
    return data


def test_the_trunk_stays_as_it_was_given_and_the_file_needs_no_other(
    data: Dataset, trunk: str, file: Path, tmp_path: Path
) -> None:
    own = of_timm(f"{CNN}@64", str(file)).state_dict()
    found = load(train(data, tmp_path / "out", trunk))
    held = found.model.trunk.state_dict()  # type: ignore[operator, union-attr]
    assert held.keys() == own.keys()
    for name, value in own.items():
        assert torch.allclose(held[name].to(value.dtype), value, rtol=1e-3, atol=1e-5), name
    assert found.facts["findings"] == ["xray:Spot"]
    assert 0.0 <= found.facts["findings_val"]["xray:Spot"]["auc"] <= 1.0
    assert -1.0 < found.facts["zero"]["xray"] < 1.0
    assert found.facts["image"] == 64
    assert str(file.parent) not in str(found.facts)


def test_only_what_stands_on_the_trunk_learns(data: Dataset, trunk: str, tmp_path: Path) -> None:
    task = MedicalTask(data, CONFIG, init="none", batch=4, seed=0, device="cpu", trunk=trunk)
    task.learner.train()
    before = {name: one.clone() for name, one in task.model.state_dict().items()}
    loss, _ = task.loss(0)
    loss.backward()
    optimiser = torch.optim.SGD([p for group in task.groups() for p in group["params"]], lr=1.0)
    optimiser.step()
    moved = {n for n, one in task.model.state_dict().items() if not torch.equal(one, before[n])}
    assert not [name for name in moved if name.startswith("trunk.")]
    assert {"project.weight", "queries", "key.weight", "heads.weight"} <= moved
    train(data, tmp_path / "out", trunk)
    with safe_open(tmp_path / "out" / STATE, framework="pt") as state:
        assert not [name for name in state.keys() if "trunk" in name]  # noqa: SIM118


def test_pictures_are_fed_as_the_network_wants_them(file: Path, trunk: str, data: Dataset) -> None:
    task = MedicalTask(data, CONFIG, init="none", batch=4, seed=0, device="cpu", trunk=trunk)
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = guide(trunk)(images)
        tokens = task.model.eval()(images).tokens
        assert torch.allclose(task.model.norm(task.model.project(expected)), tokens, atol=1e-5)


def test_pictures_have_a_gradient_through_the_trunk(data: Dataset, trunk: str) -> None:
    """Else a remover could not learn to keep what it sees."""
    task = MedicalTask(data, CONFIG, init="none", batch=4, seed=0, device="cpu", trunk=trunk)
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    task.model(images).keys.square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in task.model.trunk.parameters())


def test_ct_without_findings_is_learned_by_its_key_features_alone(
    ct: Dataset, trunk: str, tmp_path: Path
) -> None:
    found = load(train(ct, tmp_path / "out", trunk))
    assert found.facts["findings"] == []
    assert set(found.facts["zero"]) == {"ct"}
    seen = found.model(torch.rand(2, 3, 64, 64))
    assert seen.keys.shape == (2, 3, 32)
    assert seen.logits.shape == found.model.probabilities(seen.logits).shape == (2, 0)  # type: ignore[operator]
    assert guide(str(tmp_path / "out"))(torch.rand(2, 3, 96, 96)).shape == (2, 4, 32)


def test_our_own_trunk_still_learns_no_ct(ct: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="fundus, xray"):
        train_mfm([ct], tmp_path / "out", steps=1, init="none", config=CONFIG)


def test_a_remover_is_trained_to_keep_what_the_own_network_sees(
    data: Dataset,
    trunk: str,
    judges: dict[str, Path],
    tiny_remover: RemoverConfig,
    tmp_path: Path,
) -> None:
    medical = train(data, tmp_path / "medical", trunk, steps=1)
    path = train_unet(
        [data],
        tmp_path / "out",
        steps=1,
        batch=4,
        config=tiny_remover,
        encoder=judges["encoder"],
        medical=medical,
    )
    assert load(path).facts["curve"]["xray"][0]["utility"] == pytest.approx(1.0, abs=1e-3)


def test_a_training_goes_on_with_the_same_network_wherever_it_lies_and_with_no_other(
    data: Dataset,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same_weights: Callable[[Path, Path], bool],
) -> None:
    monkeypatch.setattr("mami_core.training.loop.SAVE_EVERY", 1)
    whole = train(data, tmp_path / "whole", f"timm:{CNN}@64={file}")
    inner = MedicalTask.loss

    def cut(self: MedicalTask, step: int) -> Any:
        if step == 1:
            raise KeyboardInterrupt
        return inner(self, step)

    with monkeypatch.context() as power_cut:
        power_cut.setattr(MedicalTask, "loss", cut)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path / "cut", f"timm:{CNN}@64={file}")
    other, copy = tmp_path / "other.safetensors", tmp_path / "copy.safetensors"
    torch.manual_seed(5)
    save_file(timm.create_model(CNN).state_dict(), other)
    with pytest.raises(TrainingError, match="other data or options"):
        train(data, tmp_path / "cut", f"timm:{CNN}@64={other}", resume=True)
    copy.write_bytes(file.read_bytes())
    resumed = train(data, tmp_path / "cut", f"timm:{CNN}@64={copy}", resume=True)
    assert same_weights(resumed, whole)


def test_an_earlier_encoder_gives_all_but_the_trunk(
    data: Dataset, trunk: str, file: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    save_file(timm.create_model(CNN).state_dict(), tmp_path / "other.safetensors")
    earlier = train(data, tmp_path / "earlier", f"timm:{CNN}@64={tmp_path / 'other.safetensors'}")
    task = MedicalTask(data, CONFIG, init=str(earlier), batch=4, seed=0, device="cpu", trunk=trunk)
    before = load(earlier).model.state_dict()
    assert torch.allclose(task.model.queries, before["queries"], atol=1e-3)
    own = of_timm(f"{CNN}@64", str(file)).state_dict()
    assert all(torch.equal(value, own[n]) for n, value in task.model.trunk.state_dict().items())


def test_trainings_of_our_own_trunk_that_were_begun_before_go_on() -> None:
    """The text of a configuration is part of what a training is known by."""
    assert repr(MedicalConfig(("xray:Spot",))) == (
        "MedicalConfig(findings=('xray:Spot',), trunk='tf_efficientnet_lite0', image=224, "
        "width=192, queries=8)"
    )


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (CNN, "--trunk is timm:NAME"),
        ("timm:", "--trunk is timm:NAME"),
        ("mfm_tiny", "--trunk is timm:NAME"),
        ("timm:no_such_network", "timm has no model"),
        (f"timm:{CNN}=absent.safetensors", "can not be read"),
        (f"timm:{CNN}@32=FILE", "64 are the least"),
        ("timm:test_vit=FILE", "lack"),
    ],
)
def test_a_network_that_can_not_be_had_is_one_line(
    data: Dataset, spec: str, words: str, file: Path, tmp_path: Path
) -> None:
    with pytest.raises((TrainingError, WeightsError), match=words) as told:
        train(data, tmp_path / "out", spec.replace("FILE", str(file)))
    assert "\n" not in str(told.value)
    assert str(file) not in str(told.value)
