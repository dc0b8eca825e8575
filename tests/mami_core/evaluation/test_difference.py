from __future__ import annotations

import numpy as np
import pytest

from mami_core.data import Record
from mami_core.evaluation import figures, wilson
from mami_core.evaluation.difference import Both, both, difference


def world(people: int, noise: float, seed: int = 0, source: str = "a") -> tuple[np.ndarray, list]:
    """Two visits a person; the same people and the same noise, at another level."""
    generator = np.random.default_rng(seed)
    own = np.repeat(generator.normal(size=(people, 8)), 2, axis=0)
    rows = own + noise * generator.normal(size=own.shape)
    records = [
        Record("", str(p), source, subject=str(p), unit=str(v)) for p in range(people) for v in "01"
    ]
    return rows, records


def compared(people: int, *noise: float, seed: int = 0, source: str = "a") -> Both:
    first, records = world(people, noise[0], seed, source)
    second, _ = world(people, noise[1], seed, source)
    found = both(first, second, records)
    assert found is not None
    return found


def test_it_is_the_figures_of_one_less_those_of_the_other() -> None:
    first, records = world(30, 0.6)
    second, _ = world(30, 1.0)
    one, other = figures(first, records), figures(second, records)
    assert one is not None
    assert other is not None
    found = difference([compared(30, 0.6, 1.0)])
    assert found.auc.value == pytest.approx(one.auc.value - other.auc.value)
    assert found.rank1.value == pytest.approx(one.rank1.value - other.rank1.value)
    assert found.rank1.value > 0.2
    assert 0 < found.rank1.low < found.rank1.value < found.rank1.high
    assert 0 < found.auc.low < found.auc.value < found.auc.high
    assert found.auc.patients == found.rank1.patients == 30


def test_the_other_way_round_it_has_the_other_sign() -> None:
    found, turned = difference([compared(30, 0.6, 1.0)]), difference([compared(30, 1.0, 0.6)])
    for one, other in ((found.auc, turned.auc), (found.rank1, turned.rank1)):
        assert (one.value, one.low) == pytest.approx((-other.value, -other.high))


def test_pairing_tells_apart_what_two_intervals_do_not() -> None:
    first, records = world(60, 0.9)
    second, _ = world(60, 1.0)
    one, other = figures(first, records), figures(second, records)
    assert one is not None
    assert other is not None
    assert other.auc.high > one.auc.low
    assert difference([compared(60, 0.9, 1.0)]).auc.low > 0


def test_patients_of_all_sources_weigh_the_same() -> None:
    some, more = compared(10, 0.6, 1.0), compared(30, 0.9, 1.2, seed=1, source="b")
    apart = [difference([one]) for one in (some, more)]
    together = difference([some, more])
    for key in ("auc", "rank1"):
        values = [getattr(one, key).value for one in apart]
        assert getattr(together, key).value == pytest.approx((10 * values[0] + 30 * values[1]) / 40)
        assert getattr(together, key).patients == 40


def test_where_nothing_differs_few_patients_leave_room_for_doubt() -> None:
    found = difference([compared(12, 0.5, 0.5)])
    for one in (found.auc, found.rank1):
        assert one.value == 0.0
        assert (-one.low, one.high) == (wilson(0.0, 12).high, wilson(0.0, 12).high)


def test_nobody_with_a_mate_has_no_difference() -> None:
    records = [Record("", str(p), "a", subject=str(p), unit="0") for p in range(4)]
    assert both(np.eye(4), np.eye(4), records) is None
