"""An encoder's figures on a split, source by source, beside what needs no medical training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mami_core.data import Dataset, DatasetError, no_images
from mami_core.device import chosen
from mami_core.evaluation.difference import Both, both, difference
from mami_core.evaluation.embed import Embedder, embedder, embeddings
from mami_core.evaluation.floors import pixel_floor
from mami_core.evaluation.protocol import figures
from mami_core.evaluation.yardsticks import AbsentError, imagenet, yardsticks
from mami_core.weights import WHITEN

#: The rows beside the encoder's own.
ROWS = ("pixels", "frozen", "whiten")

#: Takes a source's name, its images, and their embeddings by row (`encoder` and those of `ROWS`).
Witness = Callable[[str, Dataset, Mapping[str, NDArray[np.floating]]], None]


def evaluate(
    encoder: Embedder,
    dataset: Dataset,
    split: str = "val",
    device: str = "auto",
    *,
    witness: Witness | None = None,
) -> dict[str, Any]:
    """Score the images of one split.

    Parameters
    ----------
    dataset
        All its splits: one of the rows is fitted on `train`.
    device
        Where the networks that stand beside it run: ``auto``, ``cpu`` or ``cuda``.
    witness
        Called for each source that is scored, with what the figures are made of.

    Returns
    -------
    ``split``; ``sources``: by source ``kind``, ``images``, ``auc`` and ``rank1`` (each ``value,
    low, high, patients``; rank-1 also ``gallery`` and ``chance``), the same two under each of
    `ROWS` that could be had, and ``absent``: by row, why it could not. A source in which nobody has
    a second unit is left out. ``beside_whiten``, of a source and over the patients of all sources:
    what the encoder finds more than the bundled `whiten` on the same images, ``auc`` and ``rank1``
    (each ``value, low, high, patients``); not where it is that one, nor on `train`, which that one
    was fitted on.

    Raises
    ------
    DatasetError
        Where the split is empty, or an image can not be decoded.
    """
    judged = dataset.select(lambda record: record.split == split)
    if not len(judged):
        raise DatasetError(f"the data set has {no_images(split, dataset.records)}")
    network: Embedder | None = None
    try:
        network = imagenet(chosen(device))
        missing = {}
    except AbsentError as reason:
        missing = {"frozen": str(reason), "whiten": str(reason)}
    bar = None if split == "train" else embedder(WHITEN, device)
    if bar is not None and bar.sha256 == encoder.sha256:
        bar = None
    sources: dict[str, Any] = {}
    compared: dict[str, Both] = {}
    for source in sorted({record.source for record in judged.records}):
        part = _of(judged, source)
        seen = encoder.embed(part.squares(encoder.size))
        own = figures(seen, part.records)
        if own is None:
            continue
        rows, absent = yardsticks(network, part, _of(dataset, source)) if network else ({}, missing)
        rows["pixels"] = pixel_floor(part)
        beside = {name: figures(rows[name], part.records) for name in ROWS if name in rows}
        sources[source] = {
            "kind": "|".join(sorted({record.kind for record in part.records})),
            "images": len(part),
            **own.as_dict(),
            **{name: found.as_dict() for name, found in beside.items() if found},
            "absent": absent,
        }
        if bar is not None and (scores := both(seen, embeddings(bar, part), part.records)):
            compared[source] = scores
            sources[source]["beside_whiten"] = difference([scores]).as_dict()
        if witness is not None:
            witness(source, part, {"encoder": seen, **rows})
    pooled = {"beside_whiten": _over_all(sources, compared)} if compared else {}
    return {"split": split, "sources": sources, **pooled}


def _over_all(sources: Mapping[str, Any], compared: Mapping[str, Both]) -> dict[str, Any]:
    """The difference over the patients of all sources; of one source it is known."""
    if len(compared) == 1:
        return dict(sources[next(iter(compared))]["beside_whiten"])
    return dict(difference(list(compared.values())).as_dict())


def _of(dataset: Dataset, source: str) -> Dataset:
    return dataset.select(lambda record: record.source == source)
