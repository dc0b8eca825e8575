"""Whether a picture shows nothing at all, by its pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The picture is averaged over so many parts a side.
_PARTS = 8
#: Averages of pixels that know nothing of one another vary as much less as there are pixels in
#: each; of 64 averages the quotient is 1 with a deviation of 0.18.
_MOST = 2.0


def is_empty(views: NDArray[np.float32]) -> bool:
    """Whether every frame is blank or white noise; an X-ray is not, however dark or strewn.

    Parameters
    ----------
    views
        ``(F, R, C)`` or ``(F, R, C, 3)``, 0..1.
    """
    return all(_is_blank_or_noise(frame) for frame in views)


def _is_blank_or_noise(frame: NDArray[np.float32]) -> bool:
    grey = frame.mean(axis=2) if frame.ndim == 3 else frame
    spread = float(grey.var())
    if spread < 1e-8:
        return True
    rows, columns = (side // _PARTS for side in grey.shape)
    if not rows or not columns:
        return False
    whole = grey[: rows * _PARTS, : columns * _PARTS]
    parts = whole.reshape(_PARTS, rows, _PARTS, columns).mean(axis=(1, 3))
    return bool(parts.var() * rows * columns < _MOST * spread)
