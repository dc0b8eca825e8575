from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mami_core.evaluation.singling_out import guess, most_people, singling_out


def slow(own: float, others: tuple[float, ...], people: int) -> float:
    """Every division into searched and held-out people, without ties."""
    times = (len(others) - (people - 1)) // people
    hits = []
    for chosen in combinations(range(len(others)), people - 1):
        rest = [score for index, score in enumerate(others) if index not in chosen]
        for held in combinations(rest, times * people):
            top = sorted(held, reverse=True)
            threshold = (top[times - 1] + top[times]) / 2
            fired = [others[index] > threshold for index in chosen] + [own > threshold]
            hits.append(sum(fired) == 1)
    return float(np.mean(hits))


@pytest.mark.parametrize("own", [-1.0, 0.35, 0.62, 2.0])
@pytest.mark.parametrize("people", [2, 3])
def test_it_is_the_mean_over_all_divisions(own: float, people: int) -> None:
    others = (0.1, 0.25, 0.3, 0.45, 0.5, 0.66, 0.7, 0.9)
    found = singling_out(np.array([own]), np.array([others]), people, draws=4000)[0]
    assert found == pytest.approx(slow(own, others, people), abs=0.03)


def test_a_perfect_score_singles_out_and_noise_does_no_better_than_a_guess() -> None:
    generator = np.random.default_rng(0)
    others = generator.normal(size=(60, 299))
    # With M large, the threshold leaves one impostor in N above it: the own person alone fires.
    sure = singling_out(np.full(60, 50.0), others, 10).mean()
    assert sure == pytest.approx(0.9**9, abs=0.03)
    noise = singling_out(generator.normal(size=60), others, 10).mean()
    assert noise <= guess(10) + 0.03


def test_equal_scores_are_in_a_random_order() -> None:
    tied = singling_out(np.zeros(40), np.zeros((40, 200)), 10, draws=200).mean()
    assert tied == pytest.approx(guess(10), abs=0.04)


def test_nan_is_nobody_and_too_few_people_are_an_error() -> None:
    others = np.array([[0.1, np.nan, 0.3, 0.2, 0.4, 0.5]])
    assert most_people(5) == 2
    assert singling_out(np.array([1.0]), others, 2).shape == (1,)
    with pytest.raises(ValueError, match="too few impostors"):
        singling_out(np.array([1.0]), others, 3)


def test_the_guess_of_many_is_one_over_e() -> None:
    assert guess(1) == 1.0
    assert guess(2) == 0.5
    assert guess(10**6) == pytest.approx(np.exp(-1), abs=1e-6)
