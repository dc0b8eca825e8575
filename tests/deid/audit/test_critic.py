"""The adversary of a remover's training, sent by an audit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deid.audit import AuditError, Options, audit
from deid.audit.words import last_line
from mami_core.data import open_dataset
from mami_core.models.critic import Critic, CriticConfig
from mami_core.models.encoder import Config
from mami_core.models.remover import Remover, RemoverConfig
from mami_core.weights import WeightsError, save

People = Callable[..., Path]
SIZES = Config(
    image=64, width=32, depth=1, heads=2, bases=8, rank=2, groups=16, hidden=64, features=24
)


def written(path: Path, seed: int = 0) -> str:
    """A critic that nobody trained; what is an attacker named so."""
    torch.manual_seed(seed)
    save(path, "critic", Critic(CriticConfig(SIZES)).eval(), {"image": SIZES.image})
    return f"critic:{path}"


def run(folder: Path, *names: str, keep: Path | None = None, **options: Any) -> dict[str, Any]:
    return audit(open_dataset(folder), Options(attackers=names, **options), keep=keep)


def found(record: dict[str, Any], linkage: str = "original", basis: str = "fixed") -> float:
    linked = record["sources"]["demo"]["linkages"][linkage][basis]["attackers"]
    return float(linked["critic"]["auc"]["value"])


def test_the_critic_attacks_as_it_comes_and_adapts_and_its_file_stays_out_of_the_record(
    people: People, tmp_path: Path
) -> None:
    name = written(tmp_path / "ours.safetensors")
    asked = {"remover": "blur:8", "adaptive": True, "linkages": ("original", "outer")}
    record = run(people(val=12, train=16), name, **asked)
    assert found(record) > 0.6
    assert found(record, "outer", "adaptive") > 0.8
    assert "ours" not in str(record)
    assert record["options"]["attackers"] == ["critic"]


def test_what_another_critic_saw_is_not_taken_for_what_this_one_sees(
    people: People, tmp_path: Path
) -> None:
    folder, said = people(val=12, noise=60.0), []
    for seed in (0, 1, 0):
        name = written(tmp_path / "critic.safetensors", seed)
        said.append(found(run(folder, name, keep=tmp_path / "kept")))
    assert said[0] == said[2] != said[1]


@pytest.mark.parametrize("beside", [(), ("pixels",)])
def test_a_critic_that_is_named_and_not_there_is_one_line(
    people: People, tmp_path: Path, beside: tuple[str, ...]
) -> None:
    """Who names a file means it, also beside attackers that can be had."""
    folder, name = people(val=6), f"critic:{tmp_path / 'nowhere.safetensors'}"
    with pytest.raises(WeightsError, match="file of critic: does not exist; name") as caught:
        run(folder, *beside, name)
    assert "nowhere" not in str(caught.value)


def test_weights_of_another_kind_are_no_critic(people: People, tmp_path: Path) -> None:
    path = tmp_path / "remover.safetensors"
    save(path, "remover", Remover(RemoverConfig(image=64)), {})
    with pytest.raises(WeightsError, match="not a critic's") as caught:
        run(people(val=4), f"critic:{path}")
    assert "\n" not in str(caught.value)
    with pytest.raises(AuditError, match="names no file"):
        run(people(val=4), "critic:")


def test_an_audit_of_a_remover_of_ones_own_without_its_critic_says_so(
    people: People, tmp_path: Path
) -> None:
    remover, line = tmp_path / "remover.safetensors", "the remover's own adversary"
    save(remover, "remover", Remover(RemoverConfig(image=64)), {"pairs": [["xray", "chest"]]})
    asked = {"remover": str(remover), "linkages": ("outer",)}
    critic = written(tmp_path / "critic.safetensors")
    assert line in last_line(run(people(val=4), "pixels", **asked))
    assert line not in last_line(run(people(val=4), "pixels", critic, **asked))
    assert line not in last_line(run(people(val=4), "pixels", remover="blur:8"))
