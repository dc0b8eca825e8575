"""What the plots need, picked up while the figures are made."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mami_core.data import Dataset
from mami_core.evaluation.curves import Curves, curves
from mami_core.evaluation.embed import Embedder

#: Images of a source on the map of modalities: more of them hide each other.
MOST = 300


class Gathered:
    """A witness of `mami_core.evaluation.report.evaluate`; holds no image and no name of one.

    Parameters
    ----------
    modality
        Embeds pictures as the encoder's modality representations M; None where it has none.

    Attributes
    ----------
    curves
        By source and row.
    modalities
        M of up to `MOST` images, ``(n, width)``, by source and modality; empty without M.
    """

    def __init__(self, modality: Embedder | None) -> None:
        self._modality = modality
        self.curves: dict[str, dict[str, Curves]] = {}
        self.modalities: dict[tuple[str, str], NDArray[np.float32]] = {}

    def __call__(
        self, source: str, images: Dataset, rows: Mapping[str, NDArray[np.floating]]
    ) -> None:
        """Take up one source."""
        self.curves[source] = {name: curves(row, images.records) for name, row in rows.items()}
        if self._modality is None:
            return
        # Evenly over the table, for the draw needs no chance to be fair to its parts.
        chosen = np.unique(np.linspace(0, len(images) - 1, MOST).round().astype(int))
        seen = self._modality.embed(images.squares(self._modality.size)[chosen])
        names = [images.records[index].modality or "unknown" for index in chosen]
        for name in sorted(set(names)):
            self.modalities[source, name] = seen[[other == name for other in names]]
