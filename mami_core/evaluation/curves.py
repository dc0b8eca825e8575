"""What lies behind one attacker's figures: its scores as densities, ROC and CMC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mami_core.data import Record
from mami_core.evaluation.intervals import patient_mean
from mami_core.evaluation.metrics import found_within
from mami_core.evaluation.protocol import Gallery, Pairs, gallery, pairs, pooled, usable

Array = NDArray[np.float64]

#: Few, for what is shown often stands on thirty patients.
BINS = 28
#: Points of a ROC or CMC, even on a logarithmic axis: as many as can be told apart on a page.
POINTS = 160
#: A false-positive share is stated where so many pairs of distinct patients are expected there.
FEWEST_PAIRS = 10


@dataclass(frozen=True)
class Density:
    """Scores of pairs as densities over the same bins.

    Attributes
    ----------
    edges
        ``(BINS + 1,)``.
    same, different
        ``(BINS,)``, each with area 1: every patient, and every pair of patients, weighs the same.
    """

    edges: Array
    same: Array
    different: Array


@dataclass(frozen=True)
class Roc:
    """Share of same-patient pairs that are found at each share of false positives.

    Attributes
    ----------
    least
        The smallest share of false positives that the data can speak of; the curve begins there.
    false, true
        ``(POINTS,)``; empty where `least` is not below 1.
    patient_pairs
        Pairs of distinct patients with scores.
    """

    least: float
    false: Array
    true: Array
    patient_pairs: int


@dataclass(frozen=True)
class Cmc:
    """Share of patients, each weighing the same, found within so many ranks: both ``(k,)``."""

    rank: Array
    found: Array


@dataclass(frozen=True)
class Curves:
    """The three of one attacker on one source."""

    density: Density
    roc: Roc
    cmc: Cmc


def curves(embeddings: NDArray[np.floating], records: Sequence[Record]) -> Curves:
    """Curves of one source's images, of which somebody has two units (see `protocol.figures`)."""
    keep = usable(records)
    rows, kept = pooled(np.asarray(embeddings)[keep], [records[index] for index in keep])
    found = pairs(rows, kept)
    return Curves(density(found), roc(found), cmc(gallery(rows, kept)))


def density(found: Pairs) -> Density:
    """Histograms of both kinds of pairs, over the span of all scores."""
    edges = np.histogram_bin_edges(np.concatenate((found.mated, found.impostor)), BINS)
    same, different = (
        np.histogram(scores, edges, weights=weight, density=True)[0]
        for scores, weight in (
            (found.mated, found.mated_weight),
            (found.impostor, found.impostor_weight),
        )
    )
    return Density(edges, same, different)


def roc(found: Pairs) -> Roc:
    """The curve from the smallest share of false positives that is supported, up to 1.

    Between thresholds it is straight: tied pairs come in a random order.
    """
    # The images of two patients weigh 1 together, so that the sum counts pairs of patients.
    total = float(found.impostor_weight.sum())
    least = FEWEST_PAIRS / total
    if least >= 1.0:
        return Roc(least, np.empty(0), np.empty(0), round(total))
    scores = np.concatenate((found.mated, found.impostor))
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    own = np.concatenate((found.mated_weight, np.zeros_like(found.impostor)))[order].cumsum()
    other = np.concatenate((np.zeros_like(found.mated), found.impostor_weight))[order].cumsum()
    true, false = (np.append(0.0, part[last] / part[-1]) for part in (own, other))
    at = np.geomspace(least, 1.0, POINTS)
    # Where several thresholds share a false-positive share, interp takes the last: the best.
    return Roc(least, at, np.interp(at, false, true), round(total))


def cmc(searched: Gallery) -> Cmc:
    """The curve from rank 1 to the number of people."""
    rank = np.unique(np.geomspace(1, searched.size, POINTS // 2).round())
    found = [
        patient_mean(found_within(searched.own, searched.impostors, int(k)), searched.patient).value
        for k in rank
    ]
    return Cmc(rank, np.array(found))
