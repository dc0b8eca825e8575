from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from mami_core.evaluation.singling_out import FEWEST, TIMES, guess, most_people, singling_out


def slow(own: float, others: tuple[float, ...], people: int) -> float:
    """Every division into searched and held-out people, without ties."""
    times = (len(others) - (people - 1)) // (people - 1)
    hits = []
    for chosen in combinations(range(len(others)), people - 1):
        rest = [score for index, score in enumerate(others) if index not in chosen]
        for held in combinations(rest, times * (people - 1)):
            top = sorted([*held, *[own] * times], reverse=True)
            threshold = (top[times - 1] + top[times]) / 2
            fired = [others[index] > threshold for index in chosen] + [own > threshold]
            hits.append(sum(fired) == 1)
    return float(np.mean(hits))


@pytest.mark.parametrize("own", [-1.0, 2.0, 0.95])
@pytest.mark.parametrize("people", [3, 4, 5])
def test_it_is_the_mean_over_all_divisions(own: float, people: int) -> None:
    others = (0.11, 0.253, 0.307, 0.459, 0.513, 0.661, 0.707, 0.937)
    found = singling_out(np.array([own]), np.array([others]), people, draws=4000)[0]
    assert found == pytest.approx(slow(own, others, people), abs=0.03)


def test_a_perfect_score_singles_out_and_noise_does_no_better_than_a_guess() -> None:
    generator = np.random.default_rng(0)
    others = generator.normal(size=(60, 299))
    for people in (FEWEST, 10, 100):
        assert singling_out(np.full(60, 50.0), others, people).mean() > 0.99
        noise = singling_out(generator.normal(size=60), others, people).mean()
        assert noise <= guess(people) + 0.03


def test_equal_scores_are_in_a_random_order() -> None:
    tied = singling_out(np.zeros(40), np.zeros((40, 200)), 10, draws=200).mean()
    assert tied == pytest.approx(guess(10), abs=0.05)


def test_nan_is_nobody_and_too_few_people_are_an_error() -> None:
    others = np.array([[0.1, np.nan, 0.3, 0.2, 0.4, 0.5]])
    assert most_people(5) == 3
    assert singling_out(np.array([1.0]), others, 3).shape == (1,)
    with pytest.raises(ValueError, match="too few impostors"):
        singling_out(np.array([1.0]), others, 4)


def test_the_guess_of_many_is_one_over_e() -> None:
    assert guess(1) == 1.0
    assert guess(2) == 0.5
    assert guess(10**6) == pytest.approx(np.exp(-1), abs=1e-6)


@pytest.mark.parametrize("own", [-1.0, 0.61, 0.95, 2.0])
@pytest.mark.parametrize("people", [3, 4])
def test_it_is_that_of_the_package_which_an_authority_has_seen(own: float, people: int) -> None:
    """Theirs on every division of nine impostors; an own score that is held out is a hair off."""
    oracle = pytest.importorskip("legal_eval.metrics.singling_out")
    others = (0.11, 0.253, 0.307, 0.459, 0.513, 0.661, 0.707, 0.937, 0.405)
    times = min((len(others) - (people - 1)) // (people - 1), TIMES)
    names = [str(index) for index in range(people)]
    slices = [(times * index, times * (index + 1)) for index in range(people)]
    hits = []
    for chosen in combinations(range(len(others)), people - 1):
        rest = [score for index, score in enumerate(others) if index not in chosen]
        test = [own, *(others[index] for index in chosen)]
        for held in combinations(rest, times * (people - 1)):
            # The searched own score is as likely at each place among those that are held out.
            for below, side in product(range(times + 1), (0.4, 0.6)):
                again = [own + 1e-9 * (place - below + side) for place in range(times)]
                scores = oracle.ConversationScores(
                    ["0"], names, np.array([test]), np.array([[*again, *held]]), slices
                )
                hits += oracle.singling_out(scores, people, n_runs=1)["0"]
    found = singling_out(np.array([own]), np.array([others]), people, draws=20_000)[0]
    assert found == pytest.approx(np.mean(hits), abs=0.015)
