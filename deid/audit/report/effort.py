"""The page's plots of what an attack costs: people to learn from, and steps of gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deid.audit.own_patients import AMONG
from deid.audit.report.plots import Drawn
from deid.evaluation_report.axis import Axis
from deid.evaluation_report.figures import Figure
from deid.evaluation_report.plot import Plot
from deid.report.words import visible

SHARE = "share of patients found"


def by_people(drawn: Drawn, curve: Mapping[str, Any], floor: float | None) -> Figure | None:
    """What the leader finds by the people who teach it; None where two numbers can not be drawn.

    Parameters
    ----------
    curve
        What `deid.audit.patients_curve.patients_curve` returned.
    floor
        What the floor finds among as many people; None where none was tried.
    """
    points = [point for point in curve["points"] if "value" in point]
    if len({point["people"] for point in points}) < 2:
        return None
    people, value, low, high = (
        [float(point[key]) for point in points] for key in ("people", "value", "low", "high")
    )
    ends, guess = [people[0], people[-1]], 1.0 / points[0]["n"]
    x = Axis("people who teach the attacker", ends[0], ends[1], log=True)
    plot = Plot(f"People who teach, {drawn.title}", x, Axis(SHARE, 0.0, 1.0))
    own = drawn.kind(drawn.leader)
    plot.area(people, low, high, own).line(ends, [guess, guess], "chance")
    legend = [(own, visible(drawn.leader))]
    if floor is not None:
        plot.line(ends, [floor, floor], "hue-6 floor")
        legend.append(("hue-6 floor", "the floor, which learns from all"))
    plot.line(people, value, own)
    caption = f"Found first among {points[0]['n']:,} people, by the people who teach the attacker."
    return Figure(plot.markup(), [*legend, ("chance", "a guess")], caption)


def by_steps(drawn: Drawn) -> Figure | None:
    """What those who learn by gradient find of their own patients after so many steps.

    None where nobody learnt so. The first point is the closed form that they start from, or have
    to reach.
    """
    walks = {
        name: walk
        for name, one in drawn.attackers.items()
        if (walk := _walk(one.get("fits", ()))) and len(walk) > 1
    }
    if not walks:
        return None
    x = Axis("steps of gradient", 0.0, float(max(max(walk) for walk in walks.values())))
    plot = Plot(f"Steps of gradient, {drawn.title}", x, Axis(SHARE, 0.0, 1.0))
    plot.line([x.low, x.high], [1.0 / AMONG, 1.0 / AMONG], "chance")
    for name, walk in walks.items():
        plot.line(list(walk), list(walk.values()), drawn.kind(name))
    caption = (
        f"The attackers' own patients who were left out, found among {AMONG} people after so many "
        "steps; at 0 the closed form."
    )
    legend = [(drawn.kind(name), visible(name)) for name in walks]
    return Figure(plot.markup(), [*legend, ("chance", "a guess")], caption)


def _walk(fits: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Shares by steps, over the patients of all fits that came as far."""
    if not fits:
        return {}
    starts = [{"steps": 0, "found": one["closed_form"]} for one in fits]
    walks = [
        {point["steps"]: point["found"] for point in (start, *one["by_steps"])}
        for start, one in zip(starts, fits, strict=True)
    ]
    common = sorted(set.intersection(*(set(walk) for walk in walks)))
    patients = [one["patients"] for one in fits]
    return {
        steps: float(np.average([walk[steps] for walk in walks], weights=patients))
        for steps in common
    }
