from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mami_core.data import Record
from mami_core.evaluation import gallery
from mami_core.evaluation.several import DRAWS, pool

Array = np.ndarray


def unit(row: Array) -> Array:
    length = np.sqrt(sum(float(x) ** 2 for x in row))
    return row / length if length else row


def mean_of(rows: Sequence[Array]) -> Array:
    return unit(sum(unit(row) for row in rows) / len(rows))


def left_of(rows: Array, records: list[Record], drawn: Sequence[int]) -> Array:
    mine, visits = records[drawn[0]], {records[row].unit for row in drawn}
    return mean_of(
        [
            rows[row]
            for row, one in enumerate(records)
            if one.person == mine.person and one.unit not in visits
        ]
    )


def slow(
    rows: Array, asked: Array, records: list[Record], drawn: Sequence[int]
) -> tuple[float, list[float]]:
    """Score to the own person without the visits of `drawn`, and to everybody else, by the text."""
    query = mean_of([asked[row] for row in drawn])
    mine = records[drawn[0]]
    others: dict[object, list[Array]] = {}
    for row, one in enumerate(records):
        if one.person != mine.person:
            others.setdefault((one.person, one.subject), []).append(rows[row])
    left = left_of(rows, records, drawn)
    return float(query @ left), [float(query @ mean_of(one)) for one in others.values()]


def people(shape: Sequence[Sequence[int]]) -> list[Record]:
    """Of each person, how many images at each visit."""
    return [
        Record(f"{p}/{v}/{i}", str(p), "set", subject=str(p), unit=str(v))
        for p, visits in enumerate(shape)
        for v, count in enumerate(visits)
        for i in range(count)
    ]


@given(
    shape=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), min_size=2, max_size=6),
    images=st.sampled_from([1, 2, 5, None]),
    seed=st.integers(0, 100),
)
def test_every_search_is_that_of_the_slow_reference(
    shape: list[list[int]], images: int | None, seed: int
) -> None:
    records = people(shape)
    generator = np.random.default_rng(seed)
    rows, asked = generator.normal(size=(2, len(records), 6))
    found = pool(rows, records, images, queries=asked, seed=seed)
    drawn = [found.alone.query[found.draw == one] for one in range(len(found.images))]
    able = {
        str(p)
        for p, visits in enumerate(shape)
        if len(visits) > 1 and sum(visits) - min(visits) >= (images or 1)
    }
    assert {records[row].patient for row in found.together.query} == able
    for place, chosen in enumerate(drawn):
        assert len(set(chosen)) == len(chosen) == found.images[place]
        assert len({records[row].person for row in chosen}) == 1
        assert images is None or len(chosen) == images
        own, others = slow(rows, asked, records, chosen)
        assert found.together.own[place] == pytest.approx(own, abs=1e-9)
        scores = found.together.impostors[place]
        assert sorted(scores[~np.isnan(scores)]) == pytest.approx(sorted(others), abs=1e-9)
        (of_draw,) = np.nonzero(found.draw == place)
        for row, one in zip(of_draw, chosen, strict=True):
            # One by one, against the gallery of all of them.
            alone = unit(asked[one]) @ left_of(rows, records, chosen)
            assert found.alone.own[row] == pytest.approx(alone, abs=1e-9)


def test_one_image_at_a_time_is_the_search_of_the_gallery() -> None:
    records = people([[2, 1], [1, 1, 3], [4], [1, 2]])
    rows, asked = np.random.default_rng(0).normal(size=(2, len(records), 5))
    asking = np.arange(len(records)) % 3 > 0
    usual = gallery(rows, records, queries=asked, asking=asking)
    found = pool(rows, records, 1, queries=asked, asking=asking).together
    assert np.array_equal(found.query, usual.query)
    assert found.own == pytest.approx(usual.own)
    assert found.impostors == pytest.approx(usual.impostors, nan_ok=True)


def test_all_images_leave_each_visit_in_turn() -> None:
    records = people([[2, 1, 3], [1, 1]])
    rows = np.random.default_rng(0).normal(size=(len(records), 5))
    found = pool(rows, records, None)
    assert sorted(found.images) == [1, 1, 3, 4, 5]
    assert len(pool(rows, records, 2).images) == DRAWS


def test_several_noisy_images_find_more_people_than_the_same_images_one_by_one() -> None:
    """Not more than one alone does: with five of six pooled, one is left to be found by."""
    records = people([[1, 1, 1, 1, 1, 1]] * 60)
    generator = np.random.default_rng(1)
    rows = np.repeat(generator.normal(size=(60, 12)), 6, axis=0)
    rows = rows + 1.5 * generator.normal(size=rows.shape)
    found = pool(rows, records, 5)
    together, alone = (
        float((one.own > np.nanmax(one.impostors, axis=1)).mean())
        for one in (found.together, found.alone)
    )
    assert together > alone + 0.1
