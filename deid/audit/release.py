"""Releases that the audit makes itself, under keys that are never the release's own."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

import numpy as np

from deid.audit.looking import Form, Picture
from deid.audit.own_patients import owners
from deid.audit.removers.registry import NOBODY, Donors, Entry, Remover, working
from deid.audit.trials import nobody
from deid.audit.trouble import AuditError
from mami_core.data import Dataset, Record
from mami_core.files import as_bytes

#: One in so many people of `train` is the remover's, where it is fitted. The attacker needs more.
DONORS = 4
#: Most pictures that a remover is fitted on.
MOST_DONORS = 2000


def keys(seed: int, whose: str, count: int = 1) -> list[bytes]:
    """Keys of one party: of the release, of a second one, and of the attacker's own of either.

    Parameters
    ----------
    count
        How many; of more the first are the same.
    """
    names = [whose, *(f"{whose} {number}" for number in range(1, count))]
    return [hashlib.sha256(f"audit/{seed}/{name}".encode()).digest() for name in names]


def protected(
    remover: Remover, records: Sequence[Record], secrets: Sequence[bytes], strength: float
) -> Form:
    """The form of a release, as 8 bits would hold it: the mean of one under each of the keys."""

    def made(row: int, picture: Picture, secret: bytes) -> Picture:
        record = records[row]
        words = record.person if remover.code_of_patient else (*record.person, record.name)
        code = hmac.digest(secret, as_bytes("\0".join(words)), hashlib.sha256)
        if remover.marked:
            code = hashlib.sha256(as_bytes("\0".join(record.person))).digest() + code
        edited = remover.edit(picture, record.modality, code, strength)
        return np.rint(edited * np.float32(255.0)) / np.float32(255.0)

    def form(row: int, picture: Picture) -> Picture:
        copies = np.stack([made(row, picture, secret) for secret in secrets])
        # So precise that the mean of equal pictures is that very picture.
        return copies.mean(axis=0, dtype=np.float64).astype(np.float32)

    return form


def taken_by(entry: Entry | None) -> Callable[[Record], bool]:
    """Which images are of patients who are a remover's, and not the attacker's."""
    return _apart if entry is not None and entry.fitted and not entry.shared else nobody


def _apart(record: Record) -> bool:
    """By a second hash of the person."""
    text = "/".join(("remover", *record.person))
    return _teaches(record) and hashlib.sha256(as_bytes(text)).digest()[0] % DONORS == 0


def _teaches(record: Record) -> bool:
    return record.split == "train"


def built(entry: Entry, parameter: float, source: Dataset) -> Remover:
    """Make a remover for one source; one that is fitted gets its donors.

    Raises
    ------
    AuditError
        Where there are none.
    """
    if not entry.fitted:
        return entry.build(parameter, NOBODY)
    part = source.select(_teaches if entry.shared else _apart)
    rows = np.random.default_rng(0).permutation(len(part))[:MOST_DONORS]
    if not len(rows):
        raise AuditError(
            f"--remover: {entry.name} is made from people of 'train', and a source has none there; "
            "give one that is not fitted"
        )
    pictures = [working(part.picture(int(row))) for row in rows]
    deepest = max(one.shape[2] for one in pictures)
    squares = [np.broadcast_to(one, (*one.shape[:2], deepest)) for one in pictures]
    stacked = np.stack([np.rint(one * 255.0).astype(np.uint8) for one in squares])
    return entry.build(parameter, Donors(stacked, owners(part.records)[rows]))
