"""What an attacker that turns the edit back sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deid.audit.attackers.undo import SIDE, _fitted, _pictures, _rows
from deid.audit.matching import Training
from deid.audit.turning_back import learnt, out_of_fold
from mami_core.data import Record
from mami_core.evaluation import auc

PEOPLE = 60


def smooth(count: int, seed: int, side: int = SIDE) -> np.ndarray:
    """Pictures ``(count, 3, side, side)`` that vary smoothly, in grey."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.uniform(40, 215, (count, 1, 9, 9)).astype(np.float32))
    grey = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    return grey.clamp(0, 255).byte().expand(-1, 3, -1, -1).numpy()


def test_a_fixed_shuffle_is_turned_back_for_pictures_that_taught_nothing() -> None:
    pictures = smooth(160, 0, 48).reshape(160, 3, -1)[:, 0].astype(np.float32)
    order = np.random.default_rng(1).permutation(pictures.shape[1])
    known, new = torch.from_numpy(pictures[:120]), torch.from_numpy(pictures[120:])
    back = learnt(known[:, order], known)
    assert float((new[:, order] - new).abs().mean()) > 30
    assert float((back(new[:, order]) - new).abs().mean()) < 3


def test_no_row_is_turned_back_by_what_its_own_half_taught() -> None:
    """Noise can not be turned back: who seems to, has learnt it by heart."""
    random = np.random.default_rng(0)
    original, edited = (
        torch.from_numpy(random.normal(128, 40, (60, 400)).astype(np.float32)) for _ in range(2)
    )
    half = torch.arange(60) % 2 == 0
    by_heart = (learnt(edited, original)(edited) - original).std()
    honest = (out_of_fold(edited, original, half) - original).std()
    assert by_heart < 35
    assert honest > 40


def test_pictures_without_any_difference_are_turned_into_their_mean() -> None:
    original = torch.from_numpy(np.random.default_rng(0).normal(100, 20, (40, 64)))
    edited = torch.full((40, 64), 128.0)
    restored = learnt(edited, original.float())(edited)
    assert torch.allclose(restored[0], original.float().mean(dim=0), atol=1e-3)


@pytest.mark.parametrize("grey", [True, False])
def test_rows_hold_a_picture_in_its_colours(grey: bool) -> None:
    pictures = smooth(3, 0)
    if not grey:
        pictures = np.concatenate([smooth(3, seed)[:, :1] for seed in (1, 2, 3)], axis=1)
        pictures = (96 + pictures // 3).astype(np.uint8)
    again = _pictures(_rows(pictures), SIDE)
    assert np.abs(again.astype(int) - pictures).mean() < (1 if grey else 4)


def test_it_finds_people_behind_a_shuffle_and_in_two_releases() -> None:
    """`look` is a coarse thumbnail here, to which a shuffled picture says nothing."""
    side = 48
    random = np.random.default_rng(5)
    order = random.permutation(side * side)

    def visits(seed: int) -> np.ndarray:
        twice = np.repeat(smooth(PEOPLE, seed, side)[:, 0], 2, axis=0).astype(np.float64)
        return (twice + random.normal(0, 12, twice.shape)).reshape(2 * PEOPLE, -1)

    def shuffled(rows: np.ndarray) -> np.ndarray:
        return rows[:, order]

    def look(rows: np.ndarray) -> np.ndarray:
        cells = np.asarray(rows, dtype=np.float64).reshape(len(rows), 12, 4, 12, 4)
        return cells.mean(axis=(2, 4)).reshape(len(rows), -1)

    names = [f"{person}" for person in range(PEOPLE) for _ in range(2)]
    records = [Record("", name, "set", subject=name) for name in names]
    own, tested = visits(0), visits(1)
    change = {"protected": shuffled, "second": shuffled, "original": lambda rows: rows}
    for roles in (("protected", "original"), ("original", "protected"), ("protected", "second")):
        query, gallery = (change[role] for role in roles)
        matcher = _fitted(Training([query(own)], [gallery(own)], own, roles, records), look, (144,))
        asked, held = (
            one / np.linalg.norm(one, axis=1, keepdims=True)
            for one in (matcher.of_queries(query(tested)), matcher.of_gallery(gallery(tested)))
        )
        scores, mates = asked @ held.T, np.arange(2 * PEOPLE) // 2
        same = (mates[:, None] == mates) & ~np.eye(2 * PEOPLE, dtype=bool)
        assert auc(scores[same], scores[mates[:, None] != mates]) > 0.95, roles
