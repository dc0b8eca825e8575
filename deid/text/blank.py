"""Blanks boxes with what surrounds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deid.text.box import Box, mask

#: Pixels around the boxes that their filling is made from.
_MARGIN = 16
#: What is thinner than this inside a box may be a stroke of a letter.
_STROKE = 25


def blank(
    pixels: NDArray[Any], boxes: Iterable[Box], *, keep: NDArray[np.bool_] | None = None
) -> NDArray[Any]:
    """A copy whose boxes are filled with the local background; all other pixels are equal.

    The filling is interpolated from outside all boxes, so nothing of what stood inside is left. It
    lies between the values around it, so any type keeps its range. Blanking twice changes nothing.

    Parameters
    ----------
    pixels
        ``(rows, columns)`` or ``(rows, columns, 3)``, any integer or float type.
    keep
        Boolean ``(rows, columns)``: padding pixels. They are no background, and they stay as they
        are, also inside a box. Two things that could spell a word are smoothed away: a gap in
        the padding that is thin enough to be a letter drawn over it becomes padding, and padding
        thin enough to be a letter in the padding value becomes background.
    """
    rows, columns = pixels.shape[:2]
    inside = [box for box in (box.clip(rows, columns) for box in boxes) if box is not None]
    result = pixels.copy()
    if not inside:
        return result
    text = mask(inside, rows, columns)
    part = _around(inside)
    known = ~text[part]
    if keep is not None:
        known &= ~keep[part]
    known &= np.isfinite(pixels[part]).reshape(*known.shape, -1).all(axis=2)
    if known.any():
        result[part][text[part]] = _background(pixels[part], known)[text[part]]
    else:
        finite = pixels[np.isfinite(pixels)]
        result[text] = finite.min() if finite.size else 0
    if keep is not None and keep.any():
        padding = text & _without_strokes(keep)
        result[padding] = np.quantile(pixels[keep], 0.5, axis=0, method="lower")
        result[padding & keep] = pixels[padding & keep]
    return result


def _around(boxes: list[Box]) -> tuple[slice, slice]:
    """The part of the picture that holds all boxes and what they are filled from."""
    x0, y0 = min(box.x0 for box in boxes), min(box.y0 for box in boxes)
    x1, y1 = max(box.x1 for box in boxes), max(box.y1 for box in boxes)
    return (
        slice(max(y0 - _MARGIN, 0), y1 + _MARGIN),
        slice(max(x0 - _MARGIN, 0), x1 + _MARGIN),
    )


def _background(pixels: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
    values = pixels.reshape(*known.shape, -1)
    filled = np.stack(
        [_interpolate(values[..., k].astype(np.float64), known) for k in range(values.shape[2])],
        axis=2,
    )
    if pixels.dtype.kind in "iu":
        filled = np.rint(filled)
    return filled.astype(pixels.dtype).reshape(pixels.shape)


def _interpolate(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill what is not known from coarser and coarser averages of what is (push and pull)."""
    if known.all():
        return values
    rows, columns = known.shape
    even = ((0, rows % 2), (0, columns % 2))
    weight = _sum4(np.pad(known.astype(np.float64), even))
    total = _sum4(np.pad(np.where(known, values, 0.0), even))
    coarse = _interpolate(total / np.maximum(weight, 1), weight > 0)
    size = (2 * coarse.shape[1], 2 * coarse.shape[0])
    finer = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)[:rows, :columns]
    return np.where(known, values, finer)


def _sum4(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]


def _without_strokes(padding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The padding without holes and specks that are thin enough to be strokes of letters."""
    kernel = np.ones((_STROKE, _STROKE), np.uint8)
    closed = cv2.morphologyEx(padding.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    return cv2.morphologyEx(closed, cv2.MORPH_OPEN, kernel).astype(bool)
