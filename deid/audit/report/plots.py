"""The page's plots of one linkage, an attacker a colour and the floor drawn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deid.audit.attackers.registry import is_floor
from deid.evaluation_report.axis import Axis
from deid.evaluation_report.figures import HUES, Figure
from deid.evaluation_report.plot import Plot
from deid.report.words import visible


@dataclass(frozen=True)
class Drawn:
    """What is drawn of one linkage: each attacker in its adaptive form, where it has one.

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

    def legend(self, chance: str) -> list[tuple[str, str]]:
        """Attackers, and what the line of chance means."""
        own = [
            (self.kind(name), f"{visible(name)}{' (floor)' if is_floor(name) else ''}")
            for name in self.attackers
        ]
        return [*own, ("chance", chance)]


def over(drawn: Drawn, figure: str, x_label: str, y_label: str, caption: str) -> Figure | None:
    """A figure over people or ranks ``n``; None where there are not two numbers to draw."""
    points = {name: one[figure] for name, one in drawn.attackers.items()}
    return _over(drawn, points, x_label, y_label, caption)


def over_images(drawn: Drawn, figure: str, y_label: str, caption: str) -> Figure | None:
    """A figure over the number of images that are pooled."""
    points = {
        name: sorted(
            (
                {**point[figure], "n": point["mean"]}
                for point in one["by_images"]
                if figure in point
            ),
            key=lambda point: float(point["n"]),
        )
        for name, one in drawn.attackers.items()
    }
    return _over(drawn, points, "images of one person, the last all of them", y_label, caption)


def _over(
    drawn: Drawn,
    points_of: Mapping[str, Sequence[Mapping[str, float]]],
    x_label: str,
    y_label: str,
    caption: str,
) -> Figure | None:
    curves = {
        name: points
        for name, points in points_of.items()
        if len({point["n"] for point in points}) > 1
    }
    if not curves:
        return None
    longest = max(curves.values(), key=len)
    x = Axis(x_label, longest[0]["n"], longest[-1]["n"], log=True)
    plot = Plot(f"{y_label}, {drawn.title}", x, Axis(y_label, 0.0, 1.0))
    if drawn.leader in curves:
        points = curves[drawn.leader]
        n, low, high = (_column(points, key) for key in ("n", "low", "high"))
        plot.area(n, low, high, drawn.kind(drawn.leader))
    plot.line(_column(longest, "n"), _column(longest, "guess"), "chance")
    for name, points in curves.items():
        plot.line(_column(points, "n"), _column(points, "value"), drawn.kind(name))
    return Figure(plot.markup(), drawn.legend("a guess"), caption)


def roc(drawn: Drawn) -> Figure | None:
    """Same-patient pairs found at each share of false alarms, as far down as the data speaks."""
    curves = {name: one["roc"] for name, one in drawn.attackers.items() if one["roc"]["false"]}
    if not curves:
        return None
    least = min(one["false"][0] for one in curves.values())
    x = Axis("share of different-patient pairs accepted", least, 1.0, log=True)
    plot = Plot(f"ROC, {drawn.title}", x, Axis("share of same-patient pairs accepted", 0.0, 1.0))
    at = np.geomspace(least, 1.0)
    plot.line(at, at, "chance")
    for name, one in curves.items():
        plot.line(one["false"], one["true"], drawn.kind(name))
    caption = f"ROC, from {least:.2g} on: left of it fewer than ten pairs of patients would decide."
    return Figure(plot.markup(), drawn.legend("a guess"), caption)


def similarity(drawn: Drawn) -> Figure | None:
    """How alike pairs look to the attacker that finds most; None where all look equally alike."""
    found = drawn.attackers[drawn.leader]["similarity"]
    if not found["edges"][0] < found["edges"][-1]:  # as the record rounds them
        return None
    sides = {"hue-1": ("different", "different patients"), "hue-0": ("same", "same patient")}
    top = max(height for kind, _ in sides.values() for height in found[kind])
    x = Axis("cosine similarity", found["edges"][0], found["edges"][-1])
    plot = Plot(f"Similarity of pairs, {drawn.title}", x, Axis("density", 0.0, 1.05 * top))
    steps = np.repeat(found["edges"], 2)
    for hue, (kind, _) in sides.items():
        heights = np.pad(np.repeat(found[kind], 2), 1)
        plot.area(steps, 0.0, heights, hue).line(steps, heights, hue)
    fit = f", one of {found['fits']} fits" if found["fits"] > 1 else ""
    caption = f"Similarity of pairs as {visible(drawn.leader)} sees it{fit}."
    return Figure(plot.markup(), [(hue, text) for hue, (_, text) in sides.items()], caption)


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
    return Figure(plot.markup(), drawn.legend("no change"), caption)


def _column(points: Sequence[Mapping[str, float]], key: str) -> list[float]:
    return [point[key] for point in points]
