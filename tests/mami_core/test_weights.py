from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mami_core import weights
from mami_core.data import open_dataset
from mami_core.evaluation import auc
from mami_core.evaluation.embed import embedder
from mami_core.evaluation.protocol import normalised
from mami_core.models.remover import Remover, RemoverConfig
from mami_core.weights import SUMS, WeightsError, bundled, checked, facts_of, load, save

NAMES = ("judge_tiny", "mami_tiny", "mfm_tiny", "remover", "whiten")
MOST_BYTES = 70 * 10**6


def test_what_is_saved_is_loaded_with_its_facts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Remover(RemoverConfig(image=64, amplitude=0.125)).eval()
    digest = save(tmp_path / "a.safetensors", "remover", model, {"strength": 0.5})
    found = load(tmp_path / "a.safetensors")
    assert found.sha256 == digest
    assert found.facts["strength"] == 0.5
    assert found.model.config == model.config
    images, code = torch.rand(1, 3, 64, 64), torch.randn(1, 16)
    expected = model.residual(images, code)
    assert torch.allclose(found.model.residual(images, code), expected, atol=1e-3)
    assert not found.model.training


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    model = Remover(RemoverConfig(image=64))
    facts = {"strength": 0.5, "pairs": [["xray", "chest"]]}
    digests = {save(tmp_path / f"{i}.safetensors", "remover", model, facts) for i in range(6)}
    assert len(digests) == 1


def test_numbers_that_half_precision_does_not_have_are_kept(tmp_path: Path) -> None:
    model = Remover(RemoverConfig(image=64))
    with torch.no_grad():
        model.spread.weight.view(-1)[0] = 1e5
    save(tmp_path / "a.safetensors", "remover", model, {})
    assert load(tmp_path / "a.safetensors").model.spread.weight.view(-1)[0] == 1e5


@pytest.mark.parametrize("name", NAMES)
def test_every_bundled_network_loads(name: str) -> None:
    found = load(name)
    assert all(torch.isfinite(p).all() for p in found.model.parameters())


def test_bundled_files_fit_the_wheel_and_are_listed() -> None:
    files = sorted(bundled().glob("*.safetensors"))
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    for path in files:
        checked(path)


def test_a_tampered_bundled_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(bundled() / SUMS, tmp_path)
    data = bytearray((bundled() / "remover.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "remover.safetensors").write_bytes(data)
    monkeypatch.setattr(weights, "_PLACES", (tmp_path,))
    with pytest.raises(WeightsError, match="not the published file"):
        load("remover")


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(WeightsError, match="mami_tiny"):
        load("mami_huge")


def test_what_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"\x80\x04nothing is unpickled")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load(path)


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="not written by this toolkit"):
        load(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ('"deep"', '"deeper"'),
        ('"image": 224', '"image": "big"'),
        ('"tf_efficientnet_lite0"', '"no_such_network"'),
        ('{"trunk"', '["trunk"'),
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(
    config: str, wrong: str, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    given = bundled() / "mami_tiny.safetensors"
    held = weights.metadata(given)
    assert config in held["config"]
    held["config"] = held["config"].replace(config, wrong)
    save_file(load_file(given), tmp_path / "a.safetensors", held)
    with pytest.raises(WeightsError):
        load(tmp_path / "a.safetensors")


def test_weights_that_are_or_give_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    model = load("mami_tiny").model
    with torch.no_grad():
        model.level.zero_()
    save(path, "mami", model, {})
    with pytest.raises(WeightsError, match="give no numbers"):
        embedder(path, "cpu").embed(np.zeros((1, 3, 224, 224), np.uint8))
    with torch.no_grad():
        model.head.weight[0, 0] = torch.nan
    save(path, "mami", model, {})
    with pytest.raises(WeightsError, match="no number"):
        load(path)


@pytest.mark.parametrize("name", ["mami_tiny", "whiten"])
def test_a_bundled_encoder_tells_people_apart_better_than_chance(name: str, shared: Path) -> None:
    dataset = open_dataset(shared / "data" / "nih")
    people: dict[str, list[int]] = {}
    for index, record in enumerate(dataset.records):
        if record.split == "val" and record.reid:
            people.setdefault(record.patient, []).append(index)
    chosen = [images[:2] for images in people.values() if len(images) > 1][:12]
    names = {dataset.records[i].name for images in chosen for i in images}
    part = dataset.select(lambda record: record.name in names)
    patient = np.array([record.patient for record in part.records])
    encoder = embedder(name, "cpu")
    rows = normalised(encoder.embed(part.squares(encoder.size)))
    first, second = np.triu_indices(len(rows), 1)
    scores, same = (rows @ rows.T)[first, second], patient[first] == patient[second]
    assert auc(scores[same], scores[~same]) > 0.85


def test_the_default_strength_of_the_bundled_remover_keeps_the_utility_that_it_promises() -> None:
    facts = facts_of("remover")
    assert 0.0 < facts["strength"] <= 1.0
    for modality, _ in facts["pairs"]:
        points = {float(strength): point for strength, point in facts["val"][modality].items()}
        strengths = sorted(points)
        utility = np.interp(facts["strength"], strengths, [points[s]["utility"] for s in strengths])
        assert utility >= 0.9 - 1e-6
