"""Text in a stack and in a single image: find, blank, look again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.text.blank import blank
from deid.text.box import Box, union
from deid.text.finder import Finder
from deid.text.strokes import odd_slices


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
    that these do not explain is searched by itself, first where the strokes are and, if there is
    text, whole; its boxes stay with that slice unless something can be read in them.

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
    for index, part in odd_slices(pictures, shared).items():
        slice_ = blank(pictures[index], shared)
        near = slice_[part.y0 : part.y1, part.x0 : part.x1]
        # One size of a picture may hide from the detector what another shows, so here it need not
        # be sure, and both are searched then.
        if not finder.suspects(near):
            continue
        boxes, left = _search(slice_, finder)
        boxes = union([*boxes, *(box.move(part.x0, part.y0) for box in finder.find(near))])
        remains |= left
        # What can be read on one slice may stand on its neighbours, too faint to be noticed there.
        if finder.legible(slice_, boxes):
            shared = union([*shared, *boxes])
        single[index] = boxes
    return StackText([union([*shared, *single.get(i, [])]) for i in range(len(pictures))], remains)


def _search(picture: NDArray[Any], finder: Finder) -> tuple[list[Box], bool]:
    """Look, blank, look again; what the second look finds is blanked too, and looked at once more.

    The detector may go on drawing boxes on anatomy. What counts as text that remains is what the
    reader still reads then.
    """
    boxes: list[Box] = []
    seen = picture
    for _ in range(2):
        found = finder.find(seen)
        if not found:
            return boxes, False
        boxes = union([*boxes, *found])
        seen = blank(picture, boxes)
    return boxes, finder.legible(seen, finder.find(seen))


def _digest(pictures: NDArray[Any]) -> list[NDArray[Any]]:
    high, low = pictures.max(axis=0), pictures.min(axis=0)
    spread = high.astype(np.float32) - low.astype(np.float32)
    ends = sorted({0, len(pictures) // 2, len(pictures) - 1})
    return [*(pictures[i] for i in ends), high, low, spread]
