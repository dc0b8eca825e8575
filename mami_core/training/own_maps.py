"""The maps of some modalities' own, fitted in closed form when an encoder's training is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

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
    _put(own.scale, _scale(groups, model.depths))
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


def _scale(groups: Sequence[NDArray[np.float64]], depths: Sequence[int]) -> NDArray[np.float64]:
    """The root mean square of each depth's deviations from their set's mean, ``(P,)``."""
    apart = np.concatenate([rows - rows.mean(axis=0) for rows in groups if len(rows)])
    edges = np.cumsum([0, *depths])
    levels = [np.sqrt((apart[:, a:b] ** 2).mean()) for a, b in pairwise(edges)]
    # As half precision keeps them: the maps are fitted to what the file will hold.
    return np.repeat(np.maximum(levels, 1e-3), depths).astype(np.float16).astype(np.float64)


def _fit_one(
    model: MaMI, own: OwnMaps, place: int, seen: Seen, people: Sequence[tuple[str, str]]
) -> None:
    scale = own.scale.cpu().double().numpy()
    both = np.concatenate([seen.pooled / scale, seen.squares / scale**2], axis=1)
    blocks = (*model.depths, *model.depths)
    found = whiten(both, people, blocks, model.config.features)
    weight, bias = (one.double().cpu().numpy() for one in (model.head.weight, model.head.bias))
    turn = _turn(both @ found.weight.T + found.bias, seen.pooled @ weight.T + bias)
    first, second = np.split(turn @ found.weight, 2, axis=1)
    _put(own.weight[place], first - weight * scale)
    _put(own.second[place], second)
    _put(own.bias[place], turn @ found.bias - bias)


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
