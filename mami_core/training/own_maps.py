"""The maps of some modalities' own, fitted in closed form when an encoder's training is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mami_core.closed_form import whiten
from mami_core.data import Record
from mami_core.evaluation.yardsticks import FEWEST, identities
from mami_core.models.encoder import Config, MaMI
from mami_core.models.own_maps import OwnMaps
from mami_core.training.recognised import Seen, spread_of


def sets_of(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Modality and source of each set."""
    return sorted({_set_of(record) for record in records})


def with_sets(config: Config, sets: Sequence[tuple[str, str]]) -> Config:
    """The configuration of a network that knows these sets, where it has own maps."""
    return replace(config, sets=tuple(name for name, _ in sets)) if config.own else config


def _set_of(record: Record) -> tuple[str, str]:
    return record.modality or "unknown", record.source


@torch.no_grad()
def fit(
    model: MaMI, sets: Sequence[tuple[str, str]], seen: Seen, records: Sequence[Record]
) -> None:
    """Fit the own maps on images that taught, after the common map.

    Other than for the common map, two places of one scan are a pair: on scans alone that finds more
    people, where X-rays would lose by it. A modality without enough people keeps the common map.
    """
    own = model.own
    if own is None:
        return
    own.clear()
    of = [_set_of(record) for record in records]
    groups = [seen.pooled[[other == one for other in of]] for one in sets]
    # A set without an image here is nobody's nearest.
    own.centres.fill_(torch.inf)
    for place, pooled in enumerate(groups):
        if len(pooled):
            _put(own.centres[place], pooled.mean(axis=0))
            _put(own.spread[place], spread_of(pooled))
    for place, name in enumerate(model.config.own):
        rows = [row for row, (modality, _) in enumerate(of) if modality == name]
        people = identities([records[row] for row in rows])
        if sum(count > 1 for count in Counter(people).values()) >= FEWEST:
            _fit_one(model, own, place, seen[rows], people)


def _fit_one(
    model: MaMI, own: OwnMaps, place: int, seen: Seen, people: Sequence[tuple[str, str]]
) -> None:
    rows = (torch.from_numpy(seen.read) / model.level.cpu()).numpy()
    found = whiten(rows, people, model.reads, model.config.features)
    weight, bias = _common(model)
    turn = _turn(rows @ found.weight.T + found.bias, rows @ weight.T + bias)
    _put(own.weight[place], turn @ found.weight - weight)
    _put(own.bias[place], turn @ found.bias - bias)


def _common(model: MaMI) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The map of all modalities as one of all that the last layer may read, and its bias."""
    width = sum(model.reads)
    weight = torch.zeros(model.config.features, width, dtype=torch.float64)
    weight[:, model.for_all(torch.arange(width))] = model.head.weight.double().cpu()
    return weight.numpy(), model.head.bias.double().cpu().numpy()


def _turn(rows: NDArray[np.float64], towards: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation that brings rows ``(n, D)`` nearest to others, in direction (Procrustes).

    It changes no cosine between the rows. But a picture that lies too far off for the own map, and
    gets the common one, stays comparable with those that get theirs.
    """
    one, other = (
        each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12)
        for each in (rows, towards)
    )
    left, _, right = np.linalg.svd(other.T @ one)
    found: NDArray[np.float64] = left @ right
    return found


def _put(place: Tensor, values: NDArray[np.float64]) -> None:
    place.copy_(torch.from_numpy(values))
