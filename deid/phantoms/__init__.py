"""Procedural patients: the same invented body at each visit, another pose, exposure and noise.

>>> rows = make(Path("phantoms"), patients=4, visits=2, seed=0)  # doctest: +SKIP
"""

from __future__ import annotations

from deid.phantoms.ct import ct_volume
from deid.phantoms.folder import COLUMNS, MODALITIES, make
from deid.phantoms.fundus import fundus
from deid.phantoms.lettering import burn
from deid.phantoms.mimic import mimic_tree
from deid.phantoms.xray import chest_xray

__all__ = [
    "COLUMNS",
    "MODALITIES",
    "burn",
    "chest_xray",
    "ct_volume",
    "fundus",
    "make",
    "mimic_tree",
]
