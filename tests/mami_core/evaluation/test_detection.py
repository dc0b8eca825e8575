from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from mami_core.data import Record
from mami_core.evaluation import (
    auc,
    found_within,
    linkability,
    pairs,
    patient_bootstrap,
    verification,
)
from mami_core.evaluation.detection import detection, found_among
from mami_core.evaluation.protocol import Pairs


def records(people: int, most: int = 4) -> list[Record]:
    """People with two visits up to `most`, one after the other."""
    return [
        Record("", str(p), "set", subject=str(p), unit=str(v))
        for p in range(people)
        for v in range(2 + p % (most - 1))
    ]


def world(
    people: int, seed: int = 0, *, most: int = 4, digits: int = 9, noise: float = 1.0
) -> Pairs:
    generator = np.random.default_rng(seed)
    some = records(people, most)
    own = generator.normal(size=(people, 8))
    rows = np.stack([own[int(one.patient)] for one in some])
    found = pairs(rows + noise * generator.normal(size=rows.shape), some)
    return replace(found, mated=found.mated.round(digits), impostor=found.impostor.round(digits))


def points(found: Pairs, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """FPR and TPR at every threshold, counted anew at each."""
    left, right = found.impostor_patients
    others = found.impostor, found.impostor_weight * times[left] * times[right]
    own = found.mated, found.mated_weight * times[found.mated_patient]
    thresholds = np.unique(np.concatenate((others[0], own[0])))[::-1]
    false, true = (
        np.array([0.0, *(weight[scores >= one].sum() / weight.sum() for one in thresholds)])
        for scores, weight in (others, own)
    )
    return false, true


def equal_error(false: np.ndarray, true: np.ndarray) -> float:
    """Where the curve crosses the other diagonal, piece by piece."""
    for (f, t), (g, u) in zip(
        zip(false, true, strict=True), zip(false[1:], true[1:], strict=True), strict=False
    ):
        if f + t <= 1.0 <= g + u and g + u > f + t:
            return float(f + (1.0 - f - t) / (g + u - f - t) * (g - f))
    raise AssertionError


@pytest.mark.parametrize("digits", [9, 1])
def test_it_agrees_with_a_slow_reference_in_value_and_interval_with_ties_and_without(
    digits: int,
) -> None:
    found = world(47, digits=digits, most=3)
    said = detection([found], resamples=3)
    curve = points(found, np.ones(found.people))
    assert said.eer.value == pytest.approx(equal_error(*curve), abs=1e-9)
    at_one = said.tpr[1e-2]
    assert at_one is not None
    assert at_one.value == pytest.approx(np.interp(1e-2, *curve), abs=1e-9)
    slow = patient_bootstrap(
        lambda times: equal_error(*points(found, times)), found.people, 47, resamples=3
    )
    assert said.eer.as_dict() == pytest.approx(slow.as_dict(), abs=1e-9)
    area = verification(found, resamples=3)
    assert said.auc.as_dict() == pytest.approx(area.as_dict(), abs=1e-12)


def test_a_thousand_resamples_are_those_of_a_thousand_looks_whatever_is_held_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = world(12)
    slow = verification(found, resamples=1000).as_dict()
    assert detection([found]).auc.as_dict() == pytest.approx(slow, abs=1e-12)
    monkeypatch.setattr("mami_core.evaluation.detection.HELD", 1)
    assert detection([found]).auc.as_dict() == pytest.approx(slow, abs=1e-12)
    other = detection([found], seed=1).auc
    assert (other.value, other.low == slow["low"]) == (pytest.approx(slow["value"]), False)


def test_with_equal_weights_it_agrees_with_scikit_learn() -> None:
    found = world(60, most=2, noise=0.8)
    assert np.ptp(found.mated_weight) == np.ptp(found.impostor_weight) == 0.0
    truth = np.repeat([1, 0], [found.mated.size, found.impostor.size])
    scores = np.concatenate((found.mated, found.impostor))
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    said = detection([found], resamples=2)
    assert said.eer.value == pytest.approx(np.interp(1.0, false + true, false), abs=1e-6)
    at_one = said.tpr[1e-2]
    assert at_one is not None
    assert at_one.value == pytest.approx(np.interp(1e-2, false, true), abs=1e-6)
    assert said.true == pytest.approx(np.interp(said.false, false, true), abs=1e-6)


def test_hand_worked() -> None:
    """Two mated pairs of one patient and one of another; of four impostors one is in between."""
    found = Pairs(
        mated=np.array([0.9, 0.2, 0.6]),
        mated_patient=np.array([0, 0, 1]),
        mated_weight=np.array([0.5, 0.5, 1.0]),
        impostor=np.array([0.0, 0.1, 0.15, 0.4]),
        impostor_patients=(np.array([0, 0, 0, 0]), np.array([1, 1, 1, 1])),
        impostor_weight=np.full(4, 0.25),
        people=2,
    )
    # Above 0.4 three quarters pass of the mates; at 0.4 a quarter of the impostors.
    said = detection([found], resamples=2)
    assert said.eer.value == pytest.approx(0.25)
    assert said.patient_pairs == 1


def test_what_too_few_pairs_of_patients_stand_behind_is_no_number() -> None:
    said = detection([world(46, most=3), world(10)], resamples=2)
    assert said.patient_pairs == 45
    assert set(said.tpr.values()) == {None}
    assert said.false[0] == pytest.approx(10 / 45)
    first, second = said.as_dict()["tpr"]
    assert "1,000 pairs of distinct patients" in first["undecidable"]
    assert "10,000 pairs" in second["undecidable"]
    assert "there are 45" in second["undecidable"]
    assert not {"value", "low", "high"} & first.keys()
    assert detection([world(4)], resamples=2).false.size == 0


def test_pairs_of_protected_and_original_count_once_a_pair_of_patients() -> None:
    some = records(46, most=2)
    rows = np.random.default_rng(0).normal(size=(92, 4))
    both_ways = pairs(rows, some, queries=rows[::-1])
    assert detection([both_ways], resamples=2).patient_pairs == 46 * 45 // 2


def test_a_constant_score_is_chance() -> None:
    found = world(50, most=2)
    flat = replace(found, mated=np.zeros_like(found.mated), impostor=np.zeros_like(found.impostor))
    said = detection([flat], resamples=2)
    assert said.eer.value == pytest.approx(0.5)
    assert said.true == pytest.approx(said.false)


def test_the_interval_of_people_who_are_found_at_once_is_not_empty() -> None:
    eer = detection([world(20, noise=1e-3)], resamples=5).eer
    assert (eer.value, eer.low) == (0.0, 0.0)
    assert 0.1 < eer.high < 0.25


def test_scores_of_two_fits_are_never_compared() -> None:
    first, second = world(20), world(10, 1)
    moved = replace(second, mated=second.mated + 5.0, impostor=second.impostor + 5.0)
    together, apart = (detection([first, one], resamples=5) for one in (second, moved))
    for figure in ("auc", "eer"):
        assert getattr(together, figure) == getattr(apart, figure)
        alone = [getattr(detection([one], resamples=2), figure).value for one in (first, second)]
        both = getattr(together, figure)
        assert both.value == pytest.approx((20 * alone[0] + 10 * alone[1]) / 30)
        assert both.patients == 30


def test_the_area_under_the_roc_is_the_auc() -> None:
    found = world(60)
    exact = auc(found.mated, found.impostor, found.mated_weight, found.impostor_weight)
    said = detection([found], resamples=2)
    false, true = np.append(0.0, said.false), np.append(0.0, said.true)
    assert np.trapezoid(true, false) == pytest.approx(exact, abs=0.01)


def searched(ties: bool) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    own, impostors = generator.normal(0.5, 1, 9), generator.normal(size=(9, 6))
    impostors[2, 0] = np.nan
    return (own.round(), impostors.round()) if ties else (own, impostors)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_cmc_among_some_of_the_people_is_the_mean_over_all_draws_of_them(
    k: int, ties: bool
) -> None:
    own, impostors = searched(ties)
    slow = []
    for score, row in zip(own, impostors, strict=True):
        draws = np.array(list(combinations(row[~np.isnan(row)], 3)))
        slow.append(found_within(np.full(len(draws), score), draws, k).mean())
    assert found_among(own, impostors, 4, k) == pytest.approx(np.array(slow))


def test_the_cmc_of_rank_1_is_linkability_and_of_all_people_is_found_within() -> None:
    own, impostors = searched(ties=True)
    assert found_among(own, impostors, 5, 1) == pytest.approx(linkability(own, impostors, 5))
    whole = impostors[:2]
    assert found_among(own[:2], whole, 7, 3) == pytest.approx(found_within(own[:2], whole, 3))
