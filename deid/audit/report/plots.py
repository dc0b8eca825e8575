"""The page's plots of one linkage, an attacker a colour and the floor drawn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deid.audit.attackers.registry import is_floor
from deid.evaluation_report.axis import Axis
from deid.evaluation_report.figures import HUES, Figure
from deid.evaluation_report.plot import Plot
from deid.report.words import visible


@dataclass(frozen=True)
class Drawn:
    """What is drawn of one linkage.

    Attributes
    ----------
    title
        Source and linkage.
    attackers
        Their figures, by name.
    leader
        Who finds most; its interval is drawn.
    order
        All attackers of the audit: each keeps its colour on the whole page.
    """

    title: str
    attackers: Mapping[str, Any]
    leader: str
    order: Sequence[str]

    def kind(self, name: str) -> str:
        """The class that an attacker is drawn with."""
        return f"hue-{self.order.index(name) % HUES}{' floor' if is_floor(name) else ''}"

    def legend(self, *more: str) -> list[tuple[str, str]]:
        """Attackers and what stands beside them."""
        floor = " (floor)"
        own = [
            (self.kind(name), f"{visible(name)}{floor if is_floor(name) else ''}")
            for name in self.attackers
        ]
        return [*own, *((one, one) for one in more)]


def over_people(drawn: Drawn, figure: str, label: str, caption: str) -> Figure | None:
    """A figure over the number of people; None where there are not two numbers to draw."""
    curves = {name: one[figure] for name, one in drawn.attackers.items() if len(one[figure]) > 1}
    if not curves:
        return None
    longest = max(curves.values(), key=len)
    x = Axis("people searched", longest[0]["n"], longest[-1]["n"], log=True)
    plot = Plot(f"{label}, {drawn.title}", x, Axis(label, 0.0, 1.0))
    if drawn.leader in curves:
        points = curves[drawn.leader]
        n, low, high = (_column(points, key) for key in ("n", "low", "high"))
        plot.area(n, low, high, drawn.kind(drawn.leader))
    plot.line(_column(longest, "n"), _column(longest, "guess"), "chance")
    for name, points in curves.items():
        plot.line(_column(points, "n"), _column(points, "value"), drawn.kind(name))
    return Figure(plot.markup(), drawn.legend("chance"), caption)


def before_after(drawn: Drawn) -> Figure | None:
    """What is found after the edit against before, an attacker a mark; None without an edit."""
    fewer = {name: one["fewer"] for name, one in drawn.attackers.items() if "fewer" in one}
    if not fewer:
        return None
    axes = [Axis(f"share found {when} the edit", 0.0, 1.0) for when in ("before", "after")]
    plot = Plot(f"Before and after, {drawn.title}", *axes)
    plot.line([0.0, 1.0], [0.0, 1.0], "chance")
    for name, one in fewer.items():
        plot.dots([one["before"]], [one["after"]], drawn.kind(name))
    people = " to ".join(f"{n:,}" for n in sorted({one["n"] for one in fewer.values()}))
    caption = f"Found first among {people} people. On the line the edit takes nothing."
    return Figure(plot.markup(), drawn.legend(), caption)


def _column(points: Sequence[Mapping[str, float]], key: str) -> list[float]:
    return [point[key] for point in points]
