from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from deid.audit.attackers.registry import Attacker
from deid.audit.looking import Picture, look, unchanged
from mami_core.data import open_dataset


def test_equal_pictures_of_two_forms_are_looked_at_once_and_others_each_by_itself(
    people: Callable[..., Path],
) -> None:
    data = open_dataset(people(val=3))
    asked: list[int] = []

    def embed(pictures: np.ndarray) -> np.ndarray:
        asked.append(len(pictures))
        return pictures.reshape(len(pictures), -1).astype(np.float32)

    def half(row: int, picture: Picture) -> Picture:
        return 0.5 * picture

    def again(row: int, picture: Picture) -> Picture:
        return 0.5 * picture

    def but_for_one(row: int, picture: Picture) -> Picture:
        return picture if row == 4 else 0.5 * picture

    sizes = Attacker(lambda _: np.empty(0), 1, reads=lambda _, shown: np.array([[len(shown)]] * 6))
    attackers = {"small": Attacker(embed, 8), "large": Attacker(embed, 12), "sizes": sizes}
    forms = {"original": unchanged, "half": half, "again": again, "but for one": but_for_one}
    seen, lost = look(data, range(6), attackers, forms)
    assert not lost
    assert asked == [6] * 2 * 3
    for name in ("small", "large"):
        assert np.array_equal(seen[name, "half"], seen[name, "again"])
        differs = (seen[name, "half"] != seen[name, "but for one"]).any(axis=1)
        assert differs.tolist() == [row == 4 for row in range(6)]
        assert np.array_equal(seen[name, "but for one"][4], seen[name, "original"][4])
