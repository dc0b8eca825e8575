"""Copies of one picture, which would be found by anybody and prove nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.pixels import centred_grey
from deid.audit.attackers.registry import Attacker

#: Correlation of 64 x 64 thumbnails from which two pictures are one. In five public sets different
#: pictures reach 0.968 (X-ray), 0.891 (CT) and 0.997 (fundus); a copy in another size 0.999.
SIDE, SAME = 64, 0.998
#: The name under which the thumbnails are looked at, beside those of attackers.
LOOK = "doubles"

#: Rows that are compared with all others at a time.
_HELD = 1024


def thumbnails() -> Attacker:
    """Looks at pictures as an attacker does, and matches nothing."""
    return Attacker(centred_grey, SIDE, adapts=False)


def doubles(thumbs: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which rows ``(n, d)`` are copies of an earlier one.

    A blank has no direction and is a copy of nothing.
    """
    rows = np.asarray(thumbs, dtype=np.float32)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    found = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), _HELD):
        held = rows[start : start + _HELD]
        alike = held @ rows[: start + len(held)].T > SAME
        found[start : start + len(held)] = np.tril(alike, start - 1).any(axis=1)
    return found
