"""PS3.15: identifiers out of DICOM headers."""

from __future__ import annotations

from deid.tags.clean import Cleaned, clean
from deid.tags.key import KeyFileError, new_key, read_key
from deid.tags.pseudonyms import Pseudonyms, Shift
from deid.tags.statements import PixelFacts

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
