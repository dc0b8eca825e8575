"""Figures for encoders: metrics, intervals, protocols and floors."""

from __future__ import annotations

from mami_core.evaluation.floors import pixel_floor
from mami_core.evaluation.intervals import Estimate, patient_bootstrap, patient_mean, wilson
from mami_core.evaluation.metrics import auc, average_precision, found_within, linkability
from mami_core.evaluation.protocol import Figures, by_source, figures, gallery, pairs, verification

__all__ = [
    "Estimate",
    "Figures",
    "auc",
    "average_precision",
    "by_source",
    "figures",
    "found_within",
    "gallery",
    "linkability",
    "pairs",
    "patient_bootstrap",
    "patient_mean",
    "pixel_floor",
    "verification",
    "wilson",
]
