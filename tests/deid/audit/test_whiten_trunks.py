"""The closed form on networks that the caller names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from typer.testing import CliRunner

from deid.audit import AuditError, Options, audit
from deid.audit.attackers import named
from deid.audit.attackers.registry import Attacker
from deid.audit.words import last_line
from deid.cli.app import app
from mami_core.data import open_dataset
from mami_core.weights import WeightsError

People = Callable[..., Path]
CNN, VIT = "test_resnet", "test_vit"
#: timm's hub has no weights of it: nothing is fetched.
BARE = "resnetblur18"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    root = tmp_path_factory.mktemp("checkpoints")

    def file(name: str, seed: int = 0) -> Path:
        path = root / f"{name}-ours{seed}.pth"
        if not path.exists():
            torch.manual_seed(seed)
            torch.save(timm.create_model(name).state_dict(), path)
        return path

    return file


def attacker(*trunks: str) -> Attacker:
    (entry,) = named(["whiten:" + "+".join(trunks)])
    return entry.build("cpu")


def test_networks_are_joined_and_learn_and_no_file_is_named(
    people: People, files: Callable[..., Path]
) -> None:
    name = f"whiten:{CNN}={files(CNN)}+{VIT}={files(VIT)}"
    asked = Options(
        attackers=(name,), remover="blur:8", adaptive=True, linkages=("original", "outer")
    )
    record = audit(open_dataset(people(val=12, train=16)), asked)
    linkages = record["sources"]["demo"]["linkages"]
    assert record["options"]["attackers"] == [f"whiten:{CNN}+{VIT}"]
    for linkage, basis in (("original", "fixed"), ("outer", "adaptive")):
        found = linkages[linkage][basis]["attackers"][f"whiten:{CNN}+{VIT}"]
        assert found["auc"]["value"] > 0.8
    assert "ours" not in str(record)


def test_each_network_is_a_part_of_what_is_seen_at_its_own_size(
    files: Callable[..., Path],
) -> None:
    one, other, small = f"{CNN}={files(CNN)}", f"{VIT}={files(VIT)}", "tf_efficientnet_lite0"
    both = attacker(one, other)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 3, 160, 160)).astype(np.uint8)
    seen = both.embed(pictures)
    assert both.depths == (48 + 192 + 2 * 96, 4 * 64)
    assert np.allclose(seen[:, : both.depths[0]], attacker(one).embed(pictures), atol=1e-5)
    assert np.allclose(seen[:, both.depths[0] :], attacker(other).embed(pictures), atol=1e-5)
    assert attacker(one, f"{small}={files(small)}").size == 224


def test_other_weights_of_any_network_are_told_apart(files: Callable[..., Path]) -> None:
    one, new = (f"{CNN}={files(CNN, seed)}" for seed in (0, 1))
    two, other = (f"{VIT}={files(VIT, seed)}" for seed in (0, 1))
    said = [attacker(*trunks).weights for trunks in ((one, two), (new, two), (one, other))]
    assert len(set(said)) == 3
    assert attacker(one, two).weights == said[0]


@pytest.mark.parametrize("kind", ["whiten", "timm"])
def test_a_network_whose_weights_can_not_be_fetched_is_absent_and_the_audit_goes_on(
    people: People, kind: str
) -> None:
    record = audit(open_dataset(people(val=6)), Options(attackers=(f"{kind}:{BARE}", "pixels")))
    assert f"{kind}:{BARE} (timm's hub has no weights of '{BARE}'" in last_line(record)


def test_what_can_not_be_a_network_of_depths_is_one_line(
    files: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    for trunks in ((), (CNN, ""), (f"={files(CNN)}",)):
        with pytest.raises(AuditError, match="followed by names of networks"):
            named(["whiten:" + "+".join(trunks)])
    for trunk, words in (
        ("no_such_network", "timm has no model"),
        (f"{CNN}=absent.pth", "can not be read"),
        (f"{CNN}={files(VIT)}", r"lack \d+ of its \d+ parts"),
        (f"coat_tiny={files('coat_tiny')}", "no features of several depths"),
    ):
        with pytest.raises(WeightsError, match=words) as told:
            attacker(trunk)
        assert "\n" not in str(told.value)
        assert ".pth" not in str(told.value)
    # timm's own log would put a page of keys, and the path, before that line.
    assert not [one for one in caplog.records if one.name.startswith("timm")]


def test_a_head_learns_on_them_and_they_are_listed() -> None:
    (entry,) = named([f"trained:whiten:{CNN}=a.pth+{VIT}=b.pth"])
    assert entry.name == f"trained:whiten:{CNN}+{VIT}"
    listed = CliRunner().invoke(app, ["attackers"], env={"COLUMNS": "80"})
    assert "whiten:MODEL[@SIDE][=FILE]+..." in listed.output


@pytest.mark.parametrize("name", [CNN, VIT])
def test_a_network_looks_at_pictures_of_the_side_that_is_asked_for(
    files: Callable[..., Path], name: str
) -> None:
    larger, own = attacker(f"{name}@192={files(name)}"), attacker(f"{name}={files(name)}")
    assert (larger.size, own.size) == (192, 160)
    shown = np.random.default_rng(0).integers(0, 256, (2, 3, 192, 192)).astype(np.uint8)
    assert larger.embed(shown).shape[1] == sum(own.depths)
    (entry,) = named([f"timm:{name}@192={files(name)}"])
    assert (entry.name, entry.build("cpu").size) == (f"timm:{name}@192", 192)


@pytest.mark.parametrize("side", ["0", "31", "4096", "99999"])
def test_a_side_that_no_network_takes_is_refused(side: str) -> None:
    with pytest.raises(WeightsError, match="32 to 2048 pixels; give another"):
        attacker(f"{CNN}@{side}")
