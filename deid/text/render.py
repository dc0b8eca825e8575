"""What the detector sees: 8-bit pictures of stored values in which text at any level stands out."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Lifts dark greys: text of level 30 on black becomes as plain as text of level 130.
_GAMMA = 0.4
#: The picture is cut into so many tiles each way, and in each the greys are spread by what occurs
#: there, at most this much more steeply than over a flat range: letters a few greys from an even
#: background become plain, and noise does not become all.
_TILES = 8
_STEEPEST = 8.0


def renderings(pixels: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """Two 8-bit renderings of one picture.

    The first shows the full range. Text that sits in a small part of it (an 8-bit overlay in a
    16-bit image with metal, grey letters on black or on a like grey) is lost there, so the second
    cuts both tails, lifts what is dark and spreads the greys of each region (CLAHE: Zuiderveld,
    Graphics Gems IV, 1994).

    Parameters
    ----------
    pixels
        ``(rows, columns)`` or ``(rows, columns, 3)``, any integer or float type.
    """
    values = pixels.astype(np.float32)
    if not np.isfinite(values).all():
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    # Every seventh value is plenty for a percentile.
    low, high = np.percentile(values.ravel()[::7], [0.5, 99.5])
    window = _scale(values, float(low), float(high))
    return [
        _bytes(_scale(values, float(values.min()), float(values.max()))),
        _spread(_bytes(window**_GAMMA)),
    ]


def _scale(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    span = high - low
    if span <= 0:
        return np.zeros_like(values)
    return np.clip((values - low) / np.float32(span), 0, 1)


def _bytes(unit: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(unit * 255).astype(np.uint8)


def _spread(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    spread = cv2.createCLAHE(_STEEPEST, (_TILES, _TILES))
    if picture.ndim == 2:
        return np.asarray(spread.apply(picture), np.uint8)
    channels = (np.ascontiguousarray(channel) for channel in np.moveaxis(picture, 2, 0))
    return np.stack([spread.apply(channel) for channel in channels], axis=2)
