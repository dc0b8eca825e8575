"""Copies of one picture, which would be found by anybody and prove nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.pixels import centred_grey
from deid.audit.attackers.registry import Attacker
from mami_core.data import Record

#: Correlation of 64 x 64 thumbnails from which two pictures are one. In five public sets different
#: pictures reach 0.968 (X-ray), 0.891 (CT) and 0.997 (fundus); a copy in another size 0.999.
SIDE, SAME = 64, 0.998
#: The names under which thumbnails and digests are looked at, beside those of attackers.
LOOK, DIGESTS = "doubles", "digests"

#: Rows that are compared with all others at a time.
_HELD = 1024


def thumbnails() -> Attacker:
    """Looks at pictures as an attacker does, and matches nothing."""
    return Attacker(centred_grey, SIDE, adapts=False)


def digests() -> Attacker:
    """Reads of each picture, at its own size and depth, whether it is the same as another."""
    return Attacker(centred_grey, SIDE, adapts=False, reads=_digests)


def _digests(_: Sequence[Record], pictures: Sequence[NDArray[np.float32]]) -> NDArray[Any]:
    told = [hashlib.sha256(f"{one.shape}".encode() + one.tobytes()) for one in pictures]
    return np.array([[int.from_bytes(one.digest()[:8])] for one in told], dtype=np.uint64)


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
