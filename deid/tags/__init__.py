"""PS3.15: identifiers out of DICOM headers."""

from __future__ import annotations

from deid.tags.clean import Cleaned, PixelFacts, clean
from deid.tags.key import KeyFileError, new_key, read_key
from deid.tags.pseudonyms import Pseudonyms, Shift

__all__ = [
    "Cleaned",
    "KeyFileError",
    "PixelFacts",
    "Pseudonyms",
    "Shift",
    "clean",
    "new_key",
    "read_key",
]
