"""Text in a stack and in a single image: find, blank, look again."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deid.text.blank import blank
from deid.text.box import Box, union
from deid.text.finder import Finder
from deid.text.scenes import scenes, views
from deid.text.strokes import odd_slices

#: Slices that are searched by themselves at once; what can be read on them is blanked on the next.
_AT_ONCE = 8


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


@dataclass(frozen=True)
class Part:
    """A picture of a stack, to be searched by itself.

    Attributes
    ----------
    near
        Where it has strokes that its neighbours do not explain; None of a picture that speaks for
        all slices.
    """

    picture: NDArray[Any]
    near: Box | None = None


@dataclass(frozen=True)
class PartText:
    """The text of a part: the boxes to blank, whether any remains, and whether it can be read."""

    boxes: list[Box]
    remains: bool = False
    legible: bool = False


def search_part(part: Part, finder: Finder) -> PartText:
    """Search one part; where there are odd strokes, whole only if these may be text."""
    if part.near is None:
        return PartText(*_search(part.picture, finder))
    near = part.picture[part.near.y0 : part.near.y1, part.near.x0 : part.near.x1]
    # One size of a picture may hide from the detector what another shows, so here it need not be
    # sure, and both are searched then.
    if not finder.suspects(near):
        return PartText([])
    boxes, remains = _search(part.picture, finder)
    found = (box.move(part.near.x0, part.near.y0) for box in finder.find(near))
    boxes = union([*boxes, *found])
    return PartText(boxes, remains, finder.legible(part.picture, boxes))


#: Searches parts in any order, anywhere, and gives what `search_part` says of each. What it yields
#: on the way is between it and whoever drives it.
Each = Callable[[list[Part]], Generator[Any, Any, list[PartText]]]


def search_slices(pictures: NDArray[Any], each: Each) -> Generator[Any, Any, StackText]:
    """Search the slices of a series, or the frames of an object: those of one scene as one.

    Parameters
    ----------
    pictures
        ``(frames, rows, columns)`` or ``(frames, rows, columns, 3)``, one scale for all frames.
    """
    whole = StackText([], False)
    for scene in scenes(pictures):
        one = yield from _search_scene(scene, each)
        whole = StackText(whole.boxes + one.boxes, whole.remains or one.remains)
    return whole


def _search_scene(pictures: NDArray[Any], each: Each) -> Generator[Any, Any, StackText]:
    """Search pictures of which each resembles the one before.

    They share their burned-in text, so the detector sees the first, the middle and the last
    picture, those to which a film has moved on, and the per-pixel maximum, minimum and spread; each
    slice gets all boxes. A slice with strokes that these do not explain is searched by itself,
    first where the strokes are and, if there is text, whole; its boxes stay with that slice unless
    something can be read in them.
    """
    if len(pictures) == 1:
        (alone,) = yield from each([Part(pictures[0])])
        return StackText([alone.boxes], alone.remains)
    found = yield from each([Part(picture) for picture in _digest(pictures)])
    shared = union(box for one in found for box in one.boxes)
    remains = any(one.remains for one in found)
    single: dict[int, list[Box]] = {}
    odd = list(odd_slices(pictures, shared).items())
    for start in range(0, len(odd), _AT_ONCE):
        several = odd[start : start + _AT_ONCE]
        parts = [Part(blank(pictures[index], shared), near) for index, near in several]
        found = yield from each(parts)
        for (index, _), one in zip(several, found, strict=True):
            single[index] = one.boxes
            remains |= one.remains
            # What can be read on one slice may stand on its neighbours, too faint to be noticed.
            if one.legible:
                shared = union([*shared, *one.boxes])
    return StackText([union([*shared, *single.get(i, [])]) for i in range(len(pictures))], remains)


def search_stack(pictures: NDArray[Any], finder: Finder) -> StackText:
    """Search a stack (see `search_slices`) in this process; one picture, whole."""
    if len(pictures) == 1:
        return search_single(pictures[0], finder)

    def here(parts: list[Part]) -> Generator[Any, Any, list[PartText]]:
        yield from ()
        return [search_part(part, finder) for part in parts]

    steps = search_slices(pictures, here)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return cast(StackText, stop.value)


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
    # What moves over a text hides it from those who look at all frames at once.
    chosen = sorted({0, len(pictures) // 2, len(pictures) - 1, *views(pictures)})
    return [*(pictures[i] for i in chosen), high, low, spread]
