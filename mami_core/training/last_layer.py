"""The last layer of an identity encoder, fitted in closed form on images that taught."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from mami_core.closed_form import whiten
from mami_core.data import Record
from mami_core.models.encoder import MaMI
from mami_core.training import own_maps
from mami_core.training.loop import TrainingError
from mami_core.training.recognised import Seen

#: How the names of its tensors begin.
PARTS = ("head.", "level", "own.")
#: Kinds of pairs that are no pairs of visits, studies or eyes.
SCAN_KINDS = ("slice", "place")
#: Least unit of what the last layer reads.
LEAST = 1e-3
#: Share of the largest number up to which images differ by rounding.
ROUNDING = 1e-4


def fit(
    model: MaMI, sets: Sequence[tuple[str, str]], seen: Seen, records: Sequence[Record]
) -> None:
    """The map of all modalities, and then those of some modalities' own."""
    fit_common(model, seen, records)
    own_maps.fit(model, sets, seen, records)


@torch.no_grad()
def fit_common(model: MaMI, seen: Seen, records: Sequence[Record]) -> None:
    """Whiten what the last layer reads by how it varies within people.

    Raises
    ------
    TrainingError
        Where all images are the same.
    """
    if np.ptp(seen.read, axis=0).max() <= ROUNDING * np.abs(seen.read).max():
        raise TrainingError("all images are the same picture; give those of several people")
    if model.config.last == "deep":
        level = _level(seen.read, [record.source for record in records], model.reads)
        model.level.copy_(torch.from_numpy(level))
    # Places and slices of one scan differ by far more than visits do: no pairs of those.
    persons = [
        (r.source, r.name if r.kind in SCAN_KINDS else f"{r.patient}/{r.subject}") for r in records
    ]
    rows = model.for_all(torch.from_numpy(seen.read) / model.level.cpu()).numpy()
    found = whiten(rows, persons, model.common, model.config.features)
    model.head.weight.copy_(torch.from_numpy(found.weight))
    model.head.bias.copy_(torch.from_numpy(found.bias))


def _level(
    read: NDArray[np.float64], sources: Sequence[str], reads: Sequence[int]
) -> NDArray[np.float64]:
    """The root mean square of each part's deviations from the mean of its set, ``(F,)``."""
    source = np.array(sources)
    apart = np.concatenate(
        [rows - rows.mean(axis=0) for name in np.unique(source) for rows in [read[source == name]]]
    )
    edges = np.cumsum([0, *reads])
    levels = [np.sqrt((apart[:, low:high] ** 2).mean()) for low, high in pairwise(edges)]
    # As half precision keeps them: the maps are fitted to what the file will hold.
    return np.repeat(np.maximum(levels, LEAST), reads).astype(np.float16).astype(np.float64)
