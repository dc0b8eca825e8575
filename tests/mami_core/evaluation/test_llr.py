from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mami_core.data import Record
from mami_core.evaluation import pairs
from mami_core.evaluation.llr import _parts, c_llr, calibration
from mami_core.evaluation.protocol import Pairs


def world(people: int, seed: int = 0, *, identity: float, visits: int = 2) -> Pairs:
    generator = np.random.default_rng(seed)
    rows = identity * np.repeat(generator.normal(size=(people, 8)), visits, axis=0)
    some = [
        Record("", str(p), "set", subject=str(p), unit=str(v))
        for p in range(people)
        for v in range(visits)
    ]
    return pairs(rows + generator.normal(size=rows.shape), some)


def test_the_calibration_is_that_of_scikit_learn() -> None:
    """Smoothed targets are two weighted labels a row there."""
    generator = np.random.default_rng(0)
    mated, impostor = generator.normal(1.0, 0.7, 40), generator.normal(0.0, 0.5, 300)
    heavy, light = generator.uniform(0.2, 1.0, 40), generator.uniform(0.2, 1.0, 300)
    slope, offset = calibration(mated, impostor, heavy, light)
    high, low = (heavy.sum() + 1) / (heavy.sum() + 2), 1 / (light.sum() + 2)
    scores = np.concatenate([mated, impostor] * 2)[:, None]
    labels = np.repeat([1, 0], 340)
    sides = (heavy / heavy.sum(), light / light.sum())
    weights = np.concatenate(
        [sides[0] * high, sides[1] * low, sides[0] * (1 - high), sides[1] * (1 - low)]
    )
    plain = LogisticRegression(C=np.inf, tol=1e-12, max_iter=5000)
    plain.fit(scores, labels, sample_weight=weights)
    assert slope == pytest.approx(plain.coef_[0, 0], rel=1e-4)
    assert offset == pytest.approx(plain.intercept_[0], rel=1e-4, abs=1e-5)


def slow(found: Pairs, seed: int) -> float:
    """Pair by pair, by the calibration of those who are in no pair of the part."""
    part = _parts(found, seed)
    left, right = found.impostor_patients
    cost = [[0.0, 0.0], [0.0, 0.0]]
    for number in range(5):
        own = [i for i, p in enumerate(found.mated_patient) if part[p] != number]
        other = [
            i
            for i, (a, b) in enumerate(zip(left, right, strict=True))
            if part[a] != number and part[b] != number
        ]
        slope, offset = calibration(
            found.mated[own],
            found.impostor[other],
            found.mated_weight[own],
            found.impostor_weight[other],
        )
        for i, p in enumerate(found.mated_patient):
            if part[p] == number:
                ratio = np.exp(slope * found.mated[i] + offset)
                cost[0][0] += found.mated_weight[i] * np.log2(1 + 1 / ratio)
                cost[0][1] += found.mated_weight[i]
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            if part[a] == part[b] == number:
                ratio = np.exp(slope * found.impostor[i] + offset)
                cost[1][0] += found.impostor_weight[i] * np.log2(1 + ratio)
                cost[1][1] += found.impostor_weight[i]
    return sum(total / weight for total, weight in cost) / 2


@pytest.mark.parametrize("visits", [2, 3])
def test_it_is_what_a_walk_over_all_pairs_finds(visits: int) -> None:
    found = world(15, identity=1.0, visits=visits)
    assert c_llr([found], seed=3) == pytest.approx(slow(found, 3), abs=1e-9)


def test_it_is_one_where_nothing_is_told_and_small_where_everything_is() -> None:
    nothing = np.mean([c_llr([world(60, seed, identity=0.0)]) for seed in range(5)])
    assert nothing == pytest.approx(1.0, abs=0.06)
    assert c_llr([world(60, identity=8.0)]) < 0.15
    figures = [c_llr([world(60, identity=strength)]) for strength in (0.0, 0.7, 1.5, 8.0)]
    assert all(np.diff(figures) < 0)


def test_scores_that_are_apart_are_finite_and_constant_ones_say_nothing() -> None:
    found = world(20, identity=1.0)
    apart = replace(found, mated=found.mated + 10.0)
    assert 0.0 < c_llr([apart]) < 0.2
    same = replace(found, mated=np.zeros_like(found.mated), impostor=np.zeros_like(found.impostor))
    assert c_llr([same]) == pytest.approx(1.0, abs=0.02)


def test_nobody_calibrates_what_is_read_of_him() -> None:
    """Pairs of the patients of one part move the others' ratios, never their own."""
    found = world(20, identity=1.0)
    part = _parts(found, 0)
    assert sorted(np.bincount(part)) == [4] * 5
    mine = part[found.mated_patient] == 2
    moved = replace(found, mated=np.where(mine, found.mated + 50.0, found.mated))
    before, after = (calibration_of_others(one, part, 2) for one in (found, moved))
    assert before == after
    assert c_llr([moved]) != c_llr([found])


def calibration_of_others(found: Pairs, part: np.ndarray, number: int) -> tuple[float, float]:
    left, right = found.impostor_patients
    own = part[found.mated_patient] != number
    other = (part[left] != number) & (part[right] != number)
    return calibration(
        found.mated[own],
        found.impostor[other],
        found.mated_weight[own],
        found.impostor_weight[other],
    )


def test_too_few_to_calibrate_by_is_no_number() -> None:
    assert np.isnan(c_llr([world(10, identity=1.0)]))
    assert not np.isnan(c_llr([world(13, identity=1.0)]))
    assert np.isnan(c_llr([world(30, identity=1.0), world(8, identity=1.0)]))
