"""A rectangle of pixels, and how the rectangles of one picture are joined."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, order=True)
class Box:
    """A half-open rectangle: columns ``x0 <= x < x1``, rows ``y0 <= y < y1``."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns covered."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows covered."""
        return self.y1 - self.y0

    def clip(self, rows: int, columns: int) -> Box | None:
        """The part inside a picture of this size, or None where nothing is left."""
        inside = Box(max(self.x0, 0), max(self.y0, 0), min(self.x1, columns), min(self.y1, rows))
        return inside if inside.width > 0 and inside.height > 0 else None

    def grow(self, aside: int, above: int) -> Box:
        """The box with a margin at its sides, and another above and below."""
        return Box(self.x0 - aside, self.y0 - above, self.x1 + aside, self.y1 + above)

    def move(self, right: int, down: int) -> Box:
        """The box elsewhere."""
        return Box(self.x0 + right, self.y0 + down, self.x1 + right, self.y1 + down)

    def join(self, other: Box) -> Box:
        """The smallest box that holds both."""
        return Box(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
        )

    def to_list(self) -> list[int]:
        """``[x0, y0, x1, y1]``, as it is written to JSON."""
        return [self.x0, self.y0, self.x1, self.y1]

    @classmethod
    def from_list(cls, values: Iterable[int]) -> Box:
        """The box that `to_list` wrote."""
        x0, y0, x1, y1 = (int(value) for value in values)
        return cls(x0, y0, x1, y1)


def union(boxes: Iterable[Box]) -> list[Box]:
    """The distinct boxes in a stable order, without those that lie inside another."""
    distinct = sorted(set(boxes))
    return [
        box
        for box in distinct
        if not any(other != box and other.join(box) == other for other in distinct)
    ]


def blocks(lines: Iterable[Box]) -> list[Box]:
    """Join the lines of one block of text into one box.

    An overlay is drawn as a block; what the detector left out between two of its lines, or beside a
    shorter one (a faint label, the rest of a wrapped name), belongs to the block and goes with it.
    Two boxes are joined when they are of similar height and either stand on one line, no further
    apart than a line is high, or overlap sideways with at most one line missing between them.
    Joined boxes are not joined again on account of their new size.
    """
    distinct = union(lines)
    group = list(range(len(distinct)))

    def root(i: int) -> int:
        while group[i] != i:
            i = group[i]
        return i

    for i, one in enumerate(distinct):
        for j in range(i):
            if _same_block(one, distinct[j]):
                group[root(i)] = root(j)
    joined: dict[int, Box] = {}
    for i, box in enumerate(distinct):
        key = root(i)
        joined[key] = joined[key].join(box) if key in joined else box
    return union(joined.values())


def _same_block(one: Box, other: Box) -> bool:
    low, high = sorted((one.height, other.height))
    if high > 2 * low:
        return False
    below = max(one.y0, other.y0) - min(one.y1, other.y1)
    beside = max(one.x0, other.x0) - min(one.x1, other.x1)
    same_line = below < -low / 2
    return beside <= high if same_line else below <= low and beside < 0


def mask(boxes: Iterable[Box], rows: int, columns: int) -> NDArray[np.bool_]:
    """Boolean picture ``(rows, columns)``, true inside any of the boxes."""
    inside = np.zeros((rows, columns), bool)
    for box in boxes:
        inside[max(box.y0, 0) : max(box.y1, 0), max(box.x0, 0) : max(box.x1, 0)] = True
    return inside
