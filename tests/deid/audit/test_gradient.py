"""Attackers that learn by gradient, in a world in which it is known what there is to learn."""

from __future__ import annotations

import stat
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from deid.audit.attackers import siamese
from deid.audit.attackers.trained import fitted
from deid.audit.bar import fits
from deid.audit.closed_form import closed_form
from deid.audit.gradient import CLOSED_FORM, GRADIENT, learnt
from deid.audit.heads import Residual
from deid.audit.learner import Recipe
from deid.audit.matching import Effort, Fit, Matcher, Training
from mami_core.data import Record
from mami_core.evaluation import auc

ROLES = ("protected", "original")


def records(people: int, name: str) -> list[Record]:
    return [
        Record("", f"{name}{person}", "set", subject=f"{name}{person}", unit=str(visit))
        for person in range(people)
        for visit in range(2)
    ]


def world(people: int, seed: int) -> np.ndarray:
    """Two visits a person; the first 10 numbers are the person's, the others the visit's."""
    random = np.random.default_rng(seed)
    own = np.repeat(random.normal(size=(people, 10)), 2, axis=0)
    noise = random.normal(size=(2, *own.shape))
    return np.hstack([own + 0.3 * noise[0], 2 * noise[1]])


def mixed(rows: np.ndarray) -> np.ndarray:
    turn, _ = np.linalg.qr(np.random.default_rng(9).normal(size=(rows.shape[1],) * 2))
    turned: np.ndarray = rows @ turn + 3.0
    return turned


def found(matcher: Matcher, query: np.ndarray, gallery: np.ndarray) -> float:
    asked, held = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (matcher.of_queries(query), matcher.of_gallery(gallery))
    )
    first, second = np.nonzero(~np.eye(len(query), dtype=bool))
    scores, mates = (asked @ held.T)[first, second], first // 2 == second // 2
    return auc(scores[mates], scores[~mates])


def training(people: int, seed: int = 0) -> Training:
    rows = world(people, seed)
    return Training([mixed(rows)], [rows], rows, ROLES, records(people, f"p{seed}/"))


def test_where_the_closed_form_is_all_there_is_it_is_kept_and_finds_the_same() -> None:
    """The world is linear and normal: nothing beats the closed form but chance."""
    own, new = training(80), world(60, 1)
    matcher = fitted(own)
    assert matcher.told["kept"] == CLOSED_FORM
    assert found(matcher, mixed(new), new) == pytest.approx(
        found(closed_form(own), mixed(new), new), abs=1e-9
    )
    assert found(matcher, mixed(new), new) > 0.95


class Gains(Residual):
    """A gain a direction: few enough to be learnt from few people."""

    def __init__(self, width: int, one_kind: bool) -> None:
        super().__init__(width, one_kind)
        self.added = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(width))])

    def embed(self, rows: torch.Tensor, side: int) -> torch.Tensor:
        return normalize(rows * self.added[0].exp(), dim=1)


def test_what_the_closed_form_can_not_see_a_gradient_finds() -> None:
    """The closed form weighs directions by how a person's visits differ, never by how people do:
    many numbers that say nothing of anybody drown the few that tell people apart.
    """
    random = np.random.default_rng(2)

    def loud(people: int) -> np.ndarray:
        own = np.repeat(random.normal(size=(people, 6)), 2, axis=0)
        noise = random.normal(size=(2 * people, 40))
        return np.hstack([own + 0.5 * random.normal(size=own.shape), noise])

    rows, new = loud(100), loud(80)
    own = Training([rows], [rows], rows, ("original", "original"), records(100, "q"))
    matcher = learnt(own, Recipe(Gains, rate=0.1, decay=0.01, stops=4, every=10))
    assert matcher.told["kept"] == GRADIENT
    assert matcher.told["gradient"] > matcher.told["closed_form"]
    assert found(matcher, new, new) > found(closed_form(own), new, new) + 0.02


def test_noise_is_no_gain_even_where_a_head_learns_it_by_heart() -> None:
    rows = np.random.default_rng(0).normal(size=(120, 40))
    own = Training([rows], [rows], rows, ("original", "original"), records(60, "n"))
    matcher = learnt(own, Recipe(Residual, rate=1e-2, decay=0.0, stops=4, every=10))
    assert matcher.told["kept"] == CLOSED_FORM
    assert matcher.told["gradient"] < 0.25


@pytest.mark.parametrize("fit", [fitted, siamese.fitted])
def test_equal_seeds_learn_the_same_and_restarts_are_counted(fit: Fit) -> None:
    own = replace(training(20), effort=Effort(restarts=2, seed=3))
    told = []
    for before in range(2):
        torch.manual_seed(before)
        told.append(fit(own).told)
    assert told[0] == told[1]
    assert told[0]["restarts"] == 2
    assert max(point["found"] for point in told[0]["by_steps"]) == told[0]["gradient"]
    assert told[0]["steps"] in [point["steps"] for point in told[0]["by_steps"]]
    assert not told[0]["cut"]


def test_without_time_it_is_cut_short_and_says_that_it_is_under_trained() -> None:
    own = replace(training(40), effort=Effort(restarts=3, minutes=0.0))
    recipe = Recipe(Residual, rate=0.3, decay=0.0, stops=5, every=1)
    told = learnt(own, recipe).told
    assert told["cut"]
    assert (told["restarts"], told["steps"]) == (1, 1)
    assert told["kept"] == CLOSED_FORM
    figures = {"trained": {"fits": [told]}}
    source = {"linkages": {"outer": {"adaptive": {"attackers": figures}}}}
    (line,) = fits(source)
    assert line.startswith("trained (outer, adaptive): under-trained")
    assert "cut short by --budget" in line
    assert "private" not in line


def test_too_few_patients_to_leave_any_out_leave_the_closed_form() -> None:
    assert fitted(training(3)).told == {}


def test_a_siamese_head_learns_who_is_who_and_keeps_it_whatever_the_closed_form_finds() -> None:
    own, new = training(80), world(60, 1)
    matcher = siamese.fitted(own)
    assert matcher.told["kept"] == GRADIENT
    assert found(matcher, mixed(new), new) > 0.9


def test_a_siamese_head_finds_nobody_where_there_is_nothing_to_find() -> None:
    rows, new = (np.random.default_rng(seed).normal(size=(120, 20)) for seed in (0, 1))
    own = Training([rows], [rows], rows, ("original", "original"), records(60, "n"))
    assert found(siamese.fitted(own), new, new) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("falls_back", [False, True])
def test_a_finished_fit_is_taken_as_it_was_and_one_that_is_not_whole_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, falls_back: bool
) -> None:
    """Its time is up at once the first time, and never the second: it is the same all the same."""
    recipe = Recipe(Residual, rate=0.1, decay=0.0, stops=2, every=1, falls_back=falls_back)
    own, new = replace(training(20), effort=Effort(minutes=1e-9, keep=tmp_path)), world(20, 1)
    other = replace(own, effort=replace(own.effort, seed=1))

    def learns(training: Training) -> tuple[np.ndarray, bool, str]:
        matcher = learnt(training, recipe)
        seen = np.hstack([matcher.of_queries(mixed(new)), matcher.of_gallery(new)])
        return seen, matcher.told["cut"], matcher.told["kept"]

    first = learns(own)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    assert first[1:] == (True, CLOSED_FORM if falls_back else GRADIENT)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    assert np.array_equal(learns(own)[0], first[0])
    assert learns(own)[1]
    assert not learns(other)[1]
    (foreign,) = set(tmp_path.iterdir()) - {path}
    for broken in (whole[:-1], whole[:99] + b"?" + whole[100:], foreign.read_bytes()):
        path.write_bytes(broken)
        assert not learns(own)[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
