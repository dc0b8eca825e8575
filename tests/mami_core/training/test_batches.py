from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from mami_core.data import Dataset, Record
from mami_core.training import TrainingError
from mami_core.training.batches import (
    Pictures,
    Pool,
    draw_modality,
    parts,
    pools,
    region_of,
)
from mami_core.training.draws import Draws


def _record(patient: str, source: str = "nih", **more: object) -> Record:
    base = Record(f"{source}/{patient}", patient, source, modality="xray", body_part="chest")
    return replace(base, subject=patient, **more)  # type: ignore[arg-type]


def _each(groups: list[list[int]]) -> list[list[list[int]]]:
    """Every picture a scan of its own."""
    return [[[index] for index in group] for group in groups]


def test_pairs_show_one_identity_and_nobody_twice() -> None:
    several = [[1, 2, 3], [4, 5], [6, 7]]
    pool = Pool(_each(several), _each([[8], [9]]))
    pairs = [[one for (one,) in pair] for pair in pool.groups(5, 2, Draws(0, 0))]
    owner = {index: number for number, group in enumerate(several) for index in group}
    for first, second in pairs:
        if first in owner:
            assert first != second
            assert owner[first] == owner[second]
        else:
            assert first == second
    names = [owner.get(first, first) for first, _ in pairs]
    assert len(set(names)) == len(names)


def test_where_nobody_has_two_images_every_pair_is_one_image() -> None:
    pairs = Pool([], _each([[0], [1], [2]])).groups(3, 2, Draws(0, 0))
    assert sorted(pairs) == _each([[0, 0], [1, 1], [2, 2]])


def test_of_a_scan_so_many_slices_are_drawn_anew_each_time() -> None:
    scan = list(range(12))
    (pair,) = Pool([], [[scan]], slices=8).groups(1, 2, Draws(0, 0))
    assert [len(set(one)) for one in pair] == [8, 8]
    assert set(pair[0]) | set(pair[1]) <= set(scan)
    assert set(pair[0]) != set(pair[1])


def test_slices_of_a_visit_are_one_scan_where_several_are_asked_for() -> None:
    slices = [
        replace(_record("a", "our-ct"), modality="ct", unit=visit, name=f"{visit}/{number}")
        for visit in "12"
        for number in range(3)
    ]
    assert pools(slices, 8)["ct"].several == [[[0, 1, 2], [3, 4, 5]]]
    assert pools(slices, 8)["ct"].deepest == 3
    assert pools(slices)["ct"].several == _each([list(range(6))])
    places = [replace(one, source="lidc") for one in slices]
    assert pools(places, 8)["ct"].several == _each([list(range(6))])


def test_the_eyes_of_a_person_are_two_identities_where_the_set_says_so() -> None:
    eyes = [replace(_record("a"), modality="fundus", subject=f"a/{side}") for side in "LRL"]
    found = pools(eyes)["fundus"]
    assert found.several == _each([[0, 2]])
    assert found.single == _each([[1]])


def test_body_parts_that_the_networks_do_not_know_stay_out(data: Dataset) -> None:
    assert region_of(_record("a", body_part="breast")) is None
    assert region_of(_record("a", modality="ct", body_part="headneck")) == "head"
    data.records[:] = [replace(record, body_part="breast") for record in data.records]
    with pytest.raises(TrainingError, match="body_part"):
        parts(data, ("xray",))


def test_train_and_val_are_told_apart(data: Dataset) -> None:
    train, val = parts(data, ("xray",))
    assert {record.split for record in train.records} == {"train"}
    assert {record.split for record in val.records} == {"val"}
    assert len(train) == 12


def test_pictures_that_do_not_fit_in_memory_are_the_same(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Pictures(data, 64).batch([3, 1])
    monkeypatch.setattr("mami_core.training.batches.HELD_BYTES", 0)
    assert torch.allclose(Pictures(data, 64).batch([3, 1]), held, atol=0.51 / 255)


def test_modalities_are_drawn_by_their_shares() -> None:
    drawn = [draw_modality(["ct", "fundus", "xray"], Draws(0, step)) for step in range(600)]
    share = [drawn.count(name) / 600 for name in ("ct", "fundus", "xray")]
    assert np.allclose(share, (0.12, 0.26, 0.62), atol=0.06)
    assert all(low < high for low, high in pairwise(share))
