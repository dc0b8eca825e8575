from __future__ import annotations

import numpy as np

from mami_core.evaluation import auc
from mami_core.training.finding_heads import STRENGTHS, _chosen, fit


def _ill(seed: int, people: int = 120) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Two pictures a person; every tenth is ill, which shows in one of forty numbers."""
    random = np.random.default_rng(seed)
    truth = (np.arange(people) % 10 == 0).repeat(2).astype(float)
    keys = 5.0 + random.normal(size=(2 * people, 40)) * np.linspace(0.1, 30.0, 40)
    keys[:, 3] += 8.0 * truth
    return keys, truth, [f"p{number // 2}" for number in range(2 * people)]


def test_a_rare_finding_is_told_of_people_whom_the_head_has_not_seen() -> None:
    weight, bias = fit(*_ill(0))
    keys, truth, _ = _ill(1)
    scores = keys @ weight + bias
    assert auc(scores[truth == 1], scores[truth == 0]) > 0.95
    told = 1.0 / (1.0 + np.exp(-scores))
    assert abs(told.mean() - truth.mean()) < 0.05


def test_what_tells_people_apart_does_not_pass_for_a_finding() -> None:
    """Were a person's pictures on both sides, the weakest penalty would look best."""
    random = np.random.default_rng(0)
    who = np.arange(80).repeat(4)
    keys = random.normal(size=(80, 60))[who] + 0.01 * random.normal(size=(320, 60))
    truth = random.integers(0, 2, 80)[who].astype(float)
    assert _chosen(keys, truth, who) == STRENGTHS[0]


def test_with_few_ill_people_the_head_is_fitted_all_the_same() -> None:
    keys = np.array([[0.0, 1.0], [0.1, 5.0], [1.0, 2.0], [1.1, 4.0]])
    weight, bias = fit(keys, np.array([0.0, 0.0, 1.0, 1.0]), ["a", "b", "c", "d"])
    assert ((keys @ weight + bias > 0) == [False, False, True, True]).all()
    assert weight[0] > abs(weight[1])
