"""Releases that the audit makes itself, under keys that are never the release's own."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import numpy as np

from deid.audit.looking import Form, Picture
from deid.audit.removers.registry import Entry, Remover, working
from deid.audit.trouble import AuditError
from mami_core.data import Dataset, Record

#: One in so many people of `train` is the remover's, where it is fitted. The attacker needs more.
DONORS = 4
#: Most pictures that a remover is fitted on.
MOST_DONORS = 1000


def key(seed: int, whose: str) -> bytes:
    """A key for each party: the release, a second release, and the attacker's own two."""
    return hashlib.sha256(f"audit/{seed}/{whose}".encode()).digest()


def protected(remover: Remover, records: Sequence[Record], secret: bytes, strength: float) -> Form:
    """The form of a release under the key `secret`, as 8 bits would hold it."""

    def form(row: int, picture: Picture) -> Picture:
        record = records[row]
        words = record.person if remover.code_of_patient else (*record.person, record.name)
        code = hmac.digest(secret, "\0".join(words).encode(), hashlib.sha256)
        if remover.marked:
            code = hashlib.sha256("\0".join(record.person).encode()).digest() + code
        edited = remover.edit(picture, record.modality, code, strength)
        return np.rint(edited * np.float32(255.0)) / np.float32(255.0)

    return form


def is_donor(record: Record) -> bool:
    """Whether a person of `train` is the remover's and not the attacker's (by a second hash)."""
    text = "/".join(("remover", *record.person))
    return record.split == "train" and hashlib.sha256(text.encode()).digest()[0] % DONORS == 0


def built(entry: Entry, parameter: float, source: Dataset) -> Remover:
    """Make a remover for one source; one that is fitted gets its donors.

    Raises
    ------
    AuditError
        Where there are none.
    """
    if not entry.fitted:
        return entry.build(parameter, np.empty(0, dtype=np.uint8))
    part = source.select(is_donor)
    rows = np.random.default_rng(0).permutation(len(part))[:MOST_DONORS]
    if not len(rows):
        raise AuditError(
            f"--remover: {entry.name} is made from people of 'train', and a source has none there; "
            "give one that is not fitted"
        )
    pictures = [working(part.picture(int(row))) for row in rows]
    deepest = max(one.shape[2] for one in pictures)
    squares = [np.broadcast_to(one, (*one.shape[:2], deepest)) for one in pictures]
    return entry.build(
        parameter, np.stack([np.rint(one * 255.0).astype(np.uint8) for one in squares])
    )
