"""The last stage of an encoder, which learns under the closed form."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deid.audit import Options, audit
from deid.audit.attackers import mami, stage, usual
from deid.audit.bar import fits
from deid.audit.closed_form import Choice, closed_form, weights
from deid.audit.forms import Forms, canonical
from deid.audit.gradient import CLOSED_FORM, GRADIENT, learnt
from deid.audit.heads import Residual
from deid.audit.last_stage import LastStage
from deid.audit.learner import Recipe
from deid.audit.matching import Effort, Matcher, Training, centred
from mami_core.data import Record, open_dataset
from mami_core.evaluation import auc
from mami_core.models.encoder import Config, MaMI
from mami_core.models.stage import Stage
from mami_core.weights import Weights

People = Callable[..., Path]
WIDTH, TOKENS, OWN = 16, 4, 6
SIZES = Config(
    trunk="",
    image=64,
    width=WIDTH,
    depth=2,
    heads=2,
    bases=4,
    rank=2,
    groups=16,
    hidden=32,
    features=8,
)
ROLES = ("protected", "original")


def encoder() -> MaMI:
    torch.manual_seed(0)
    model = MaMI(SIZES).eval()
    for net in (model.attention_net, model.ffn_net):
        assert net is not None
        # As one that has learnt, whose updates are not zero.
        torch.nn.init.normal_(net.up.weight, std=0.1)
    return model


@cache
def last() -> LastStage:
    """A stage that adds what differs from visit to visit to all that tells people apart."""
    stage = Stage(encoder())
    block, norm = stage.block, stage.norm
    for one in (block.qkv, block.out, block.fc2, *(net.up for net in stage.nets)):
        for parameter in one.parameters():
            torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        # Every token gets the mean of all, of which the visit's numbers reach the person's; what
        # they were is not seen.
        block.qkv.weight[-WIDTH:] = torch.eye(WIDTH)
        block.out.weight[:OWN, OWN:] = torch.randn(OWN, WIDTH - OWN)
        norm.weight[OWN:] = 0.0
    return LastStage((WIDTH,), WIDTH, rate=0.03, sha256="", stage=stage)


def world(people: int, seed: int) -> np.ndarray:
    """Two images a person, as rows; the first numbers of each token are the person's."""
    random = np.random.default_rng(seed)
    own = np.repeat(random.normal(size=(people, 1, OWN)), 2, axis=0)
    own = own + 0.3 * random.normal(size=(2 * people, TOKENS, OWN))
    visit = np.repeat(random.normal(size=(2 * people, 1, WIDTH - OWN)), TOKENS, axis=1)
    tokens = np.concatenate([own, visit], axis=2).reshape(2 * people, -1)
    read = np.hstack([np.zeros((2 * people, WIDTH)), tokens]).astype(np.float16)
    nothing = np.zeros((2 * people, WIDTH), np.float16)
    features = last().read(np.hstack([nothing, nothing, read])).first.numpy()
    return np.hstack([features.astype(np.float16), nothing, read])


def training(rows: np.ndarray, **effort: Any) -> Training:
    records = [
        Record("", f"{row // 2}", "set", subject=f"{row // 2}", unit=str(row % 2))
        for row in range(len(rows))
    ]
    return Training([rows], [rows], rows, ROLES, records, effort=Effort(**effort))


def recipe(stops: int, every: int, **others: Any) -> Recipe:
    usual = {"rate": 1e-4, "decay": 1.0, "people": 64, "below": last()} | others
    return Recipe(Residual, stops=stops, every=every, **usual)


def unit(rows: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return lengths


def compared(matcher: Matcher, rows: np.ndarray) -> np.ndarray:
    scores: np.ndarray = unit(matcher.of_queries(rows)) @ unit(matcher.of_gallery(rows)).T
    return scores


def found(matcher: Matcher, rows: np.ndarray) -> float:
    scores = compared(matcher, rows)
    first, second = np.nonzero(~np.eye(len(rows), dtype=bool))
    mates = first // 2 == second // 2
    return auc(scores[first, second][mates], scores[first, second][~mates])


def test_before_it_has_learnt_it_finds_what_the_closed_form_on_the_same_features_finds() -> None:
    own, new = training(world(40, 0)), world(30, 1)
    idle = recipe(1, 1, rate=0.0, below=replace(last(), rate=0.0), falls_back=False)
    matcher = learnt(own, idle)
    assert matcher.told["kept"] == GRADIENT
    assert matcher.told["gradient"] == matcher.told["closed_form"]
    form = closed_form(last().by_features(own))
    assert np.allclose(compared(matcher, new), compared(form, last().features(new)), atol=1e-5)


def test_what_the_network_hides_its_last_stage_learns_to_show() -> None:
    own, new = training(world(80, 0)), world(60, 1)
    # The head on it stays as it is.
    matcher = learnt(own, recipe(2, 8, rate=0.0))
    form = closed_form(last().by_features(own))
    assert matcher.told["kept"] == GRADIENT
    assert matcher.told["gradient"] > matcher.told["closed_form"] + 0.3
    assert found(matcher, new) > found(form, last().features(new)) + 0.2


def test_noise_is_no_gain_and_leaves_the_closed_form_as_it_is() -> None:
    rows, new = (world(2 * people, people)[::2] for people in (40, 30))
    own = training(rows)
    matcher = learnt(own, recipe(2, 5))
    assert matcher.told["kept"] == CLOSED_FORM
    form = closed_form(last().by_features(own))
    assert np.allclose(compared(matcher, new), compared(form, last().features(new)))


def test_too_few_patients_to_leave_any_out_leave_the_closed_form() -> None:
    own, new = training(world(3, 0)), world(30, 1)
    matcher = learnt(own, recipe(1, 1))
    assert matcher.told == {}
    form = closed_form(last().by_features(own))
    assert np.allclose(compared(matcher, new), compared(form, last().features(new)))


def test_what_is_learnt_enters_each_image_by_the_closed_form_of_other_patients() -> None:
    own = training(world(40, 0))
    features = last().by_features(own)
    read = last().read(own.query[0])
    forms = Forms(features, Choice(1.0), [[read], [read]])
    row, part = 5, int(own.parts[5])
    others = canonical(weights(features.of(np.flatnonzero(own.parts != part)), Choice(1.0)), ROLES)
    again = read.first + torch.randn_like(read.first)
    moved = centred(features.query[0]) + (again - read.first).numpy()
    seen = forms.without().sides[0][0].moved(again)[row]
    expected = torch.from_numpy(unit(moved @ others.query)[row])
    assert torch.allclose(seen.double(), expected, atol=1e-4)
    # Nobody who is left out is seen at all.
    assert not forms.without(part).sides[0][0].rows[row].any()


def test_pictures_that_are_all_the_same_tie_whatever_the_stage_has_learnt() -> None:
    matcher = learnt(training(world(80, 0)), recipe(1, 4, falls_back=False))
    assert matcher.told["kept"] == GRADIENT
    same = np.repeat(world(1, 1)[:1], 6, axis=0)
    # What rounding makes of one picture.
    same[::2, 3 * WIDTH :] *= np.float16(1.001)
    assert not matcher.of_queries(same).any()


def test_of_the_bundled_encoder_it_keeps_what_mami_learns_by_and_little_more() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224), dtype=np.uint8)
    attackers = stage.stage("cpu"), mami.mami("cpu")
    rows, seen = (one.embed(pictures) for one in attackers)
    features = attackers[1].seen(seen, learnt=True)
    kept = LastStage(attackers[1].depths, 192, 0.0, "", last().stage).features(rows)
    # As exactly as it is seen that two pictures are the same.
    assert np.allclose(kept, features, rtol=1e-6, atol=1e-6)
    # Of 2,000 images in three forms less than a gigabyte, with as much again to learn by.
    assert 2 * 2000 * 3 * rows[0].nbytes < 1e9


def test_an_audit_sends_it_by_name_alone_and_goes_on_with_what_it_kept(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Weights("mami", encoder(), {"image": SIZES.image}, "sha")
    monkeypatch.setattr("mami_core.weights.load", lambda name: loaded)
    monkeypatch.setattr(stage, "fitted", lambda own, last: learnt(own, recipe(1, 2, below=last)))
    asked = Options(
        attackers=("stage",),
        linkages=("outer",),
        remover="blur:8",
        adaptive=True,
        bootstrap=100,
    )
    data = open_dataset(people(val=6, train=20))
    record = audit(data, asked, keep=tmp_path)
    demo = record["sources"]["demo"]
    (told,) = demo["linkages"]["outer"]["adaptive"]["attackers"]["stage"]["fits"]
    assert told["steps"] == 2
    assert any(line.startswith("stage (outer, adaptive): ") for line in fits(demo))
    monkeypatch.setattr(time, "monotonic", lambda: pytest.fail("it learns again"))
    assert audit(data, asked, keep=tmp_path) == record
    assert "stage" not in {entry.name for entry in usual()}
