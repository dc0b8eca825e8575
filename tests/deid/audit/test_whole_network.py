"""A whole network that learns from pictures in the roles of the test."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from deid.audit import AuditError, Options, audit, whole_network
from deid.audit.attackers import named, usual
from deid.audit.attackers.registry import Attacker
from deid.audit.bar import fits
from deid.audit.matching import Effort, Matcher, Training
from deid.audit.sealed import SEAL
from deid.audit.undoing import Memory, rows_of, undoing
from deid.audit.whole_network import Recipe, Start, learnt
from deid.audit.words import _networks, last_line
from mami_core.data import Record, open_dataset
from mami_core.evaluation import auc
from mami_core.models.whiten import depths

People = Callable[..., Path]
SIDE, TINY, BARE = 32, "test_resnet", "resnetblur18"
PEOPLE = 60


@cache
def world(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two images of each of `PEOPLE`, protected and original, as rows.

    A person is a grey level, which shows most, and the width and slope of stripes, which lie
    elsewhere each time. The edit draws the level anew.
    """
    random = np.random.default_rng(seed)

    def of_person(low: float, high: float) -> np.ndarray:
        return np.repeat(random.uniform(low, high, PEOPLE), 2)[:, None, None]

    level, width, slope = of_person(60, 195), np.exp(of_person(1.1, 2.8)), of_person(0, np.pi)
    down, across = np.mgrid[:SIDE, :SIDE]
    shift, drawn = (random.uniform(low, high, level.shape) for low, high in ((0, 6.3), (60, 195)))
    stripes = 45 * np.sin(6.3 * (np.cos(slope) * across + np.sin(slope) * down) / width + shift)
    stripes += random.normal(0, 6, stripes.shape)
    protected, original = (
        rows_of(np.clip(one + stripes, 0, 255).astype(np.uint8)[:, None].repeat(3, axis=1))
        for one in (drawn, level)
    )
    return protected, original


def training(protected: bool, people: int = PEOPLE, **effort: Any) -> Training:
    edited, rows = (one[: 2 * people] for one in world(0))
    records = [
        Record("", f"{person}", "set", subject=f"{person}", unit=str(visit))
        for person in range(people)
        for visit in range(2)
    ]
    roles = ("protected" if protected else "original", "original")
    query = edited if protected else rows
    return Training([query], [rows], rows, roles, records, effort=Effort(**effort))


def start(stops: int, every: int) -> Start:
    torch.manual_seed(0)
    frozen = depths(timm.create_model(TINY, num_classes=0))
    frozen.side = SIDE
    return Start(frozen, SIDE, "", Recipe(rate=1e-3, stops=stops, every=every))


def found(matcher: Matcher, query: np.ndarray, gallery: np.ndarray) -> float:
    asked, held = matcher.of_queries(query), matcher.of_gallery(gallery)
    asked, held = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (asked, held))
    mates = np.arange(len(query)) // 2
    same = (mates[:, None] == mates) & ~np.eye(len(query), dtype=bool)
    return auc((asked @ held.T)[same], (asked @ held.T)[mates[:, None] != mates])


def test_it_finds_new_people_by_what_the_edit_leaves_where_it_has_learnt_from_the_edit() -> None:
    protected, original = world(1)
    begun = start(stops=2, every=25)
    before = {name: one.clone() for name, one in begun.frozen.state_dict().items()}
    fixed = learnt(training(False), replace(begun, recipe=replace(begun.recipe, stops=1)))
    adaptive = learnt(training(True), begun)
    assert found(fixed, original, original) > 0.9
    assert found(fixed, protected, original) < 0.7
    assert found(adaptive, protected, original) > 0.8
    assert adaptive.told["reached"]
    # It learns on a copy: the next fit starts from the same weights.
    assert all(torch.equal(one, before[name]) for name, one in begun.frozen.state_dict().items())


def test_every_layer_of_the_network_learns(tmp_path: Path) -> None:
    # The last layer of a block is zero at first, and those before it wait for it.
    begun = start(stops=1, every=3)
    learnt(training(False, keep=tmp_path), begun)
    (path,) = tmp_path.glob("*.fit")
    with np.load(io.BytesIO(path.read_bytes()[SEAL:])) as kept:
        held = [kept[f"head{number}"] for number in range(len(kept.files) - 3)]
    trunk = begun.frozen.trunk.state_dict()
    moved = [
        not np.array_equal(one, other.numpy())
        for one, (name, other) in zip(held, trunk.items(), strict=False)
        if name.endswith("weight")
    ]
    assert len(moved) > 10
    assert all(moved)


def test_equal_seeds_learn_the_same_what_is_kept_is_taken_and_restarts_are_counted(
    tmp_path: Path,
) -> None:
    new, _ = world(1)
    said = []
    for seed, keep in ((3, None), (3, tmp_path), (3, tmp_path), (4, tmp_path)):
        torch.manual_seed(len(said))
        own = training(True, people=40, restarts=2, seed=seed, keep=keep)
        matcher = learnt(own, start(stops=1, every=2))
        assert matcher.told["restarts"] == 2
        said.append(matcher.of_queries(new[:8]))
    assert np.array_equal(said[0], said[1])
    assert np.array_equal(said[1], said[2])
    assert not np.array_equal(said[2], said[3])
    assert len(list(tmp_path.glob("*.fit"))) == 2


def test_it_learns_from_pictures_that_were_turned_back_too() -> None:
    protected, original = world(1)
    fit = partial(learnt, start=start(stops=1, every=2))
    seeing = Attacker(rows_of, SIDE, fit=fit, pictures=True)
    undoes = undoing(seeing, "siamese:network", Memory(), always=True).fit
    assert undoes is not None
    matcher = undoes(training(True))
    assert matcher.told["steps"] == 2
    assert matcher.of_queries(protected).shape == matcher.of_gallery(original).shape


def test_without_time_it_takes_one_step_and_says_that_it_was_cut_short() -> None:
    told = learnt(training(False, minutes=0.0, restarts=3), start(stops=5, every=9)).told
    assert (told["restarts"], told["steps"], told["cut"]) == (1, 1, True)


def test_too_few_patients_to_leave_any_out_leave_the_closed_form_on_what_the_network_sees() -> None:
    matcher = learnt(training(False, people=4), start(stops=1, every=1))
    assert matcher.told == {}
    _, original = world(1)
    assert found(matcher, original, original) > 0.7


def test_an_audit_sends_it_by_name_alone_and_keeps_no_picture(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_network, "HIS_SIDE", 64)
    file = tmp_path / "ours.pth"
    torch.save(timm.create_model(TINY).state_dict(), file)
    name, kept = f"siamese:{TINY}", tmp_path / "kept"
    asked = Options(
        attackers=(f"{name}={file}",),
        linkages=("original",),
        budget=0.0,
        bootstrap=100,
    )
    data = open_dataset(people(val=4, train=40))
    record = audit(data, asked, keep=kept)
    assert record["options"]["attackers"] == [name]
    linked = record["sources"]["demo"]["linkages"]["original"]["fixed"]
    (told,) = linked["attackers"][name]["fits"]
    assert told["cut"]
    assert "ours" not in str(record)
    assert {path.suffix for path in kept.iterdir()} == {".fit"}
    assert audit(data, asked, keep=kept) == record
    assert name not in {entry.name for entry in usual()}


def test_one_whose_weights_can_not_be_had_is_absent_and_one_without_a_name_is_one_line(
    people: People,
) -> None:
    folder = people(val=6)
    record = audit(open_dataset(folder), Options(attackers=(f"siamese:{BARE}", "pixels")))
    assert f"siamese:{BARE} (timm's hub has no weights" in last_line(record)
    for name in ("siamese:", "siamese:=a.pth"):
        with pytest.raises(AuditError, match="give siamese:resnet50"):
            named((name,))


@pytest.mark.parametrize("reached", [True, False])
def test_only_a_network_that_reached_the_closed_form_counts_as_tried(reached: bool) -> None:
    told = {
        "closed_form": 0.5,
        "gradient": 0.6 if reached else 0.2,
        "patients": 9,
        "reached": reached,
        "kept": "gradient",
        "cut": False,
    }
    figures = {"siamese:resnet50": {"fits": [told]}}
    linkages = {"original": {"fixed": {"attackers": figures}}}
    (line,) = fits({"linkages": linkages})
    assert ("under-trained" in line) is not reached
    record = {"sources": {"demo": {"linkages": linkages}}}
    assert ("--attacker siamese:resnet50" in _networks(record)) is not reached
    figures["siamese"] = figures.pop("siamese:resnet50")
    assert "--attacker siamese:resnet50" in _networks(record)
