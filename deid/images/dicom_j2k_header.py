"""The marker segments of JPEG 2000's main header: which are needed, and what of each.

Markers as in ITU-T T.800 annex A. Comments go, lists of lengths (lengths change, and decoders do
without), the place of components (CRG) and what no decoder of Part 1 or Part 15 knows. Packed
packet headers and the transforms of Part 2 change what is decoded, and nothing tells where they
end: those are refused.

A value that may be any number without changing the picture may spell one. So are refused offsets of
the image or its tiles, precincts that are no ladder, more than 32 layers, a region of interest and
exponents of a reversible transform other than its own gains ask for: no encoder that was met writes
such. The profile (Rsiz) is written as none.
"""

from __future__ import annotations

import struct
from itertools import pairwise

SIZ, CAP, COD, COC, QCD, QCC, RGN, POC = (
    0xFF51,
    0xFF50,
    0xFF52,
    0xFF53,
    0xFF5C,
    0xFF5D,
    0xFF5E,
    0xFF5F,
)
_NEEDED = frozenset((SIZ, CAP, COD, COC, QCD, QCC, POC))
_OF_ONE_COMPONENT = frozenset((COC, QCC))
#: Packed packet headers (PPM, PPT); multi-component transforms, offsets and non-linearities; and
#: regions of interest (RGN).
_REFUSED = frozenset((0xFF60, 0xFF61, *range(0xFF70, 0xFF7A), RGN))
#: DICOM has images of one and of three.
_MOST_COMPONENTS, _MOST_BITS, _MOST_LEVELS, _MOST_LAYERS = 4, 38, 32, 32
#: Of the capabilities in Rsiz that of high throughput, which decoders look for.
_HIGH_THROUGHPUT = 0x4000
#: Bits of COD's and COC's style, of code-block styles; kinds of wavelet and of colour transform.
_STYLES, _OWN_STYLES, _BLOCK_STYLES, _KINDS = 7, 1, 0x7F, 1
#: Exponents of a reversible wavelet rise by its gain: LL, then HL, LH and HH of each level (E.1).
_GAINS = (0, 1, 1, 2)

#: A marker and its parameters.
Segment = tuple[int, bytes]

#: The capabilities that a CAP segment may state.
_PART_15 = (1 << 17).to_bytes(4, "big")


def needed(segments: list[Segment]) -> list[Segment]:
    """The segments of the main header that are needed, cut to what decoders read.

    Raises
    ------
    ValueError
        Where one is not as long as its content, stands twice, is overruled by others for all
        components, or cannot be understood; where size, coding style or quantisation is absent.
    """
    _refuse_apart(segments)
    found = dict(segments)
    if not {SIZ, COD, QCD} <= found.keys():
        raise ValueError("a header without size, coding style or quantisation")
    components = int.from_bytes(found[SIZ][34:36], "big")
    if not 1 <= components <= _MOST_COMPONENTS or len(found[SIZ]) != 36 + 3 * components:
        raise ValueError("a header with another number of components")
    subbands = 3 * _levels(segments) + 1
    kept = []
    names: set[tuple[int, int]] = set()
    for marker, body in segments:
        if marker not in _NEEDED:
            continue
        name = (marker, body[0] if marker in _OF_ONE_COMPONENT and body else 0)
        if name in names or name[1] >= components:
            raise ValueError("a header that says something twice")
        names.add(name)
        kept.append((marker, _checked(marker, body, subbands)))
    for general, particular in ((COD, COC), (QCD, QCC)):
        if all((particular, component) in names for component in range(components)):
            raise ValueError(f"a header whose segment {general:X} nothing uses")
    return kept


def refuse_own(segments: list[Segment]) -> None:
    """Raise where a tile part's header says anything that decoding needs: encoders for DICOM don't.

    What it says otherwise is not needed.

    Raises
    ------
    ValueError
    """
    _refuse_apart(segments)
    if any(marker in _NEEDED for marker, _ in segments):
        raise ValueError("a tile part with a coding style of its own")


def _refuse_apart(segments: list[Segment]) -> None:
    if any(marker in _REFUSED for marker, _ in segments):
        raise ValueError("a header whose packet headers or transforms stand apart")


def planes(body: bytes, levels: int) -> list[int]:
    """Bit planes of each subband, LL first, by the parameters of a QCD segment (E.1, E.2).

    Raises
    ------
    ValueError
        Where it has too few step sizes.
    """
    style, guard, steps = body[0] & 31, body[0] >> 5, body[1:]
    exponents = [step >> 3 for step in steps[:: 2 if style else 1]]
    if style == 1:
        exponents = [exponents[0] - max(0, (band - 1) // 3) for band in range(3 * levels + 1)]
    if len(exponents) <= 3 * levels:
        raise ValueError("a quantisation with fewer steps than subbands")
    return [guard + exponent - 1 for exponent in exponents]


def _levels(segments: list[Segment]) -> int:
    """The most wavelet levels that a coding style asks for."""
    places = {COD: 5, COC: 2}
    most = max(
        body[places[marker]]
        for marker, body in segments
        if marker in places and len(body) > places[marker]
    )
    if most > _MOST_LEVELS:
        raise ValueError("more wavelet levels than there are")
    return most


def _checked(marker: int, body: bytes, subbands: int) -> bytes:
    if marker == SIZ:
        return _size(body)
    if marker == QCD:
        return _quantised(body, 0, subbands)
    if marker == QCC:
        return _quantised(body, 1, subbands)
    if marker == COD:
        fits = len(body) >= 10 and len(body) == 10 + (body[5] + 1 if body[0] & 1 else 0)
        if fits:
            _insist_on_style(body[5:], body[0], _STYLES)
        if fits and (body[4] > _KINDS or not 1 <= int.from_bytes(body[2:4], "big") <= _MOST_LAYERS):
            raise ValueError("a header with more layers or transforms than encoders write")
    elif marker == COC:
        fits = len(body) >= 7 and len(body) == 7 + (body[2] + 1 if body[1] & 1 else 0)
        if fits:
            _insist_on_style(body[2:], body[1], _OWN_STYLES)
    elif marker == CAP:
        # Of the parts that a stream may need only Part 15 (HTJ2K) is known; others could be a text.
        fits = len(body) == 6 and body[:4] == _PART_15
    else:
        fits = len(body) % 7 == 0
    if not fits:
        raise ValueError("a header segment whose length does not fit its content")
    return body


def _insist_on_style(style: bytes, flags: int, known: int) -> None:
    """Refuse a coding style whose numbers are none that encoders write.

    Precincts are squares, and from one resolution to the next as large or twice as large.
    """
    _, _, _, blocks, wavelet = style[:5]
    sizes = [size & 15 for size in style[5:]]
    square = all(size == step * 17 for size, step in zip(style[5:], sizes, strict=True))
    ladder = all(after - before in (0, 1) for before, after in pairwise(sizes))
    sound = flags <= known and blocks <= _BLOCK_STYLES and wavelet <= _KINDS
    if not (sound and square and ladder):
        raise ValueError("a header with a coding style that no encoder writes")


def _quantised(body: bytes, start: int, subbands: int) -> bytes:
    """Step sizes, as many as there may be subbands; bits that say nothing are empty."""
    if len(body) <= start:
        raise ValueError("a quantisation without style")
    style = body[start] & 31
    head, steps = body[: start + 1], body[start + 1 :]
    if style == 0:
        bands = [step >> 3 for step in steps[:subbands]]
        bases = [band - _GAINS[place and (place - 1) % 3 + 1] for place, band in enumerate(bands)]
        # Of some encoders the finest levels have one bit less.
        if any(not base - 1 <= bases[-1] <= after <= base for base, after in pairwise(bases)):
            raise ValueError("a header whose exponents are not those of its wavelet")
        return head + bytes(band << 3 for band in bands)
    if style > 2 or len(steps) % 2:
        raise ValueError("a quantisation of no kind")
    return head + steps[: 2 * (1 if style == 1 else subbands)]


def _size(body: bytes) -> bytes:
    """Image and tile size; of a tile that holds all of the image, no more than that."""
    fields = list(struct.unpack(">H8IH", body[:36]))
    fields[0] &= _HIGH_THROUGHPUT
    if any(fields[3:5]) or any(fields[7:9]):
        raise ValueError("a header that offsets the image or its tiles")
    for end, tile in ((1, 5), (2, 6)):
        fields[tile] = min(fields[tile], max(1, fields[end]))
    if any(step not in (1, 2) for at in range(37, len(body), 3) for step in body[at : at + 2]):
        raise ValueError("a header whose components are too far apart")
    if any((body[at] & 0x7F) >= _MOST_BITS for at in range(36, len(body), 3)):
        raise ValueError("a component of too many bits")
    return struct.pack(">H8IH", *fields) + body[36:]
