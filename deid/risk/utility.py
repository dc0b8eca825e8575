"""Utility of one image: three figures, 1 is unchanged (DESIGN, section 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deid.risk.cohort import directions


def utility(before: NDArray[np.floating], after: NDArray[np.floating], different: float) -> float:
    """Similarity of the medical encoder's key features before and after.

    Parameters
    ----------
    before, after
        Key features ``(..., d)`` of the two pictures.
    different
        Mean cosine over pairs of different patients of the modality; it becomes 0, so that a
        picture that could be anybody's is worth nothing, and a worse one is too.
    """
    cosine = float(np.mean(np.sum(directions(before) * directions(after), axis=-1)))
    return float(np.clip((cosine - different) / (1.0 - different), 0.0, 1.0))


def findings(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """1 less the largest change of a calibrated finding probability; ``(..., k)`` each."""
    change = np.abs(np.asarray(after, np.float64) - np.asarray(before, np.float64))
    return float(1.0 - change.max(initial=0.0))


def fidelity(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Structural similarity at native size, mean over frames.

    Parameters
    ----------
    before, after
        ``(frames, rows, columns)`` or ``(frames, rows, columns, 3)``, values in 0..1.
    """
    from skimage.metrics import structural_similarity

    if np.array_equal(before, after):
        return 1.0
    shortest = min(before.shape[1:3])
    window = min(7, shortest - 1 + shortest % 2)  # the largest odd one that fits
    figures = [
        structural_similarity(
            first.astype(np.float32),
            second.astype(np.float32),
            win_size=window,
            data_range=1.0,
            channel_axis=2 if first.ndim == 3 else None,
            use_sample_covariance=window > 1,
        )
        for first, second in zip(before, after, strict=True)
    ]
    return float(np.mean(figures))
