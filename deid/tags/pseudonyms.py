"""Pseudonyms, new UIDs and date shifts: HMAC-SHA-256 of the key and what is to be replaced."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from pydicom._uid_dict import UID_dictionary

from deid.tags.tables import image_classes

_DAYS = 3650


def is_standard(uid: str, kinds: Collection[str]) -> bool:
    """Whether the standard itself defines a UID as one of these kinds of things (PS3.6 table A-1).

    That it begins like one is not enough, since anything may follow. Classes newer than our
    dictionary count where our own table has them.
    """
    if uid in UID_dictionary:
        return UID_dictionary[uid][1] in kinds
    return "SOP Class" in kinds and uid in image_classes()


@dataclass(frozen=True)
class Shift:
    """How far a patient's dates move into the past: whole days plus seconds, never zero.

    The seconds have a fraction (`microseconds`), without which those of the times would stay as
    they were: six digits that hardly any other examination has.
    """

    days: int
    seconds: int
    microseconds: int = 0

    def delta(self) -> timedelta:
        """The whole shift."""
        return timedelta(days=self.days, seconds=self.seconds, microseconds=self.microseconds)


class Pseudonyms:
    """What stands in place of identifiers; the same key gives the same answers in every run.

    Parameters
    ----------
    key
        32 bytes.
    instance_context
        What SOP instance UIDs depend on beside the old UID: options and weights that change pixels.
    """

    def __init__(self, key: bytes, instance_context: bytes) -> None:
        self._key, self._context = key, instance_context

    def _digest(self, *parts: bytes) -> bytes:
        # Each part with its length, so that no two lists of parts give the same bytes.
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, message, hashlib.sha256)

    def name(self, kind: str, *values: str) -> str:
        """A pseudonym of 160 bits in capitals and digits."""
        parts = (value.encode("utf-8", "surrogatepass") for value in values)
        digest = self._digest(kind.encode(), *parts)
        return base64.b32encode(digest[:20]).decode()

    def patient(self, issuer: str, value: str) -> str:
        """The patient's pseudonym."""
        return self.name("patient", issuer.strip(), value.strip())

    def uid(self, old: str) -> str:
        """A new UID for an old one, whatever that is."""
        return self._uid(b"uid", old)

    def instance_uid(self, old: str) -> str:
        """A new SOP instance UID, which differs where the pixels may differ."""
        return self._uid(b"instance", old, self._context)

    def _uid(self, kind: bytes, old: str, *more: bytes) -> str:
        old = old.strip(" \0")
        if not old:
            return old
        digest = self._digest(kind, old.encode("utf-8", "surrogatepass"), *more)
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"

    def shift(self, patient: str) -> Shift:
        """The patient's date shift, 1 to 3650 days and more than 1 to less than 86400 seconds."""
        number = int.from_bytes(self._digest(b"shift", patient.encode()), "big")
        rest, days = divmod(number, _DAYS)
        rest, seconds = divmod(rest, 86399)
        return Shift(1 + days, 1 + seconds, 1 + rest % 999_999)
