"""Look-up tables: the bulk that belongs to the picture, and whether it is one or a text.

A modality or VOI LUT, and a palette, decide what the picture looks like, so that none can simply be
left out: a table that reads as a text, or has fewer entries than it says, withholds the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from deid.reasons import Withheld

#: By keyword of the entries that of their descriptor. Any other bulk could hold anything.
TABLES = {
    "LUTData": "LUTDescriptor",
    **{
        f"{kind}{colour}PaletteColorLookupTableData": f"{colour}PaletteColorLookupTableDescriptor"
        for colour in ("Red", "Green", "Blue")
        for kind in ("", "Segmented")
    },
}
#: Sequences that have palettes of their own, whatever the image is.
_OWNERS = frozenset(("PaletteColorLookupTableSequence", "EnhancedPaletteColorLookupTableSequence"))

#: That many printable characters in a row may be a text, if their values go up and down as no scale
#: does: of eight bytes of a text two in three turn.
_PRINTABLE = re.compile(rb"[\x20-\x7e]{8,}")
_WINDOW, _TURNS = 8, 3


def is_palette(keyword: str) -> bool:
    """Whether an attribute is part of a palette, not only its name."""
    return "PaletteColorLookupTable" in keyword and keyword.endswith(("Descriptor", "Data"))


def palette_serves(parent: str, photometric: Collection[str], shown: Collection[str]) -> bool:
    """Whether a palette in items of the sequence `parent` ("" at top level) has something to do.

    Parameters
    ----------
    photometric
        Values of PhotometricInterpretation: stored values may be places in a palette.
    shown
        Values of PixelPresentation: some of the grey values may be shown in colour (PS3.3
        C.7.6.19).
    """
    if parent:
        return parent in _OWNERS
    return "PALETTE COLOR" in photometric or "COLOR" in shown or "MIXED" in shown


def fitted(data: bytes, keyword: str, entries: int, bits: int) -> bytes:
    """The bytes of a table, cut to what its descriptor states.

    Raises
    ------
    Withheld
        ``undecodable`` where they are fewer, or read as a text.
    """
    # Whole words, since a big-endian file's are turned when it is edited.
    data = data[: min(2 * entries, len(data) // 2 * 2)]
    # Two entries a word (PS3.3 C.11.1.1.1).
    packed = bits == 8 and any(data[::2]) and any(data[1::2])
    if packed:
        data = data[: entries + entries % 2]
    if not keyword.startswith("Segmented") and len(data) < entries * (1 if bits == 8 else 2):
        raise Withheld("undecodable", "a look-up table has fewer entries than it says")
    if _is_text(data, packed=packed):
        raise Withheld("undecodable", "a look-up table reads as a text")
    return data


def _is_text(data: bytes, *, packed: bool) -> bool:
    """Whether bytes in a row are printable, and their entries no scale in either byte order."""
    words = np.frombuffer(data, "<u2", len(data) // 2)
    if np.array_equal(words & 0xFF, words >> 8):
        # Eight bits, each written twice.
        return False
    for found in _PRINTABLE.finditer(data):
        if packed:
            turns = _turning(np.frombuffer(found.group(), np.uint8))
            recent = np.convolve(turns, np.ones(_WINDOW - 2, int))
            if recent.max() >= _TURNS:
                return True
            continue
        first, last = (found.start() + 1) // 2, found.end() // 2
        if all(_turning(part).any() for part in (words[first:last], words.byteswap()[first:last])):
            return True
    return False


def _turning(values: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
    """Where values, repetitions left out, begin to rise or to fall; one entry at the least."""
    steps = np.sign(np.diff(values.astype(np.int64)))
    steps = steps[steps != 0]
    return np.append(steps[1:] != steps[:-1], False)
