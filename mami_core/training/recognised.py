"""What a picture is, for files whose header does not say: a rule fitted on an encoder's features.

A picture is of a class where its pooled features are like those of one of the class's sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mami_core.data import Dataset, Record
from mami_core.models.encoder import Identity, MaMI
from mami_core.models.own_maps import FARTHEST
from mami_core.training.batches import Pictures, region_of

#: The rule accepts all judged images, with this margin, but none farther than `FARTHEST`.
MARGIN = 1.02


def class_of(record: Record) -> str:
    """The ``modality/region`` of a training image."""
    return f"{record.modality}/{region_of(record)}"


@dataclass(frozen=True)
class Seen:
    """What the rule and the last layer are fitted on, ``(n, P)`` and ``(n, F)``: see `Identity`."""

    pooled: NDArray[np.float64]
    read: NDArray[np.float64]

    def __getitem__(self, rows: Sequence[int] | slice) -> Seen:
        return Seen(self.pooled[rows], self.read[rows])


def seen(model: MaMI, dataset: Dataset, device: str = "cpu") -> Seen:
    """Features of the pictures as they are; the model is left in training."""
    pictures = Pictures(dataset, model.config.image)
    model.eval()
    parts: list[tuple[Tensor, Tensor]] = []
    for at in range(0, len(dataset), 32):
        said: Identity = model(pictures.batch(range(at, min(at + 32, len(dataset)))).to(device))
        parts.append((said.pooled, said.read))
    model.train()
    pooled, read = (torch.cat(one).cpu().double().numpy() for one in zip(*parts, strict=True))
    return Seen(pooled, read)


def spread_of(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each feature of a set's pictures ``(n, P)`` varies.

    Features that hardly vary would outvote all others, so spreads have a floor.
    """
    found: NDArray[np.float64] = rows.std(axis=0) + 0.1 * rows.std() + 1e-6
    return found


def rules(
    fitted: NDArray[np.float64],
    fitted_records: Sequence[Record],
    judged: NDArray[np.float64],
    judged_records: Sequence[Record],
) -> dict[str, list[dict[str, Any]]]:
    """By class, and in it by set: mean and spread of the pooled features, and the farthest of ours.

    The distance is the root mean square of the features' deviations in units of their spread. A set
    without judged images takes its limit from the fitted ones.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    fitted_kinds = [(class_of(record), record.source) for record in fitted_records]
    judged_kinds = [(class_of(record), record.source) for record in judged_records]
    for kind in sorted(set(fitted_kinds)):
        rows = fitted[[one == kind for one in fitted_kinds]]
        mean = rows.mean(axis=0)
        spread = spread_of(rows)
        other = judged[[one == kind for one in judged_kinds]]
        other = other if len(other) else rows
        distance = np.sqrt((((other - mean) / spread) ** 2).mean(axis=1))
        name, source = kind
        found.setdefault(name, []).append(
            {
                "source": source,
                "mean": [round(float(value), 5) for value in mean],
                "spread": [round(float(value), 5) for value in spread],
                "limit": round(min(float(distance.max() * MARGIN), FARTHEST), 4),
            }
        )
    return found
