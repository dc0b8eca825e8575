from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deid.risk.tail import Level, below, pareto_shape


@pytest.mark.parametrize("shape", [-0.4, -0.2, 0.0, 0.2])
def test_the_shape_of_a_known_tail_is_recovered(shape: float) -> None:
    uniform = np.random.default_rng(0).uniform(size=20_000)
    excess = -np.log(uniform) if shape == 0 else (uniform**-shape - 1) / shape
    assert pareto_shape(excess / excess.mean()) == pytest.approx(shape, abs=0.03)


def test_a_tail_that_says_nothing_stays_within_bounds() -> None:
    assert -0.5 <= pareto_shape(np.ones(20)) <= 0.5
    assert -0.5 <= pareto_shape(np.array([1e-9] * 19 + [1.0])) <= 0.5


@settings(max_examples=50)
@given(seed=st.integers(0, 1000), size=st.integers(30, 900), shape=st.floats(-0.5, 0.5))
def test_more_similar_is_never_less_likely_to_be_first(seed: int, size: int, shape: float) -> None:
    generator = np.random.default_rng(seed)
    cohort = generator.normal(size=size)
    scores = np.sort(generator.normal(0, 3, size=50))
    found = below(scores, cohort, Level.of(cohort), shape)
    assert (np.diff(found) >= -1 / size).all()
    assert (found >= 0).all()
    assert (found <= 1).all()


def test_places_and_scores_are_inverse() -> None:
    cohort = np.random.default_rng(0).normal(size=200)
    level = Level.of(cohort)
    assert np.allclose(level.score(level.place(cohort)), cohort)
    assert np.mean(cohort > level.start) == pytest.approx(level.share)


def test_people_are_counted_in_the_body_and_ties_are_halves() -> None:
    cohort = np.repeat([0.0, 1.0, 2.0, 3.0], 25)
    found = below(np.array([-1.0, 0.0, 0.5]), cohort, Level.of(cohort), 0.0)
    assert np.allclose(found, [0.0, 0.125, 0.25])


def test_a_gaussian_gallery_of_ten_thousand_is_foreseen_from_three_hundred() -> None:
    """Rank-1 among N people of a mated score at 4 spreads, by integration and by the tail."""
    generator = np.random.default_rng(0)
    mated = generator.normal(4.0, 1.0, size=4000)
    fine = np.sort(generator.normal(size=2_000_000))
    truth = (np.searchsorted(fine, mated) / fine.size) ** 9_999
    figures = []
    for _ in range(20):
        cohort = generator.normal(size=300)
        level = Level.of(cohort)
        figures.append(np.mean(below(mated, cohort, level, -0.12) ** 9_999))
    assert np.mean(figures) == pytest.approx(truth.mean(), abs=0.08)
