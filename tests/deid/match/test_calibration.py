from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deid.match import Options, calibration, match
from deid.match.calibration import Calibration, OutOfFold, UndecidableError, fitted
from deid.match.expected import Spread, false_matches, prior_of, spread_of
from deid.match.images import open_images
from deid.match.known import KnownPairs, known_pairs
from mami_core.data import Record


def person(number: int, visit: int = 0) -> Record:
    name = f"p{number}"
    return Record(f"{name}_{visit}.png", name, "demo", "xray", subject=name, unit=str(visit))


def known(people: int = 60, noise: float = 1.0, seed: int = 0) -> KnownPairs:
    """Two visits each, a direction a person with some noise."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(people, 16))
    rows = [directions[n] + noise * generator.normal(size=16) for n in range(people) for _ in "ab"]
    return known_pairs([(np.stack(rows), [person(n, v) for n in range(people) for v in range(2)])])


def test_what_a_persons_own_pairs_say_changes_nothing_of_how_they_are_judged() -> None:
    """A calibration that has seen the person would be moved by it."""
    found = known()
    own = found.numbers["demo", "p7"]
    touched = (found.left == own) | (found.right == own)
    turned = replace(found, score=np.where(touched, -found.score, found.score))
    asked = [person(7)] * 60, [person(n, 1) for n in range(60)]
    scores = np.linspace(0.2, 1.0, 60)
    before, after = (OutOfFold(one).judged(*asked, scores, 0.01) for one in (found, turned))
    assert np.array_equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    least = [OutOfFold(one).least([person(7)], [person(8)], 0.05) for one in (found, turned)]
    assert least[0] == least[1]
    # Of somebody else it does.
    strangers = [person(8)], [person(9)]
    other = [OutOfFold(one).judged(*strangers, scores[:1], 0.01) for one in (found, turned)]
    assert other[0][0] != other[1][0]


def test_a_stranger_is_judged_by_everybody() -> None:
    judge = OutOfFold(known())
    probability, rate = judge.judged([person(500)], [person(501)], np.array([0.7]), 0.01)
    assert probability[0] == judge.whole.probability(np.array([0.7]), 0.01)[0]
    assert rate[0] == judge.whole.rate(np.array([0.7]))[0]


def test_every_pair_is_of_one_set_and_no_visit_is_its_own_mate() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 8))
    records = [person(0, 0), person(0, 0), person(0, 1), person(1, 0)]
    found = known_pairs([(rows, records), (rows[:2], [person(2), person(3)])])
    assert int(found.mated.sum()) == 2
    assert int((~found.mated).sum()) == 4
    assert found.pairs_of_people() == 2
    assert found.patients == 1


def test_probabilities_are_what_happens() -> None:
    """Fitted on some people, they hold for others."""
    judge, others = OutOfFold(known(80)), known(80, seed=1)
    sure = judge.whole.probability(others.score, float(others.mated.mean()))
    assert sure.sum() == pytest.approx(others.mated.sum(), rel=0.2)
    for low, high in ((0.1, 0.5), (0.5, 1.0)):
        here = (sure >= low) & (sure < high)
        assert others.mated[here].mean() == pytest.approx(sure[here].mean(), abs=0.15)


def test_the_share_of_one_patients_pairs_is_estimated() -> None:
    generator = np.random.default_rng(0)
    scores = np.concatenate([generator.normal(0.0, 0.1, 40_000), generator.normal(0.5, 0.1, 200)])
    fit = fitted(scores, np.arange(len(scores)) >= 40_000)
    few = np.concatenate([scores[:40_000], scores[40_000:40_020]])
    counts = np.histogram(few.clip(-1, 1), 4000, (-1, 1))[0]
    assert prior_of(Spread(counts), fit) * len(few) == pytest.approx(20, abs=4)


def test_the_rate_counts_ties_and_never_says_nought() -> None:
    fit = Calibration(0.0, 1.0, np.array([0.1, 0.2, 0.2, 0.3]), 4)
    assert fit.rate(np.array([0.05, 0.2, 0.25, 0.9])).tolist() == [1.0, 0.8, 0.4, 0.2]
    for rate in (0.2, 0.4, 0.8):
        above = np.array([fit.threshold(rate) + 1e-9])
        assert fit.rate(above)[0] <= rate


def test_false_matches_are_those_of_the_known_people_scaled() -> None:
    found = known(60)
    threshold = float(np.quantile(found.score[~found.mated], 0.99))
    impostors = ~found.mated & (found.score > threshold)
    expected = false_matches(found, threshold, 1e5, 0)
    share = impostors.sum() / (~found.mated).sum()
    assert expected["value"] == pytest.approx(1e5 * share)
    assert expected["low"] < expected["value"] < expected["high"]
    others = [known(60, seed=seed) for seed in range(1, 21)]
    there = [int((~one.mated & (one.score > threshold)).sum()) for one in others]
    said = false_matches(found, threshold, float((~found.mated).sum()), 0)
    assert sum(said["low"] <= number <= said["high"] for number in there) >= 15


def test_few_or_unlike_people_support_nothing() -> None:
    with pytest.raises(UndecidableError, match="20 known patients have an image of another visit"):
        OutOfFold(known(20))
    found = known(60)
    with pytest.raises(UndecidableError, match="no more alike"):
        OutOfFold(replace(found, score=-found.score))
    judge = OutOfFold(found)
    assert judge.supported(None) == judge.least_rate >= 10 / judge.support
    with pytest.raises(UndecidableError, match="can state"):
        judge.supported(judge.least_rate / 2)


def test_a_spread_of_one_set_leaves_out_an_image_and_itself() -> None:
    rows = np.eye(5, dtype=np.float32)
    spread = spread_of(rows, None, 0)
    assert int(spread.counts.sum()) == 20
    assert int(spread_of(rows, rows, 0).counts.sum()) == 25


def test_a_part_that_supports_nothing_is_not_decidable_and_no_error(
    monkeypatch: pytest.MonkeyPatch, people: Callable[..., Path]
) -> None:
    """The fit over everybody decides; one of those that leave two parts out does not."""
    of_all = fitted

    def sometimes(score: np.ndarray, mated: np.ndarray) -> Calibration:
        if mated.sum() < 40:
            raise UndecidableError("pairs of one person are no more alike than pairs of two")
        return of_all(score, mated)

    monkeypatch.setattr(calibration, "fitted", sometimes)
    images = [open_images(str(people(val=40)))]
    found = match(images, Options(attacker="pixels", false_match_rate=0.02))
    group = found.record["modalities"]["xray"]
    assert group["undecidable"].startswith("pairs of one person are no more alike")
    assert {one.found_as for one in found.found} <= {"nearest", "copy", "near copy"}
