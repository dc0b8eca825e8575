from __future__ import annotations

import numpy as np
import pytest

from deid.audit.figures import Draws, difference, figures, largest, score
from deid.audit.linkages import LINKAGES
from mami_core.data import Record


def records(people: int, visits: int = 2) -> list[Record]:
    return [
        Record("", str(p), "set", subject=str(p), unit=str(v))
        for p in range(people)
        for v in range(visits)
    ]


def test_a_copy_is_found_among_originals_and_equal_pictures_tie() -> None:
    some = records(20)
    rows = np.random.default_rng(0).normal(size=(40, 8))
    same = score(rows, rows, some, LINKAGES["copy"])
    assert same is not None
    found = figures([same], None)
    assert (found["rank1"]["value"], found["auc"]["value"]) == (1.0, 1.0)
    assert found["patients"] == 20
    assert found["d_sys"]["value"] == 1.0
    # The same picture for everybody, up to what rounding leaves of it.
    constant = np.ones((40, 8)) * (1 + 1e-15 * np.arange(40)[:, None])
    for name in ("outer", "inner", "copy", "reverse"):
        tied = score(constant, rows, some, LINKAGES[name])
        assert tied is not None
        twice = score(constant, constant, some, LINKAGES[name])
        assert twice is not None
        found = figures([twice], None)
        assert found["auc"]["value"] == pytest.approx(0.5)
        assert found["rank1"]["value"] == pytest.approx(1 / 20)
        assert found["d_sys"] == {"value": 0.0, "null_low": 0.0, "null_high": 0.0}
        assert found["c_llr"]["value"] == pytest.approx(1.0, abs=0.02)


def test_the_outer_linkage_of_a_release_that_changed_nothing_is_that_of_the_originals() -> None:
    some = records(25)
    rows = np.repeat(np.random.default_rng(0).normal(size=(25, 6)), 2, axis=0)
    rows += np.random.default_rng(1).normal(size=rows.shape)
    found = {
        name: figures([scored], None)
        for name in ("original", "outer", "reverse", "inner")
        if (scored := score(rows, rows, some, LINKAGES[name]))
    }
    for name in ("outer", "reverse", "inner"):
        assert found[name]["rank1"] == found["original"]["rank1"]
        assert found[name]["auc"]["value"] == pytest.approx(found["original"]["auc"]["value"])
        assert found[name]["singling_out"] == found["original"]["singling_out"]


def test_what_is_drawn_of_an_attacker_begins_at_its_figures_and_stays_small() -> None:
    some = records(40)
    rows = np.repeat(np.random.default_rng(0).normal(size=(40, 6)), 2, axis=0)
    rows += np.random.default_rng(1).normal(size=rows.shape)
    scored = score(rows, rows, some, LINKAGES["original"])
    assert scored is not None
    found = figures([scored], None)
    first, *_, last = found["cmc"]
    keys = ("value", "low", "high", "patients")
    assert [first[key] for key in keys] == [found["rank1"][key] for key in keys]
    assert (first["n"], first["guess"], last["n"], last["value"]) == (1, 1 / 40, 40, 1.0)
    assert found["roc"]["true"][-1] == found["roc"]["false"][-1] == 1.0
    curves = [*found["roc"].values(), *found["similarity"].values(), found["cmc"]]
    assert max(len(curve) for curve in curves if isinstance(curve, list)) <= 100


def test_the_largest_of_many_that_guess_is_not_far_above_its_interval() -> None:
    """Hand-worked: 0, 1 and 1/2 of two patients; the larger mean wins, its interval is Wilson's."""
    found = largest([np.array([0.0, 0.5]), np.array([1.0, 0.5])])
    assert found.value == 0.75
    assert found.low < 0.5
    assert found.high == 1.0 or found.high > 0.98


def test_a_fold_scores_its_own_people_alone() -> None:
    """Two folds in which everybody is found are both 1, however their scores lie."""
    some = records(4)
    rows = np.repeat(np.eye(4), 2, axis=0)
    first = score(rows, rows, some, LINKAGES["original"])
    second = score(rows + 10.0, rows + 10.0, some, LINKAGES["original"])
    assert first is not None
    assert second is not None
    found = figures([first, second], None)
    assert found["rank1"]["gallery"] == 4
    assert found["rank1"]["value"] == 1.0
    assert found["auc"]["value"] == 1.0


def test_the_difference_is_of_each_patient_with_itself() -> None:
    """What is equal before and after has no spread, however patients differ."""
    some = records(20)
    rows = np.repeat(np.random.default_rng(0).normal(size=(20, 3)), 2, axis=0)
    rows += 0.7 * np.random.default_rng(1).normal(size=rows.shape)
    before = score(rows, rows, some, LINKAGES["original"])
    assert before is not None
    same = difference([before], [before], 20)
    assert (same["value"], same["low"], same["high"]) == (0.0, 0.0, 0.0)
    constant = score(np.ones((40, 3)), rows, some, LINKAGES["outer"])
    equal = score(np.ones((40, 3)), np.ones((40, 3)), some, LINKAGES["outer"])
    assert constant is not None
    assert equal is not None
    rank1 = figures([before], None)["rank1"]["value"]
    fewer = difference([before], [equal], 20)
    assert fewer["value"] == pytest.approx(rank1 - 1 / 20)
    assert fewer["low"] < fewer["value"] < fewer["high"]


def test_what_several_images_find_is_told_where_thirty_patients_have_them() -> None:
    some = records(35, 6)[:-6] + records(36, 3)[-3:]
    rows = np.repeat(np.random.default_rng(0).normal(size=(36, 9)), 6, axis=0)[: len(some)]
    rows += 1.5 * np.random.default_rng(1).normal(size=rows.shape)
    scored = score(rows, rows, some, LINKAGES["original"])
    assert scored is not None
    found = figures([scored], None)
    one, two, five, every = found["by_images"]
    assert one["linkability"] == found["linkability"][-1]
    assert one["alone"] == one["linkability"]["value"]
    assert [point["linkability"]["patients"] for point in (one, two, five)] == [35, 35, 34]
    assert (two["mean"], five["mean"], every["mean"]) == (2.0, 5.0, pytest.approx(4.914, abs=1e-3))
    assert two["linkability"]["value"] > two["alone"]
    assert five["linkability"]["value"] > five["alone"]
    assert five["singling_out"]["guess"] == found["singling_out"][-1]["guess"]
    few = score(rows[:150], rows[:150], some[:150], LINKAGES["original"])
    assert few is not None
    assert {tuple(point)[1] for point in figures([few], None)["by_images"]} == {"undecidable"}
    copied = score(rows, rows, some, LINKAGES["copy"])
    assert copied is not None
    assert figures([copied], None)["by_images"] == []


def test_the_pooled_linkage_leaves_out_the_visit_in_either_form() -> None:
    """The gallery holds protected and original of each visit: neither of a pooled one is there."""
    some = records(30, 3)
    visits = np.eye(90)
    scored = score(visits, visits, some, LINKAGES["pooled"])
    assert scored is not None
    # Every image is like itself alone: whoever is found was found by a visit that was pooled.
    assert np.all(scored.pools["2"].together.own == 0.0)
    assert np.all(scored.pools["all"].alone.own == 0.0)


def test_intervals_hang_on_the_resamples_and_their_seed_and_figures_do_not() -> None:
    some = records(12)
    rows = np.repeat(np.random.default_rng(0).normal(size=(12, 6)), 2, axis=0)
    rows += np.random.default_rng(1).normal(size=rows.shape)
    one, other = (score(each, rows, some, LINKAGES["outer"]) for each in (rows, rows**3))
    assert one is not None
    assert other is not None

    # Of so many attackers the largest in a resample lies beyond Wilson's interval of any.
    random = np.random.default_rng(2)
    shares = list(np.where(random.random((2000, 12)) < 0.15, random.random((2000, 12)), 0.0))

    def told(draws: Draws) -> list[dict[str, float]]:
        found = figures([one], None, draws)
        most = largest(shares, draws).as_dict()
        return [found["auc"], found["eer"], difference([one], [other], 12, draws), most]

    usual = told(Draws(resamples=100))
    assert told(Draws(resamples=100)) == usual
    for draws in (Draws(resamples=200), Draws(seed=1, resamples=100)):
        for before, after in zip(usual, told(draws), strict=True):
            assert before["value"] == after["value"]
            assert (before["low"], before["high"]) != (after["low"], after["high"])
