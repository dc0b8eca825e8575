"""A small writer of plots as inline SVG.

A plotting library writes styles into attributes, which the page's policy forbids, carries its own
fonts and differs in bytes between versions. Here colours and strokes are classes of the page's
style sheet and the text is the page's own.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from deid.evaluation_report.axis import Axis

WIDTH, HEIGHT = 480, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 466, 12, 272


class Plot:
    """A frame with two axes; what is drawn first lies below.

    Parameters
    ----------
    title
        What a screen reader says of it.
    """

    def __init__(self, title: str, x: Axis, y: Axis) -> None:
        self._title, self._x, self._y = title, x, y
        self._marks: list[Markup] = []

    def line(self, x: ArrayLike, y: ArrayLike, kind: str) -> Plot:
        """Straight lines from point to point; `kind` is a class of the style sheet."""
        return self._path(self._polygon(x, y), f"line {kind}")

    def area(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, kind: str) -> Plot:
        """What lies between two curves over the same places."""
        along, under, over = (np.asarray(one, float) for one in np.broadcast_arrays(x, low, high))
        outline = np.append(along, along[::-1]), np.append(over, under[::-1])
        return self._path(self._polygon(*outline) + "Z", f"area {kind}")

    def dots(self, x: ArrayLike, y: ArrayLike, kind: str) -> Plot:
        """A mark a point: a line of no length, whose cap is the mark."""
        return self._path("".join(f"M{at}h0" for at in self._places(x, y)), f"dots {kind}")

    def markup(self) -> Markup:
        """The element."""
        return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>').format(
            WIDTH, HEIGHT, self._title, self._grid(), Markup("\n").join(self._marks), self._labels()
        )

    def _path(self, data: str, kind: str) -> Plot:
        self._marks.append(Markup('<path class="{}" d="{}"/>').format(kind, data))
        return self

    def _polygon(self, x: ArrayLike, y: ArrayLike) -> str:
        return "M" + "L".join(self._places(x, y))

    def _places(self, x: ArrayLike, y: ArrayLike) -> Iterable[str]:
        across = LEFT + (RIGHT - LEFT) * self._x.place(np.asarray(x, float))
        down = BOTTOM - (BOTTOM - TOP) * self._y.place(np.asarray(y, float))
        return (f"{one:.1f} {other:.1f}" for one, other in zip(across, down, strict=True))

    def _grid(self) -> Markup:
        parts = []
        for value, text in self._x.ticks():
            x = f"{LEFT + (RIGHT - LEFT) * float(self._x.place(np.array(value))):.1f}"
            parts.append(_TICK_X.format(x, TOP, BOTTOM, BOTTOM + 18, text))
        for value, text in self._y.ticks():
            y = BOTTOM - (BOTTOM - TOP) * float(self._y.place(np.array(value)))
            parts.append(_TICK_Y.format(f"{y:.1f}", LEFT, RIGHT, LEFT - 8, f"{y + 4:.1f}", text))
        return Markup("\n").join(parts)

    def _labels(self) -> Markup:
        middle = (TOP + BOTTOM) / 2
        return _LABELS.format((LEFT + RIGHT) / 2, HEIGHT - 8, self._x.label, middle, self._y.label)


_TICK_X = Markup(
    '<path class="grid" d="M{0} {1}V{2}"/><text class="middle" x="{0}" y="{3}">{4}</text>'
)
_TICK_Y = Markup(
    '<path class="grid" d="M{1} {0}H{2}"/><text class="end" x="{3}" y="{4}">{5}</text>'
)
_LABELS = Markup(
    '<text class="label" x="{0}" y="{1}">{2}</text>'
    '<text class="label" transform="translate(14 {3})rotate(-90)">{4}</text>'
)
