from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mami_core.data import Record
from mami_core.evaluation import figures
from mami_core.models.encoder import Config, MaMI
from mami_core.training import TrainingError
from mami_core.training.last_layer import fit_common
from mami_core.training.recognised import Seen

PEOPLE = 40


def _records() -> list[Record]:
    names = [f"p{row // 2}" for row in range(2 * PEOPLE)]
    return [
        Record(str(row), name, "set", modality="xray", unit=str(row), subject=name)
        for row, name in enumerate(names)
    ]


def test_people_who_differ_in_the_squares_of_deep_maps_alone_are_found(tiny: Config) -> None:
    random = np.random.default_rng(0)
    model = MaMI(replace(tiny, last="deep")).eval()
    every, late = sum(model.depths), sum(model.depths[-2:])
    read = random.normal(size=(2 * PEOPLE, 2 * every))
    # A thousandth of the size of the means: each part is brought to one level.
    read[:, -late:] = 1e-3 * np.repeat(random.uniform(1.0, 2.0, (PEOPLE, late)), 2, axis=0)
    fit_common(model, Seen(read[:, :every], read), _records())
    given = torch.from_numpy(read).float()
    with torch.inference_mode():
        found = figures(model.last(given, given[:, :every]).numpy(), _records())
    assert found is not None
    assert found.auc.value > 0.95


def test_images_that_are_all_the_same_are_refused(tiny: Config) -> None:
    model = MaMI(tiny)
    read = 3.0 + 1e-6 * np.random.default_rng(0).normal(size=(2 * PEOPLE, sum(model.reads)))
    with pytest.raises(TrainingError, match="the same picture"):
        fit_common(model, Seen(read, read), _records())
