"""What stands beside a picture and is kept with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.registry import Attacker, attacker
from mami_core.data import Record
from mami_core.files import as_bytes

#: Columns over which the values of one attribute are spread.
WIDTH = 32
#: Years of an age band.
BAND = 10


@attacker("header", floor=True)
def header(device: str) -> Attacker:
    """Rows, columns, view, body part, sex and age band, whitened: no pixel is looked at."""
    from deid.audit.closed_form import closed_form

    return Attacker(_blind, 1, fit=closed_form, reads=attributes)


def attributes(
    records: Sequence[Record], pictures: Sequence[NDArray[np.float32]]
) -> NDArray[np.float64]:
    """A row an image: its size and shape, and what the table says.

    The size is that of the very copy. The rest is the data set's own table, as if a release kept
    it: one that drops sex and age gives less away than is said here.

    Parameters
    ----------
    pictures
        ``(rows, columns, channels)`` each.
    """
    return np.stack(
        [
            _row(record, one.shape[0], one.shape[1])
            for record, one in zip(records, pictures, strict=True)
        ]
    )


def _row(record: Record, rows: int, columns: int) -> NDArray[np.float64]:
    age = "" if record.age is None else f"{record.age // BAND:.0f}"
    said = {
        "size": f"{rows}x{columns}",
        "view": record.view,
        "part": record.body_part,
        "sex": record.sex,
        "age": age,
    }
    spread = np.zeros((len(said), WIDTH))
    for line, (name, value) in zip(spread, said.items(), strict=True):
        if value:
            line[hashlib.sha256(as_bytes(f"{name}={value}")).digest()[0] % WIDTH] = 1.0
    return np.concatenate([[np.log2(rows), np.log2(columns)], spread.ravel()])


def _blind(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.empty((len(pictures), 0))
