"""Whitening in closed form: the identity head fitted without a gradient step.

Features of all depths, scaled block by block, reduced by PCA and whitened by the within-patient covariance
(WCCN). The head is one linear map, so that the identity stays the mean of the patch tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHRINK = 0.3
MOST_FOR_PCA = 4000


@dataclass(frozen=True)
class Whitening:
    """``features @ weight.T + bias``, weight ``(D, P)``."""

    weight: Array
    bias: Array


def whiten(
    features: NDArray[np.floating],
    persons: Sequence[tuple[str, str]],
    blocks: Sequence[int],
    size: int,
) -> Whitening:
    """Fit the map on features ``(n, P)`` of people ``(source, patient)``.

    Parameters
    ----------
    blocks
        Widths of the parts that P consists of; each is scaled to unit mean square.
    size
        D, the number of components that are kept.
    """
    rows = np.asarray(features, dtype=np.float64)
    source = np.array([name for name, _ in persons])
    names = sorted(set(source))
    means = {name: rows[source == name].mean(axis=0) for name in names}
    centred = rows - np.stack([means[name] for name in source])
    edges = np.cumsum([0, *blocks])
    scale = np.concatenate(
        [
            np.full(high - low, 1.0 / np.sqrt((centred[:, low:high] ** 2).mean() + 1e-12))
            for low, high in zip(edges, edges[1:], strict=False)
        ]
    )
    centred *= scale
    chosen = np.random.default_rng(0).permutation(len(centred))[:MOST_FOR_PCA]
    _, _, components = np.linalg.svd(centred[chosen], full_matrices=False)
    # With fewer images than components the rest of the map is zero.
    axes = np.zeros((size, rows.shape[1]))
    axes[: min(size, len(components))] = components[:size]
    inverse_root = _inverse_root(_within(centred @ axes.T, persons, size))
    weight = (inverse_root @ axes) * scale
    middle = np.mean([means[name] for name in names], axis=0)
    spread = ((rows - middle) @ weight.T).std()
    weight = weight / max(float(spread), 1e-12)
    return Whitening(weight, -(weight @ middle))


def _within(rows: Array, persons: Sequence[tuple[str, str]], size: int) -> Array:
    """Mean covariance within people who have two or more images; each person weighs the same."""
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, person in enumerate(persons):
        members[person].append(index)
    total, people = np.zeros((size, size)), 0
    for images in members.values():
        if len(images) > 1:
            apart = rows[images] - rows[images].mean(axis=0)
            total += apart.T @ apart / (len(images) - 1)
            people += 1
    return total / people if people else np.eye(size)


def _inverse_root(covariance: Array) -> Array:
    size = len(covariance)
    level = np.trace(covariance) / size
    values, vectors = np.linalg.eigh(
        (1.0 - SHRINK) * covariance + SHRINK * max(level, 1e-12) * np.eye(size)
    )
    return (vectors * values**-0.5) @ vectors.T
