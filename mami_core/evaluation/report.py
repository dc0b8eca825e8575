"""An encoder's figures on a split, source by source, with the pixel floor beside them."""

from __future__ import annotations

from typing import Any

from mami_core.data import Dataset
from mami_core.evaluation.embed import Embedder
from mami_core.evaluation.floors import pixel_floor
from mami_core.evaluation.protocol import by_source


def evaluate(encoder: Embedder, dataset: Dataset) -> dict[str, Any]:
    """Score the images of one split.

    Returns
    -------
    By source: ``kind``, ``images``, ``auc`` and ``rank1`` (each ``value, low, high, patients``;
    rank-1 also ``gallery`` and ``chance``), and the same two under ``pixels``. A source in which
    nobody has a second unit is left out.
    """
    pixels = pixel_floor(dataset)
    squares = dataset.squares(encoder.size)
    of_pixels = by_source(dataset.records, lambda members: pixels[members])
    of_encoder = by_source(dataset.records, lambda members: encoder.embed(squares[members]))
    result: dict[str, Any] = {}
    for source, figures in of_encoder.items():
        records = [record for record in dataset.records if record.source == source]
        kinds = sorted({record.kind for record in records})
        result[source] = {
            "kind": "|".join(kinds),
            "images": len(records),
            **figures.as_dict(),
            "pixels": of_pixels[source].as_dict(),
        }
    return result
