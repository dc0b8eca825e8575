"""Rows of many dimensions as points of a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """First two principal components.

    Attributes
    ----------
    points
        ``(n, 2)``.
    share
        ``(2,)``: how much of the variance each axis carries.
    """

    points: Array
    share: Array


def plane(rows: NDArray[np.floating]) -> Plane:
    """Principal components of ``(n, d)``, d at least 2; the same rows give the same signs."""
    centred = np.asarray(rows, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    # An axis has no direction of its own: its largest entry is made positive.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    points = centred @ (axes * np.where(largest < 0, -1.0, 1.0))[:2].T
    share = spread[:2] ** 2 / max(float(spread @ spread), np.finfo(np.float64).tiny)
    pad = 2 - points.shape[1]
    return Plane(np.pad(points, ((0, 0), (0, pad))), np.pad(share, (0, pad)))
