"""From the remover's residual, in the models' view, to stored pixel values."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def stored_per_view(pixels: NDArray[Any], views: NDArray[np.float32]) -> float:
    """Stored units for one unit of the view; negative where the view is inverted.

    Taken from values that the window does not clip, as the ratio of the two spreads with the sign
    of their correlation: exact for a linear window, the mean slope for a curved one.
    """
    step = max(1, pixels.size // 200_000)
    stored = pixels.reshape(-1)[::step].astype(np.float64)
    seen = views.reshape(-1)[::step].astype(np.float64)
    inside = (seen > 0.002) & (seen < 0.998)
    if inside.sum() < 16 or seen[inside].std() < 1e-6:
        return 0.0
    covariance = np.cov(stored[inside], seen[inside])
    return float(covariance[0, 1] / covariance[1, 1])


def add_residual(
    pixels: NDArray[Any],
    views: NDArray[np.float32],
    residuals: NDArray[np.float32],
    *,
    limits: tuple[float, float],
    padding: tuple[float, float] | None,
) -> NDArray[Any]:
    """Add residuals to stored pixels.

    Parameters
    ----------
    pixels
        ``(F, R, C)`` or ``(F, R, C, 3)``, stored.
    views
        The same in 0..1, as the models see it.
    residuals
        ``(F, 3, S, S)`` in view units, on the square picture.
    limits
        Smallest and largest value that may be stored.
    padding
        Range of stored values that mean "no picture here"; such pixels stay as they are.
    """
    scale = stored_per_view(pixels, views)
    edited = np.empty_like(pixels)
    for index, frame in enumerate(pixels):
        rows, columns = frame.shape[:2]
        residual = residuals[index].transpose(1, 2, 0)
        if frame.ndim == 2:
            residual = residual.mean(axis=2)
        native = cv2.resize(residual, (columns, rows), interpolation=cv2.INTER_CUBIC) * scale
        moved = frame.astype(np.float32) + native
        if np.issubdtype(pixels.dtype, np.integer):
            moved = np.rint(moved)
        moved = np.clip(moved, *limits)
        if padding is not None:
            moved = np.where((frame >= padding[0]) & (frame <= padding[1]), frame, moved)
        edited[index] = moved.astype(pixels.dtype)
    return edited
