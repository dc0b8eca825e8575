"""Against slow references: draws enumerated, orders permuted, pairs looped over."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mami_core.evaluation import auc, average_precision, found_within, linkability
from mami_core.evaluation.metrics import Ranks

# Few distinct values, so that ties are the rule.
coarse = st.integers(0, 4).map(float)


def vector(smallest: int, largest: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, st.integers(smallest, largest), elements=coarse)


def slow_first(own: float, others: tuple[float, ...], k: int = 1) -> float:
    """Share of the orders of equal scores in which the own person is among the first k."""
    above = sum(score > own for score in others)
    tied = sum(score == own for score in others)
    places = [above + 1 + before for before in range(tied + 1)]
    return sum(place <= k for place in places) / len(places)


@settings(max_examples=150)
@given(mated=vector(1, 6), impostor=vector(1, 8), data=st.data())
def test_auc_is_the_weighted_share_of_won_pairs(
    mated: np.ndarray, impostor: np.ndarray, data: st.DataObject
) -> None:
    weights = st.integers(1, 3).map(float)
    heavy = data.draw(hnp.arrays(np.float64, mated.shape, elements=weights))
    light = data.draw(hnp.arrays(np.float64, impostor.shape, elements=weights))
    won = total = 0.0
    for score, first in zip(mated, heavy, strict=True):
        for other, second in zip(impostor, light, strict=True):
            won += first * second * ((score > other) + 0.5 * (score == other))
            total += first * second
    assert auc(mated, impostor, heavy, light) == pytest.approx(won / total, abs=1e-12)
    assert auc(impostor, mated, light, heavy) == pytest.approx(1 - won / total, abs=1e-12)


def test_auc_without_weight_on_a_side_is_not_defined() -> None:
    ranks = Ranks.of(np.array([1.0]), np.array([0.0]))
    assert np.isnan(ranks.auc(np.array([0.0]), np.array([1.0])))
    assert np.isnan(ranks.auc(np.array([1.0]), np.array([0.0])))


@settings(max_examples=150)
@given(own=coarse, others=vector(1, 8), k=st.integers(1, 9))
def test_rank_is_the_expectation_over_the_orders_of_ties(
    own: float, others: np.ndarray, k: int
) -> None:
    found = found_within(np.array([own]), others[None], k)[0]
    assert found == pytest.approx(slow_first(own, tuple(others), k), abs=1e-12)


@settings(max_examples=150)
@given(own=coarse, others=vector(1, 7), data=st.data())
def test_linkability_is_the_mean_over_all_draws_of_a_gallery(
    own: float, others: np.ndarray, data: st.DataObject
) -> None:
    gallery = data.draw(st.integers(1, len(others) + 1))
    draws = [slow_first(own, drawn) for drawn in combinations(others, gallery - 1)]
    found = linkability(np.array([own]), others[None], gallery)[0]
    assert found == pytest.approx(np.mean(draws), abs=1e-9)


def test_linkability_at_full_size_is_rank_one_and_grows_as_the_gallery_shrinks() -> None:
    generator = np.random.default_rng(0)
    own, others = generator.normal(1, 1, 50), generator.normal(size=(50, 900))
    assert np.allclose(linkability(own, others, 901), found_within(own, others))
    figures = [linkability(own, others, size).mean() for size in (1, 2, 10, 100, 901)]
    assert figures[0] == pytest.approx(1.0, abs=1e-11)
    assert all(np.diff(figures) < 0)


def test_a_constant_score_gives_chance() -> None:
    own, others = np.zeros(3), np.zeros((3, 99))
    assert np.allclose(found_within(own, others), 0.01)
    assert np.allclose(linkability(own, others, 40), 1 / 40)
    assert auc(np.zeros(5), np.zeros(7)) == 0.5


def test_people_who_are_no_impostors_are_not_counted() -> None:
    others = np.array([[2.0, np.nan, 0.0, 0.5]])
    own = np.array([1.0])
    assert linkability(own, others, 3)[0] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="more people than there are impostors"):
        linkability(own, others, 5)


@settings(max_examples=60)
@given(scores=vector(1, 6), data=st.data())
def test_average_precision_is_the_mean_over_the_orders_of_ties(
    scores: np.ndarray, data: st.DataObject
) -> None:
    mate = data.draw(hnp.arrays(np.bool_, scores.shape))
    found = average_precision(scores, mate)
    if not mate.any():
        assert np.isnan(found)
        return
    figures = []
    for order in permutations(range(len(scores))):
        if any(scores[a] < scores[b] for a, b in pairwise(order)):
            continue
        hits = mate[list(order)]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        figures.append(precision[hits].mean())
    assert found == pytest.approx(np.mean(figures), abs=1e-12)


def test_linkability_is_that_of_the_package_which_an_authority_has_seen() -> None:
    oracle = pytest.importorskip("legal_eval.metrics.linkability")
    io = pytest.importorskip("legal_eval.io")
    scores = np.random.default_rng(0).normal(size=(60, 60)) + 2.0 * np.eye(60)
    names = [str(index) for index in range(60)]
    theirs = io.ScoreMatrix(scores, names, names, {})
    others = scores.T.copy()
    np.fill_diagonal(others, np.nan)
    for people in (2, 7, 30, 60):
        (expected,) = oracle.linkability(theirs, people, estimator="exact")
        found = linkability(np.diag(scores), others, people).mean()
        assert found == pytest.approx(expected, abs=1e-9)
