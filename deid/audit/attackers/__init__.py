"""Attackers, one file each: what a picture tells each of them, and how it learns to match.

To add one: a module here with a function under `attacker`, and its name in the import below.
Listing them imports no network; building one does.
"""

from __future__ import annotations

from deid.audit.attackers import (
    findings,
    header,
    judge,
    mami,
    outline,
    pixels,
    siamese,
    stage,
    texture,
    trained,
    undo,
    whiten,
)
from deid.audit.attackers.registry import ATTACKERS, Attacker, Entry, named, usual

__all__ = [
    "ATTACKERS",
    "Attacker",
    "Entry",
    "findings",
    "header",
    "judge",
    "mami",
    "named",
    "outline",
    "pixels",
    "siamese",
    "stage",
    "texture",
    "trained",
    "undo",
    "usual",
    "whiten",
]
