"""From where to where the values of a picture go, for the search for text and for the models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: So many pixels of a frame, or one in so many, are no text: three letters of the smallest size
#: that is found have more.
_SPECKS, _ONE_IN = 16, 100

#: A window hides a picture that cuts off so many of its values, or leaves the middle 90 % so close
#: together. Windows of real X-rays cut 0.44 at most, and leave 0.61; of a phantom the encoder
#: recognises nobody any more where 0.57 are cut, or 0.04 left.
_CUT, _SPREAD = 0.5, 0.25
#: Of larger pictures about so many pixels are enough to judge by.
_ENOUGH = 500_000


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


def sample(values: NDArray[Any]) -> NDArray[Any]:
    """Up to about `_ENOUGH` of the values, evenly spread."""
    return values.ravel()[:: max(1, values.size // _ENOUGH)]


def hides(seen: NDArray[np.float32], stored: NDArray[Any]) -> bool:
    """Whether next to nothing of a picture is to be seen in a view of it.

    Parameters
    ----------
    seen
        What the models would see; below 0 and above 1 is black and white.
    stored
        The same pixels as they are stored. The least and the most of them may be cut off.
    """
    seen, stored = sample(seen), sample(stored)
    between = (stored > stored.min(initial=0)) & (stored < stored.max(initial=0))
    cut = (seen[between] <= 0) | (seen[between] >= 1)
    low, high = np.percentile(np.clip(seen, 0, 1), (5, 95))
    return bool(high - low < _SPREAD or cut.sum() > _CUT * cut.size)
