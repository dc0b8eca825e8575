from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mami_core.evaluation import patient_bootstrap, patient_mean, wilson
from mami_core.evaluation.intervals import mean_difference, paired_bootstrap


@given(value=st.integers(0, 1000).map(lambda k: k / 1000), patients=st.integers(1, 10_000))
def test_wilson_solves_its_own_equation(value: float, patients: int) -> None:
    found = wilson(value, patients)
    assert 0 <= found.low <= value <= found.high <= 1
    for bound in (found.low, found.high):
        if bound not in (0.0, 1.0, value):
            spread = np.sqrt(bound * (1 - bound) / patients)
            assert abs(value - bound) / spread == pytest.approx(1.959964, rel=1e-3)


def test_wilson_agrees_with_published_numbers() -> None:
    # Newcombe, Statistics in Medicine 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    cases = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611)}
    for (hits, count), bounds in cases.items():
        found = wilson(hits / count, count)
        assert (found.low, found.high) == pytest.approx(bounds, abs=1e-4)


def test_each_patient_weighs_the_same_whatever_the_number_of_images() -> None:
    values = np.array([1.0] * 9 + [0.0])
    found = patient_mean(values, np.array([7] * 9 + [3]))
    assert (found.value, found.patients) == (0.5, 2)


def test_the_bootstrap_covers_the_truth_and_says_how_many_patients() -> None:
    """Simulated: per-patient means of a statistic that is a ratio of weighted sums."""
    generator = np.random.default_rng(1)
    covered = 0
    for seed in range(100):
        patient = generator.beta(8, 2, size=40)  # mean 0.8

        def statistic(times: np.ndarray, patient: np.ndarray = patient) -> float:
            return float(times @ patient / times.sum())

        found = patient_bootstrap(statistic, 40, 40, resamples=200, seed=seed)
        covered += found.low <= 0.8 <= found.high
        assert found.patients == 40
    assert 88 <= covered <= 100


def test_a_perfect_statistic_still_has_an_interval() -> None:
    found = patient_bootstrap(lambda times: 1.0, 12, 12)
    assert found.value == found.high == 1.0
    assert found.low == wilson(1.0, 12).low < 0.8


def test_resamples_in_which_the_statistic_is_not_defined_are_left_out() -> None:
    def statistic(times: np.ndarray) -> float:
        return float("nan") if times[0] == 0 else float(0.5 + 0.01 * times[0])

    found = patient_bootstrap(statistic, 10, 10)
    assert found.low < found.value < found.high


def test_a_difference_covers_the_truth_and_shrinks_where_both_rise_and_fall_together() -> None:
    generator = np.random.default_rng(2)
    covered, widths = 0, []
    for seed in range(100):
        first = generator.uniform(0, 1, 40)
        second = first - 0.1 + 0.05 * generator.normal(size=40)

        def mean_of(values: np.ndarray) -> Callable[[np.ndarray], float]:
            return lambda times: float(times @ values / times.sum())

        found = paired_bootstrap(mean_of(first), mean_of(second), 40, 40, seed=seed)
        covered += found.low <= 0.1 <= found.high
        widths.append(found.high - found.low)
        alike = mean_difference(first - second, seed=seed)
        assert (alike.value, alike.low) == pytest.approx((found.value, found.low), abs=0.01)
    assert 88 <= covered <= 100
    # Unpaired, the two means alone would spread by 0.25.
    assert max(widths) < 0.06


def test_a_difference_that_no_resample_defines_is_anything() -> None:
    found = paired_bootstrap(lambda _: float("nan"), lambda _: 0.5, 3, 0)
    assert (found.low, found.high) == (-1.0, 1.0)
    assert mean_difference(np.zeros(0)).patients == 0
