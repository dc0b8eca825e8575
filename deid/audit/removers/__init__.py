"""Removers that an audit can run by itself: simple edits to compare with, and planted ones.

To add one: a module here with a function under `remover`, and its name in the import below.
"""

from __future__ import annotations

from deid.audit.removers import (
    blur,
    dp_pix,
    graded,
    high_pass,
    look_alikes,
    network,
    noise,
    pca,
    planted,
)
from deid.audit.removers.registry import REMOVERS, Donors, Remover, called

__all__ = [
    "REMOVERS",
    "Donors",
    "Remover",
    "blur",
    "called",
    "dp_pix",
    "graded",
    "high_pass",
    "look_alikes",
    "network",
    "noise",
    "pca",
    "planted",
]
