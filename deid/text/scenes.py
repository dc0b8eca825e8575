"""Where in a stack another scene begins: pages and screenshots are frames of one object, too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Frames are compared by every so many rows and columns.
_STEP = 4
#: Frames show one scene where they correlate as much as this. Neighbours of real scans, and frames
#: of films, have 0.62 and more; fields of a microscope and pages 0.02 and less.
_ALIKE = 0.5


def scenes(pictures: NDArray[Any]) -> list[NDArray[Any]]:
    """The stack in parts, each of frames that resemble the one before.

    Parameters
    ----------
    pictures
        ``(frames, rows, columns)`` or ``(frames, rows, columns, 3)``.
    """
    return np.split(pictures, _changes(pictures, drift=False))


def views(pictures: NDArray[Any]) -> list[int]:
    """Frames to which a film has moved on from the first, and from each of these."""
    return _changes(pictures, drift=True)


def _changes(pictures: NDArray[Any], *, drift: bool) -> list[int]:
    """Frames that differ from the one before; with `drift`, from the last that was found."""
    found: list[int] = []
    before = None
    for i, picture in enumerate(pictures):
        small = picture[::_STEP, ::_STEP].astype(np.float32)
        small -= small.mean()
        differs = before is not None and _differ(before, small)
        if differs:
            found.append(i)
        if differs or before is None or not drift:
            before = small
    return found


def _differ(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether they correlate too little; where nothing is to be seen on either, they do not."""
    energy = (np.mean(one**2) + np.mean(other**2)) / 2
    return bool(np.mean(one * other) < _ALIKE * energy)
