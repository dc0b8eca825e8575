"""The remover and its critic: who learns from whom, and who stays as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mami_core.data import Dataset
from mami_core.models.encoder import Config, MaMI
from mami_core.models.remover import RemoverConfig
from mami_core.training import critic
from mami_core.training.critic import CriticTask, Memory
from mami_core.training.loop import _turns
from mami_core.training.unet import RemoverTask
from mami_core.weights import load


@pytest.fixture
def task(data: Dataset, tiny_remover: RemoverConfig, judges: dict[str, Path]) -> RemoverTask:
    met = load(judges["encoder"]), load(judges["medical"])
    return RemoverTask(data, *met, tiny_remover, init="none", batch=6, seed=0, device="cpu")


def _state(task: RemoverTask) -> dict[str, torch.Tensor]:
    """All parameters, of the remover and of the critic with the encoder that it looks through."""
    both = {"remover": task.model, "critic": task.adversary.model}
    return {
        f"{name}.{key}": value.clone()
        for name, model in both.items()
        for key, value in model.named_parameters()
    }


def test_the_critic_learns_who_is_who_from_the_pictures_that_it_met(task: RemoverTask) -> None:
    task.loss(0)
    optimiser = torch.optim.Adam(task.adversary.model.eyes.parameters(), lr=1e-2)
    told = []
    for _ in range(25):
        loss, figures = task.adversary.loss(0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        told.append((loss.item(), figures["found"]))
    assert told[-1][0] < 0.5 * told[0][0]
    assert told[-1][1] == 1.0


def test_in_its_turn_each_of_the_two_moves_itself_alone(task: RemoverTask) -> None:
    for step in range(2):
        for name, turn in _turns(task).items():
            before = _state(task)
            turn.take(step, 1.0, "cpu", bf16=False)
            moved = {key for key, value in _state(task).items() if not value.equal(before[key])}
            own = "critic.eyes." if name else "remover."
            assert moved
            assert all(key.startswith(own) for key in moved)


def test_the_verdict_moves_the_picture_away_from_its_person_and_never_the_critic(
    tiny: Config,
) -> None:
    torch.manual_seed(0)
    encoder = MaMI(tiny)
    task = CriticTask(encoder, "", "cpu")
    rows = torch.randn(6 + 20, sum(encoder.depths))
    original, others = rows[:6], rows[6:]
    protected = original.clone().requires_grad_()
    person = torch.arange(3)
    paid = task.verdict(protected, original, person, others)
    assert paid.shape == (3,)
    paid.sum().backward()
    assert all(one.grad is None for one in task.model.eyes.parameters())
    assert protected.grad is not None
    with torch.no_grad():
        away = protected - 5.0 * protected.grad
        assert task.verdict(away, original, person, others).sum() < paid.sum()


def test_who_is_like_nobody_known_pays_little_and_who_is_like_the_own_person_much(
    tiny: Config,
) -> None:
    torch.manual_seed(0)
    encoder = MaMI(tiny)
    task = CriticTask(encoder, "", "cpu")
    rows = torch.randn(3 + 20, sum(encoder.depths))
    same, others = rows[:3].repeat(2, 1), rows[3:]
    strangers = torch.randn(6, sum(encoder.depths))
    person = torch.arange(3)
    open_, hidden = (task.verdict(one, same, person, others) for one in (same, strangers))
    assert (open_ > hidden + 1.0).all()


def test_the_memory_holds_the_latest_pictures_and_gives_those_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(critic, "REMEMBERED", 5)
    memory = Memory(1)
    assert memory.others(torch.tensor([0])).shape == (0, 1)
    for first in (0, 4):
        at = torch.arange(first, first + 4)
        memory.add(at[:, None].float(), at // 2)
    assert sorted(memory.others(torch.tensor([3])).ravel().tolist()) == [3.0, 4.0, 5.0]
