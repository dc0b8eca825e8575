"""Text in a stack and in a single image: find, blank, look again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deid.text.blank import blank
from deid.text.box import Box, mask, union
from deid.text.finder import Finder

#: Looks at a picture, the first one included. What the last one finds legible remains.
_LOOKS = 3


@dataclass(frozen=True)
class StackText:
    """The text of a stack.

    Attributes
    ----------
    boxes
        Per frame, the boxes to blank.
    remains
        True where text is still legible after blanking.
    """

    boxes: list[list[Box]]
    remains: bool

    @property
    def found(self) -> bool:
        """Whether any frame has a box."""
        return any(self.boxes)


def search_single(picture: NDArray[Any], finder: Finder) -> StackText:
    """Search one picture, ``(rows, columns)`` or ``(rows, columns, 3)``, whole."""
    boxes, remains = _search(picture, finder)
    return StackText([boxes], remains)


def search_stack(pictures: NDArray[Any], finder: Finder) -> StackText:
    """Search the slices of a series, or the frames of an object, as one.

    They share their burned-in text, so the detector sees the first, the middle and the last picture
    and the per-pixel maximum, minimum and spread; each slice gets all boxes. A slice with strokes
    that these do not explain is searched by itself.

    Parameters
    ----------
    pictures
        ``(frames, rows, columns)`` or ``(frames, rows, columns, 3)``, one scale for all frames.
    """
    if len(pictures) == 1:
        return search_single(pictures[0], finder)
    shared: list[Box] = []
    remains = False
    for picture in _digest(pictures):
        boxes, left = _search(picture, finder)
        shared = union([*shared, *boxes])
        remains |= left
    single: dict[int, list[Box]] = {}
    for index in odd_slices(pictures, shared):
        boxes, left = _search(blank(pictures[index], shared), finder)
        single[index] = boxes
        remains |= left
    return StackText([union([*shared, *single.get(i, [])]) for i in range(len(pictures))], remains)


def _search(picture: NDArray[Any], finder: Finder) -> tuple[list[Box], bool]:
    """Look and blank until nothing new is found, at most `_LOOKS` times."""
    boxes: list[Box] = []
    seen = picture
    for _ in range(_LOOKS):
        found = finder.find(seen)
        if not found:
            return boxes, False
        boxes = union([*boxes, *found])
        seen = blank(picture, boxes)
    left = finder.find(seen)
    return boxes, finder.legible(seen, left)


def _digest(pictures: NDArray[Any]) -> list[NDArray[Any]]:
    high, low = pictures.max(axis=0), pictures.min(axis=0)
    spread = high.astype(np.float32) - low.astype(np.float32)
    ends = sorted({0, len(pictures) // 2, len(pictures) - 1})
    return [*(pictures[i] for i in ends), high, low, spread]


def odd_slices(pictures: NDArray[Any], boxes: list[Box]) -> list[int]:
    """Slices with strokes that neither neighbour has and no box explains."""
    count, rows, columns = pictures.shape[:3]
    if count < 4:
        return list(range(count))
    outside = (~mask(boxes, rows, columns)).astype(np.float32)
    score = np.empty(count)
    for i in range(count):
        before, after = pictures[abs(i - 1)], pictures[i + 1 if i + 1 < count else count - 2]
        middle = np.maximum(
            np.minimum(pictures[i], np.maximum(before, after)), np.minimum(before, after)
        )
        strokes = np.abs(pictures[i].astype(np.float32) - middle.astype(np.float32))
        if strokes.ndim == 3:
            strokes = strokes.max(axis=2)
        score[i] = cv2.blur(strokes * outside, (24, 8)).max()
    level = np.log(score + 1)
    usual = np.median(level)
    scatter = np.median(np.abs(level - usual))
    odd = set(np.flatnonzero(level > usual + 6 * scatter + 0.1)) | {int(score.argmax())}
    return sorted(int(i) for i in odd)
