from __future__ import annotations

import numpy as np
import pytest

from mami_core.data import Record
from mami_core.evaluation.curves import FEWEST_PAIRS, Curves, curves
from mami_core.evaluation.metrics import auc
from mami_core.evaluation.plane import plane
from mami_core.evaluation.protocol import figures, pairs


def people(count: int, visits: int = 2) -> list[Record]:
    return [
        Record(f"{p}_{v}", str(p), "demo", subject=str(p), unit=str(v))
        for p in range(count)
        for v in range(visits)
    ]


def embedded(records: list[Record], noise: float) -> np.ndarray:
    generator = np.random.default_rng(0)
    own = {person: generator.normal(size=8) for person in {r.patient: 0 for r in records}}
    return np.stack([own[r.patient] + noise * generator.normal(size=8) for r in records])


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return people(40)


@pytest.fixture(scope="module")
def found(records: list[Record]) -> Curves:
    return curves(embedded(records, 0.8), records)


def test_each_kind_of_pair_has_area_one_however_many_images_a_patient_has() -> None:
    records = people(5) + people(9, visits=4)[20:]
    density = curves(embedded(records, 0.5), records).density
    width = np.diff(density.edges)
    assert density.same @ width == pytest.approx(1)
    assert density.different @ width == pytest.approx(1)


def test_the_area_under_the_roc_is_the_auc(records: list[Record], found: Curves) -> None:
    scored = pairs(embedded(records, 0.8), records)
    exact = auc(scored.mated, scored.impostor, scored.mated_weight, scored.impostor_weight)
    false, true = np.append(0.0, found.roc.false), np.append(0.0, found.roc.true)
    assert np.trapezoid(true, false) == pytest.approx(exact, abs=0.01)
    assert (np.diff(true) >= 0).all()


def test_the_roc_begins_where_ten_pairs_of_distinct_patients_stand(found: Curves) -> None:
    assert found.roc.patient_pairs == 40 * 39 // 2
    assert found.roc.false[0] == pytest.approx(FEWEST_PAIRS / (40 * 39 / 2))
    assert found.roc.false[-1] == found.roc.true[-1] == pytest.approx(1)


def test_too_few_patients_have_no_roc() -> None:
    records = people(5)
    roc = curves(embedded(records, 0.5), records).roc
    assert roc.patient_pairs == 10
    assert roc.false.size == roc.true.size == 0


def test_a_constant_score_is_chance_everywhere(records: list[Record]) -> None:
    flat = curves(np.ones((len(records), 3)), records)
    assert flat.roc.true == pytest.approx(flat.roc.false)
    assert flat.cmc.found == pytest.approx(flat.cmc.rank / 40)


def test_the_cmc_begins_at_rank_1_and_ends_at_1(records: list[Record], found: Curves) -> None:
    scored = figures(embedded(records, 0.8), records)
    assert scored is not None
    assert found.cmc.rank[0] == 1
    assert found.cmc.rank[-1] == scored.gallery
    assert found.cmc.found[0] == pytest.approx(scored.rank1.value)
    assert found.cmc.found[-1] == 1


def test_the_plane_holds_the_largest_differences_with_settled_signs() -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(50, 6)) * [9, 3, 0.1, 0.1, 0.1, 0.1]
    flat = plane(rows)
    for axis in range(2):
        assert abs(np.corrcoef(flat.points[:, axis], rows[:, axis])[0, 1]) > 0.97
    assert flat.share.sum() == pytest.approx(1, abs=0.01)
    assert flat.share[0] > flat.share[1]
    assert plane(-rows).points == pytest.approx(-flat.points)


@pytest.mark.parametrize("count", [1, 4])
def test_one_image_or_equal_ones_lie_in_the_middle(count: int) -> None:
    assert plane(np.ones((count, 5))).points == pytest.approx(np.zeros((count, 2)))
