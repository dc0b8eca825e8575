from __future__ import annotations

import numpy as np
import pytest

from mami_core.data import Record
from mami_core.evaluation.d_sys import FEWEST_BINS, MOST_BINS, PATIENTS_A_BIN, Grid, d_sys, grid
from mami_core.evaluation.protocol import normalised, numbers


def records(people: int, visits: int = 2, images: int = 1) -> list[Record]:
    return [
        Record("", str(p), "set", subject=str(p), unit=str(v))
        for p in range(people)
        for v in range(visits)
        for _ in range(images)
    ]


def cosines(people: int, seed: int, *, identity: float, visits: int = 2) -> np.ndarray:
    generator = np.random.default_rng(seed)
    rows = identity * np.repeat(generator.normal(size=(people, 8)), visits, axis=0)
    rows = normalised(rows + generator.normal(size=rows.shape))
    return rows @ rows.T


def slow(scores: np.ndarray, some: list[Record]) -> float:
    """Pair by pair, and bins of equal mass by walking up the scores; few pairs, a cell each."""
    mated: dict[str, list[float]] = {}
    impostor: list[float] = []
    for i, one in enumerate(some):
        for j in range(i + 1, len(some)):
            other = some[j]
            if one.patient != other.patient:
                impostor.append(scores[i, j])
            elif one.unit != other.unit:
                mated.setdefault(one.patient, []).append(scores[i, j])
    bins = min(max(len(mated) // PATIENTS_A_BIN // 2 * 2, FEWEST_BINS), MOST_BINS)
    steps: dict[float, list[float]] = {}
    for own in mated.values():
        for score in own:
            steps.setdefault(score, [0.0, 0.0])[0] += 1 / len(own) / len(mated)
    for score in impostor:
        steps.setdefault(score, [0.0, 0.0])[1] += 1 / len(impostor)
    held = [[0.0, 0.0] for _ in range(bins)]
    passed = 0.0
    for score in sorted(steps):
        same, different = steps[score]
        place = min(int((passed + (same + different) / 4) * bins), bins - 1)
        passed += (same + different) / 2
        held[place][0] += same
        held[place][1] += different
    total = 0.0
    for same, different in held:
        if same > different:
            ratio = same / different if different else np.inf
            total += same * (1.0 if np.isinf(ratio) else 2 * ratio / (1 + ratio) - 1)
    return total


@pytest.mark.parametrize("identity", [0.0, 0.7, 3.0])
@pytest.mark.parametrize("digits", [1, 9])
def test_it_is_what_a_walk_over_all_pairs_finds(identity: float, digits: int) -> None:
    some = records(20)
    scores = cosines(20, 0, identity=identity).round(digits)
    found = d_sys([grid(scores, some, ordered=False)], draws=2)
    assert found.value == pytest.approx(slow(scores, some), abs=1e-12)


def test_unlinked_data_lie_inside_the_null_and_linked_ones_above() -> None:
    """At 95 %, some of forty worlds may fall out; on either side."""
    some = records(40)
    inside = 0
    for seed in range(40):
        found = d_sys([grid(cosines(40, seed, identity=0.0), some, ordered=False)], seed=seed)
        inside += found.null_low <= found.value <= found.null_high
        assert found.value > 0.0  # the bias that the null is there for
    assert inside >= 35
    linked = d_sys([grid(cosines(40, 0, identity=0.8), some, ordered=False)])
    assert linked.value > linked.null_high


def test_it_is_one_where_mates_are_apart_and_does_not_mind_the_direction() -> None:
    some = records(30)
    patient = numbers([one.person for one in some])
    scores = (patient[:, None] == patient) + 1e-6 * np.random.default_rng(0).random((60, 60))
    up, down = (d_sys([grid(one, some, ordered=False)], draws=2) for one in (scores, -scores))
    assert up.value == pytest.approx(1.0)
    assert down.value == pytest.approx(1.0)


def test_a_constant_score_tells_nothing() -> None:
    found = d_sys([grid(np.zeros((40, 40)), records(20), ordered=False)], draws=20)
    assert (found.value, found.null_low, found.null_high) == (0.0, 0.0, 0.0)


def test_copies_are_dealt_out_image_by_image() -> None:
    """The very image is found, and dealt out it is not."""
    some = records(30)
    rows = normalised(np.random.default_rng(0).normal(size=(60, 8)))
    found = d_sys([grid(rows @ rows.T, some, ordered=True, copies=True)])
    assert found.value > 0.9
    assert found.null_high < 0.4


def test_scores_of_two_fits_never_meet() -> None:
    def one(shift: float) -> Grid:
        scores = cosines(12, 1, identity=1.0)
        return grid(scores + shift, records(12), ordered=False)

    first = grid(cosines(24, 0, identity=1.0), records(24), ordered=False)
    together, apart = d_sys([first, one(0.0)]), d_sys([first, one(5.0)])
    assert together == apart
    alone = [d_sys([fold], draws=2).value for fold in (first, one(0.0))]
    assert together.value == pytest.approx((24 * alone[0] + 12 * alone[1]) / 36)


def test_pairs_of_the_same_visit_are_no_mates_and_only_those_who_ask_are_queries() -> None:
    some = records(20, images=2)
    scores = np.random.default_rng(0).normal(size=(80, 80))
    visit = numbers([(one.person, one.unit) for one in some])
    loud = scores + 9.0 * (visit[:, None] == visit)
    quiet, silent = (grid(one, some, ordered=True) for one in (scores, loud))
    assert d_sys([silent], draws=2).value < 0.2
    assert d_sys([quiet], draws=2).value < 0.2
    asking = np.arange(80) % 2 == 0
    loud = scores.copy()
    loud[1::2] += 9.0 * (numbers([one.person for one in some])[1::2, None] == np.arange(80) // 4)
    half = grid(loud, some, ordered=True, asking=asking)
    assert half.cell.shape == (40, 80)
    assert d_sys([half], draws=2).value < 0.2
    assert d_sys([grid(loud, some, ordered=True)], draws=2).value > 0.3
