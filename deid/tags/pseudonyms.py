"""Pseudonyms, new UIDs and date shifts: HMAC-SHA-256 of the key and what is to be replaced."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import timedelta

from pydicom._uid_dict import UID_dictionary

#: Storage classes that are newer than our dictionary of UIDs.
_STORAGE = re.compile(r"1\.2\.840\.10008\.5\.1\.4(\.[1-9]\d{0,2}){2,5}")
_DAYS = 3650


def is_standard(uid: str) -> bool:
    """Whether the standard itself defines a UID: then it means the same everywhere and stays.

    That it begins like one is not enough, since anything may follow.
    """
    return uid in UID_dictionary or _STORAGE.fullmatch(uid) is not None


@dataclass(frozen=True)
class Shift:
    """How far a patient's dates move into the past: whole days plus seconds, never zero."""

    days: int
    seconds: int

    def delta(self) -> timedelta:
        """The whole shift."""
        return timedelta(days=self.days, seconds=self.seconds)


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
        self._uids: dict[str, str] = {}

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
        """A new UID for an old one; standard UIDs stay."""
        return self._uid(b"uid", old)

    def instance_uid(self, old: str) -> str:
        """A new SOP instance UID, which differs where the pixels may differ."""
        return self._uid(b"instance", old, self._context)

    def _uid(self, kind: bytes, old: str, *more: bytes) -> str:
        old = old.strip(" \0")
        if not old or is_standard(old):
            return old
        digest = self._digest(kind, old.encode("utf-8", "surrogatepass"), *more)
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"

    def shift(self, patient: str) -> Shift:
        """The patient's date shift, 1 to 3650 days and 1 to 86399 seconds."""
        number = int.from_bytes(self._digest(b"shift", patient.encode()), "big")
        return Shift(1 + number % _DAYS, 1 + number // _DAYS % 86399)
