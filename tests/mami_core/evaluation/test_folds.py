from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mami_core.data import Record
from mami_core.evaluation import pairs, verification
from mami_core.evaluation.folds import verification_of_folds
from mami_core.evaluation.protocol import Pairs


def world(people: int, seed: int, shift: float = 0.0) -> Pairs:
    generator = np.random.default_rng(seed)
    rows = np.repeat(generator.normal(size=(people, 8)), 2, axis=0)
    rows += 1.2 * generator.normal(size=rows.shape)
    records = [
        Record("", str(p), "set", subject=str(p), unit=str(v))
        for p in range(people)
        for v in (0, 1)
    ]
    found = pairs(rows, records)
    return replace(found, mated=found.mated + shift, impostor=found.impostor + shift)


def test_one_fold_is_the_plain_figure() -> None:
    found = world(20, 0)
    assert verification_of_folds([found]) == verification(found)


def test_scores_of_two_folds_are_never_compared() -> None:
    first, second = world(20, 0), world(10, 1)
    together = verification_of_folds([first, second])
    apart = verification_of_folds([first, world(10, 1, shift=5.0)])
    assert together == apart
    alone = [verification(one).value for one in (first, second)]
    assert together.value == pytest.approx((20 * alone[0] + 10 * alone[1]) / 30)
    assert together.patients == 30
