from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mami_core.evaluation.inference import UNKNOWN, added, guessed, read_off


def slow(scores: np.ndarray, own: list[int], others: list[int], values: np.ndarray) -> float:
    """Each own record released in turn, and every order of the records that has scores fall."""
    own = [record for record in own if values[record] != UNKNOWN]
    others = [record for record in others if values[record] != UNKNOWN]
    if not own or not others:
        return float("nan")
    figures = []
    for released in own:
        there = [*others, released]
        orders = [
            order
            for order in permutations(there)
            if all(scores[a] >= scores[b] for a, b in pairwise(order))
        ]
        figures.append(np.mean([values[order[0]] == values[released] for order in orders]))
    return float(np.mean(figures))


@settings(max_examples=120)
@given(
    scores=hnp.arrays(np.float64, 7, elements=st.integers(0, 2).map(float)),
    values=hnp.arrays(np.intp, 7, elements=st.integers(-1, 2)),
    kinds=st.lists(st.integers(0, 2), min_size=7, max_size=7),
)
def test_it_is_the_mean_over_the_released_record_and_the_orders_of_ties(
    scores: np.ndarray, values: np.ndarray, kinds: list[int]
) -> None:
    kind = np.array(kinds)
    own, others = ([i for i in range(7) if kinds[i] == which] for which in (1, 2))
    others = others[:5]
    rest = np.isin(np.arange(7), others)
    found = read_off(scores[None], (kind == 1)[None], rest[None], values)[0]
    assert found == pytest.approx(slow(scores, own, others, values), abs=1e-12, nan_ok=True)


def test_who_finds_the_person_knows_the_value_and_who_guesses_knows_the_share() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 2, 80)
    mates = np.eye(40, dtype=bool).repeat(2, axis=1)
    assert (read_off(9.0 * mates, mates, ~mates, values) == 1.0).all()
    blind = read_off(np.zeros((40, 80)), mates, ~mates, values).mean()
    share = values.mean()
    assert blind == pytest.approx(share**2 + (1 - share) ** 2, abs=0.03)
    said = guessed(np.ones(40, dtype=np.intp), mates, values)
    assert said.mean() == pytest.approx(share)


def test_what_is_not_known_is_no_number() -> None:
    values = np.array([UNKNOWN, 1, 1])
    mates = np.array([[True, False, False], [False, True, False]])
    others = np.array([[False, True, True], [False, False, True]])
    scores = np.zeros((2, 3))
    found = read_off(scores, mates, others, values)
    said = guessed(np.array([1, 0]), mates, values)
    assert np.isnan(found[0])
    assert found[1] == 1.0
    assert np.isnan(said[0])
    assert said[1] == 0.0


def test_the_release_adds_what_the_control_does_not_have_and_the_interval_is_paired() -> None:
    main, control = np.array([1.0, 1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0, 0.0])
    value, low, high = added(main, control)
    assert value == pytest.approx((0.75 - 0.25) / 0.75)
    assert low <= value <= high
    assert added(control, control) == (0.0, 0.0, 0.0)
    assert np.isnan(added(main, np.ones(4))[0])
