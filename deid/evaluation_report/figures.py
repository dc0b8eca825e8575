"""The page's plots, one function a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from deid.evaluation_report.axis import Axis
from deid.evaluation_report.log import Curve
from deid.evaluation_report.plot import Plot
from deid.evaluation_report.table import interval
from deid.report.words import visible
from mami_core.evaluation.curves import Curves
from mami_core.evaluation.plane import plane
from mami_core.evaluation.report import ROWS

#: How many colours the style sheet has; after them the marks are squares.
HUES = 8
#: Points of a curve over steps; a longer one is averaged in as many pieces.
PIECES = 120
#: How far a ROC's axis reaches below the curves, as a factor.
STRIP = 1.5


@dataclass(frozen=True)
class Figure:
    """A plot, what its colours mean (class and text), and what it says."""

    plot: Markup
    legend: list[tuple[str, str]]
    caption: str


def similarity(source: str, figures: Mapping[str, Any], found: Curves) -> Figure:
    """Densities of the encoder's scores, same patient against different patients."""
    shown = found.density
    top = float(max(shown.same.max(), shown.different.max()))
    x = Axis("cosine similarity", float(shown.edges[0]), float(shown.edges[-1]))
    plot = Plot(f"Similarity of pairs, {visible(source)}", x, Axis("density", 0.0, 1.05 * top))
    legend = [("hue-1", "different patients"), ("hue-0", "same patient")]
    for (kind, _), heights in zip(legend, (shown.different, shown.same), strict=True):
        steps = np.repeat(shown.edges, 2), np.pad(np.repeat(heights, 2), 1)
        plot.area(steps[0], 0.0, steps[1], kind).line(*steps, kind)
    patients = figures["auc"]["patients"]
    caption = (
        f"{visible(source)}: AUC {interval(figures['auc'])}, {patients} patients with pairs "
        f"({figures['kind'].replace('|', ', ')})."
    )
    return Figure(plot.markup(), legend, caption)


def searching(source: str, figures: Mapping[str, Any], found: Mapping[str, Curves]) -> Figure:
    """CMC of every row: how many patients are among the first so many people."""
    size = figures["rank1"]["gallery"]
    x = Axis("rank, among all people", 1.0, float(size), log=True)
    plot = Plot(f"CMC, {visible(source)}", x, Axis("share of patients found", 0.0, 1.0))
    rank = found["encoder"].cmc.rank
    plot.line(rank, rank / size, "chance")
    for name in _order(found):
        plot.line(found[name].cmc.rank, found[name].cmc.found, name)
    caption = (
        f"{visible(source)}: {figures['rank1']['patients']} patients, each searched among "
        f"{size:,} people."
    )
    return Figure(plot.markup(), _legend(found), caption)


def verifying(source: str, found: Mapping[str, Curves]) -> Figure | None:
    """ROC of every row, as far down as the data can speak; None where it can not at all."""
    limit = found["encoder"].roc
    if not limit.false.size:
        return None
    # A strip without curves shows that they end for want of pairs, not at the frame.
    low = limit.least / STRIP
    x = Axis("share of different-patient pairs accepted", low, 1.0, log=True)
    y = Axis("share of same-patient pairs accepted", 0.0, 1.0)
    plot = Plot(f"ROC, {visible(source)}", x, y)
    plot.area([low, limit.least], 0.0, 1.0, "unknown")
    plot.line(limit.false, limit.false, "chance")
    for name in _order(found):
        plot.line(found[name].roc.false, found[name].roc.true, name)
    caption = (
        f"{visible(source)}: {limit.patient_pairs:,} pairs of distinct patients, so that the "
        f"curves begin at {limit.least:.2g}; left of it fewer than ten would decide."
    )
    return Figure(plot.markup(), _legend(found), caption)


def modality_map(modalities: Mapping[tuple[str, str], NDArray[np.float32]]) -> Figure:
    """M of the images of all sources in the plane of its largest differences."""
    flat = plane(np.concatenate(list(modalities.values())))
    # M has no unit: one that makes the figures at the ticks short.
    places = flat.points / (flat.points[:, 0].std() or 1.0)
    axes = [
        Axis.around(f"{name} component ({share:.0%} of variance)", values)
        for name, share, values in zip(("first", "second"), flat.share, places.T, strict=True)
    ]
    plot = Plot("Map of modality representations", *axes)
    legend = []
    ends = np.cumsum([len(rows) for rows in modalities.values()])
    parts = np.split(places, ends[:-1])
    for count, ((source, modality), points) in enumerate(zip(modalities, parts, strict=True)):
        kind = f"hue-{count % HUES} {'square' if count >= HUES else 'round'}"
        plot.dots(points[:, 0], points[:, 1], kind)
        legend.append((kind, f"{visible(source)} ({visible(modality)})"))
    caption = (
        f"{len(places):,} images, evenly over each source's table. Colours were not seen by "
        "the encoder: it finds the modality in the picture."
    )
    return Figure(plot.markup(), legend, caption)


def loss(curve: Curve) -> Figure:
    """The loss over the steps, averaged in pieces, and the spread within each."""
    steps, values = np.array(curve).T
    pieces = np.array_split(np.arange(len(steps)), min(len(steps), PIECES))
    at, mean, low, high = np.array(
        [
            (steps[piece].mean(), values[piece].mean(), values[piece].min(), values[piece].max())
            for piece in pieces
        ]
    ).T
    plot = Plot("Loss", Axis.around("step", at), Axis.around("loss", values))
    if len(pieces) < len(steps):
        plot.area(at, low, high, "hue-0")
    each = -(-len(steps) // len(pieces))
    caption = f"Loss of {len(steps):,} steps" + (
        f": mean and range of every {each} of them." if each > 1 else "."
    )
    return Figure(plot.line(at, mean, "hue-0").markup(), [], caption)


def val(curves: Mapping[str, Curve]) -> Figure:
    """What was measured on `val` during the training."""
    rows = {name: np.array(curve).T for name, curve in curves.items()}
    every = np.concatenate(list(rows.values()), axis=1)
    plot = Plot("Figures on val", Axis.around("step", every[0]), Axis.around("figure", every[1]))
    legend = []
    for count, (name, (steps, values)) in enumerate(rows.items()):
        kind = f"hue-{count % HUES}"
        plot.line(steps, values, kind).dots(steps, values, f"{kind} round")
        legend.append((kind, visible(name)))
    return Figure(plot.markup(), legend, "Measured on val during the training.")


def _order(found: Mapping[str, Curves]) -> list[str]:
    """The rows as they are drawn: the encoder last, so that it lies on top."""
    return [*(name for name in ROWS if name in found), "encoder"]


def _legend(found: Mapping[str, Curves]) -> list[tuple[str, str]]:
    names = ["encoder", *(name for name in ROWS if name in found), "chance"]
    return [(name, name) for name in names]
