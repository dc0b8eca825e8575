from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mami_core.data import Dataset
from mami_core.models.encoder import Config
from mami_core.models.remover import Remover, RemoverConfig
from mami_core.training import Budget, train
from mami_core.training.choice import mark
from mami_core.training.mami import EncoderTask
from mami_core.training.recipe import Recipe
from mami_core.weights import load


class Counter:
    """Each step adds one to a number; `scores` says how good the network is at each number."""

    kind, start, identity = "remover", "starting from nothing", "a"

    def __init__(self, scores: dict[int, float], stop: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = self.learner = Remover(RemoverConfig(image=64))
        self.scores, self.stop = scores, stop

    @property
    def number(self) -> Tensor:
        return self.model.spread.bias

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.number], "lr": 0.0}]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        if step == self.stop:
            raise KeyboardInterrupt
        with torch.no_grad():
            self.number.fill_(float(step + 1))
        return 0.0 * self.number.sum(), {}

    def score(self) -> float | None:
        return self.scores.get(round(self.number[0].item()))

    def facts(self) -> dict[str, Any]:
        return {"number": round(self.number[0].item())}


def test_the_state_that_scores_highest_is_kept_and_the_weights_say_so(tmp_path: Path) -> None:
    path = train(
        lambda: Counter({6: 0.7, 8: 0.9, 10: 0.8}), Budget(steps=10), tmp_path, device="cpu"
    )
    facts = load(path).facts
    assert facts["chosen"] == {"at": 0.8, "scores": {"0.6": 0.7, "0.8": 0.9, "1": 0.8}}
    assert facts["number"] == 8
    assert facts["steps"] == 10


def test_of_equal_states_the_last_is_kept(tmp_path: Path) -> None:
    path = train(
        lambda: Counter({6: 0.9, 8: 0.9, 10: 0.9}), Budget(steps=10), tmp_path, device="cpu"
    )
    assert load(path).facts["chosen"]["at"] == 1.0


def test_where_nothing_can_tell_the_last_is_kept(tmp_path: Path) -> None:
    facts = load(train(lambda: Counter({}), Budget(steps=10), tmp_path, device="cpu")).facts
    assert "chosen" not in facts
    assert facts["number"] == 10


def test_a_resumed_training_keeps_what_an_uninterrupted_one_does(
    tmp_path: Path, same_weights: Callable[[Path, Path], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mami_core.training.loop.SAVE_EVERY", 7)
    scores = {6: 0.9, 8: 0.5, 10: 0.8}
    whole = train(lambda: Counter(scores), Budget(steps=10), tmp_path / "whole", device="cpu")
    cut = tmp_path / "cut"
    for stop in (3, 9):
        with pytest.raises(KeyboardInterrupt):
            train(
                lambda stop=stop: Counter(scores, stop),
                Budget(steps=10),
                cut,
                device="cpu",
                resume=cut.exists(),
            )
    resumed = train(lambda: Counter(scores), Budget(steps=10), cut, device="cpu", resume=True)
    assert load(resumed).facts["number"] == 6
    assert same_weights(resumed, whole)


@pytest.mark.parametrize(
    ("before", "spent", "passed"),
    [(0.0, 0.59, None), (0.59, 0.6, 0.6), (0.6, 0.7, None), (0.5, 1.0, 0.8), (0.8, 1.0, None)],
)
def test_a_mark_is_passed_once(before: float, spent: float, passed: float | None) -> None:
    assert mark(before, spent) == passed


def test_only_sets_with_enough_patients_choose_between_encoders(
    data: Dataset, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def task() -> EncoderTask:
        return EncoderTask(data, tiny, Recipe(init="none"), guides={}, seed=0, device="cpu")

    with torch.no_grad():
        assert task().score() is None
        monkeypatch.setattr("mami_core.training.mami.FEWEST_TO_CHOOSE", 2)
        encoder = task()
        found = encoder.score()
    assert found is not None
    assert 0.0 <= found <= 1.0
    assert {record.split for record in encoder.judges.records} == {"val"}
