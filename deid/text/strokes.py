"""Which slices of a stack carry strokes that the others do not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deid.text.box import Box, mask

#: A slice is compared with the one next to it on one side and with the one this far on the other:
#: 1 shows a text on a single slice best, 8 one that stays for up to eight.
_GAPS = (1, 8)
#: Strokes are thinner than this; an organ that comes and goes is not.
_STROKE = 7
#: Columns and rows over which strokes are added up: a few letters.
_WORD = (24, 8)
#: The sums are kept for every fourth row and column.
_STEP = 4
#: How far out of the usual, in deviations of the logarithm, a slice is searched by itself.
_DEVIATIONS = 6
#: Pixels around such strokes that are searched with them.
_AROUND = 48


def odd_slices(pictures: NDArray[Any], boxes: Iterable[Box]) -> dict[int, Box]:
    """Slices with strokes that neither side has, outside the boxes, and where on the slice.

    Anatomy changes steadily from slice to slice, so what counts is how far a pixel lies outside the
    range between a slice before and a slice after; of that the thin part, summed over the size of a
    word, against the same sum in the slices around. Slices whose largest quotient is an outlier in
    the stack are returned, each with the part of the picture that makes it one. In a stack of up to
    four all are, whole.

    Parameters
    ----------
    pictures
        ``(frames, rows, columns)`` or ``(frames, rows, columns, 3)``.
    """
    count, rows, columns = pictures.shape[:3]
    if count <= 4:
        return {i: Box(0, 0, columns, rows) for i in range(count)}
    grey = _to_bytes(pictures)
    hidden = mask(boxes, rows, columns)
    for frame in grey:
        frame[hidden] = 0
    odd: dict[int, Box] = {}
    for gap in _GAPS:
        excess = _excess(np.stack([_strokes(grey, i, gap) for i in range(count)]))
        level = np.log(excess.reshape(count, -1).max(axis=1))
        usual = np.median(level)
        limit = usual + _DEVIATIONS * np.median(np.abs(level - usual)) + 0.1
        for i in np.flatnonzero(level > limit):
            part = _part(excess[i] > np.exp(limit)).clip(rows, columns)
            if part is not None:
                odd[int(i)] = part.join(odd.get(int(i), part))
    return dict(sorted(odd.items()))


def _part(above: NDArray[np.bool_]) -> Box:
    y, x = (_STEP * n for n in np.nonzero(above))
    return Box(int(x.min()), int(y.min()), int(x.max()), int(y.max())).grow(_AROUND, _AROUND)


def _to_bytes(pictures: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey uint8 copy; the largest channel of a colour picture, which any coloured text is in."""
    sample = pictures[:: max(len(pictures) // 8, 1)].astype(np.float32)
    low, high = np.nanpercentile(sample[np.isfinite(sample)], [0.5, 99.5])
    span = max(float(high - low), 1e-6)
    grey = np.empty(pictures.shape[:3], np.uint8)
    for i, picture in enumerate(pictures):
        flat = picture.max(axis=2) if picture.ndim == 3 else picture
        unit = (np.nan_to_num(flat.astype(np.float32)) - np.float32(low)) / np.float32(span)
        grey[i] = np.clip(unit * 255, 0, 255)
    return grey


def _strokes(grey: NDArray[np.uint8], i: int, gap: int) -> NDArray[np.float32]:
    last = len(grey) - 1
    sums = []
    for before, after in {(i - 1, i + gap), (i - gap, i + 1)}:
        # At an end of the stack both slices lie on the same side.
        first = before if before >= 0 else min(after + 1, last)
        second = after if after <= last else max(first - 1, 0)
        one, other = grey[first], grey[second]
        outside = cv2.add(
            cv2.subtract(grey[i], cv2.max(one, other)), cv2.subtract(cv2.min(one, other), grey[i])
        )
        thin = cv2.absdiff(outside, cv2.blur(outside, (_STROKE, _STROKE)))
        sums.append(cv2.boxFilter(thin, cv2.CV_32F, _WORD)[::_STEP, ::_STEP])
    return np.maximum.reduce(sums)


def _excess(strokes: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each slice and place the quotient of its strokes and those of the slices around it."""
    around = np.stack([cv2.dilate(layer, np.ones((5, 5), np.uint8)) for layer in strokes])
    noise = np.float32(np.median(strokes) + 1 / 16)
    result = np.empty_like(strokes)
    for i, layer in enumerate(strokes):
        near = [j for d in (2, 3, 4) for j in (i - d, i + d) if 0 <= j < len(strokes)]
        result[i] = layer / (np.median(around[near], axis=0) + noise)
    return np.maximum(result, np.float32(1e-6))
