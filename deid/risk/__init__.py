"""Residual risk and utility of one image, from embeddings."""

from __future__ import annotations

from deid.risk.cohort import Cohort
from deid.risk.empty import is_empty
from deid.risk.residual import UNKNOWN, Risk, largest, residual_risk
from deid.risk.utility import fidelity, findings, utility

__all__ = [
    "UNKNOWN",
    "Cohort",
    "Risk",
    "fidelity",
    "findings",
    "is_empty",
    "largest",
    "residual_risk",
    "utility",
]
