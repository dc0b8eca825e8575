"""Blanks boxes with what surrounds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.text.box import Box, mask

#: Pixels around a box that its filling is taken from.
_RING = 4


def blank(
    pixels: NDArray[Any], boxes: Iterable[Box], *, keep: NDArray[np.bool_] | None = None
) -> NDArray[Any]:
    """A copy whose boxes are filled with the local background; all other pixels are equal.

    Each box takes one value: the median of the ring around it, leaving out pixels of other boxes,
    since those are text as well. The value is one that occurs there (of an even count the lower
    middle one), so it needs no rounding and any type keeps its range.

    Parameters
    ----------
    pixels
        ``(rows, columns)`` or ``(rows, columns, 3)``, any integer or float type.
    keep
        Boolean ``(rows, columns)``: pixels that stay as they are even inside a box, namely padding.
        Text is never drawn in the padding value, so this leaves none of its strokes.
    """
    rows, columns = pixels.shape[:2]
    inside = [box for box in (box.clip(rows, columns) for box in boxes) if box is not None]
    text = mask(inside, rows, columns)
    result = pixels.copy()
    for box in inside:
        filling = _background(pixels, box, text)
        target = result[box.y0 : box.y1, box.x0 : box.x1]
        if keep is None:
            target[...] = filling
        else:
            target[~keep[box.y0 : box.y1, box.x0 : box.x1]] = filling
    return result


def _background(pixels: NDArray[Any], box: Box, text: NDArray[np.bool_]) -> Any:
    rows, columns = text.shape
    for ring in (_RING, 8 * _RING, max(rows, columns)):
        x0, y0 = max(box.x0 - ring, 0), max(box.y0 - ring, 0)
        part = np.s_[y0 : box.y1 + ring, x0 : box.x1 + ring]
        around = pixels[part][~text[part]]
        if len(around):
            return np.quantile(around, 0.5, axis=0, method="lower").astype(pixels.dtype)
    # Nothing but text: no background is left to show.
    return np.full(pixels.shape[2:], pixels.min(), pixels.dtype)
