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
    cuts = []
    before = None
    for i, picture in enumerate(pictures):
        small = picture[::_STEP, ::_STEP].astype(np.float32)
        small -= small.mean()
        if before is not None:
            # Where nothing is to be seen on either, they are alike.
            energy = (np.mean(small**2) + np.mean(before**2)) / 2
            if np.mean(small * before) < _ALIKE * energy:
                cuts.append(i)
        before = small
    return np.split(pictures, cuts)
