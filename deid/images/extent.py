"""From where to where the values of a picture go, for the search for text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: So many pixels of a frame, or one in so many, are no text: three letters of the smallest size
#: that is found have more.
_SPECKS, _ONE_IN = 16, 100


def extent(frames: Iterable[NDArray[Any]]) -> tuple[float, float]:
    """Smallest and largest value over all frames; (0, 1) of none.

    Where a few defective pixels of a frame, at either end, make more than half of that range they
    are left out: brought to eight bits, all else would be flat, and no text in it be seen.
    """
    outer, inner = [], []
    for frame in frames:
        values = frame.ravel()
        if values.size:
            specks = min(_SPECKS, values.size // _ONE_IN)
            ordered = np.partition(values, (specks, values.size - 1 - specks))
            inner.append((float(ordered[specks]), float(ordered[-1 - specks])))
            outer.append((float(values.min()), float(values.max())))
    if not outer:
        return 0.0, 1.0
    low, high = _ends(outer)
    least, most = _ends(inner)
    return (least, most) if 0 < 2 * (most - least) < high - low else (low, high)


def _ends(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in pairs), max(high for _, high in pairs)
