"""A rectangle that does not stand upright: a line of text at an angle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deid.text.box import Box


@dataclass(frozen=True)
class Slant:
    """A rectangle at any angle.

    Attributes
    ----------
    x, y
        Its middle, in pixels from the upper left corner of the picture.
    length, height
        Its longer and its shorter side, in pixels.
    angle
        Of the longer side against the rows, in degrees, clockwise, in (-90, 90].
    """

    x: float
    y: float
    length: float
    height: float
    angle: float

    @classmethod
    def around(cls, points: NDArray[Any]) -> Slant:
        """The smallest rectangle that holds the points, ``(n, 2)`` as x and y."""
        (x, y), (length, height), angle = cv2.minAreaRect(points)
        if length < height:
            length, height, angle = height, length, angle + 90
        return cls(x, y, length, height, 90 - (90 - angle) % 180)

    @property
    def box(self) -> Box:
        """The smallest upright box that holds it."""
        along, across = self._axes()
        middle = np.array([self.x, self.y])
        half = (abs(along) * self.length + abs(across) * self.height) / 2
        low, high = np.floor(middle - half), np.ceil(middle + half)
        return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))

    def grow(self, along: float, across: float) -> Slant:
        """With a margin at its ends, and another at its long sides."""
        length, height = self.length + 2 * along, self.height + 2 * across
        return Slant(self.x, self.y, length, height, self.angle)

    def tiles(self) -> list[Box]:
        """Upright boxes that cover it wholly and little else: a row of short pieces."""
        count = max(1, round(2 * self.length / max(self.height, 1)))
        along, _ = self._axes()
        piece = self.length / count
        middles = [(k + 0.5) * piece - self.length / 2 for k in range(count)]
        return [
            replace(
                self, x=self.x + at * float(along[0]), y=self.y + at * float(along[1]), length=piece
            ).box
            for at in middles
        ]

    def crop(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What it holds of the picture, turned upright."""
        part = self.box.clip(*picture.shape[:2])
        if part is None:
            return picture[:0, :0]
        along, across = self._axes()
        size = (max(round(self.length), 1), max(round(self.height), 1))
        middle = [self.x - part.x0 - 0.5, self.y - part.y0 - 0.5]
        corner = middle - (along * (size[0] - 1) + across * (size[1] - 1)) / 2
        back = np.column_stack([along, across, corner])
        turned = cv2.warpAffine(
            np.ascontiguousarray(picture[part.y0 : part.y1, part.x0 : part.x1]),
            back,
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(turned, np.uint8)

    def _axes(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Unit vectors (x, y) along the longer and the shorter side."""
        turn = np.deg2rad(self.angle)
        return np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
