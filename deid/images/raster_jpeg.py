"""JPEG: the coded picture as it is, without comments and application segments."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid import icc
from deid.images import raster_exif
from deid.images.dicom_jpeg import Segment, segments, strip
from deid.images.raster_picture import Kept, Picture, Size
from deid.reasons import Withheld

_APP0, _APP1, _APP2, _SOS = 0xE0, 0xE1, 0xE2, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Baseline, extended sequential and progressive, Huffman coded.
_SUPPORTED = frozenset({0xC0, 0xC1, 0xC2})
#: Begins the index of a file with several pictures (CIPA DC-007), of which decoders show the first.
_MPF_NAME = b"MPF\0"
_EXIF_NAME = b"Exif\0\0"
_ICC_NAME = b"ICC_PROFILE\0"
#: Entropy-coded data that no whole picture reads.
_FILLER = bytes(range(1, 129))
#: What an edited picture is written with: the standard tables at this quality, full colour.
QUALITY = 95


def _segments(data: bytes) -> list[Segment]:
    try:
        return list(segments(data))
    except ValueError as error:
        raise Withheld("undecodable", "the JPEG file is damaged or ends early") from error


def size(data: bytes) -> Size:
    """What the frame header says.

    Raises
    ------
    Withheld
        ``undecodable``: no frame header, several pictures, or a kind of JPEG that is not supported.
    """
    parts = _segments(data)
    if any(part.marker == _APP2 and part.body.startswith(_MPF_NAME) for part in parts):
        raise Withheld("undecodable", "only JPEG files with one picture are supported")
    for segment in parts:
        if segment.marker in _FRAMES and len(segment.body) >= 6:
            precision, rows, columns, samples = struct.unpack(">BHHB", segment.body[:6])
            if segment.marker not in _SUPPORTED or precision != 8 or samples not in (1, 3):
                raise Withheld("undecodable", "a kind of JPEG that is not supported")
            return Size(rows, columns, samples, 1)
    raise Withheld("undecodable", "the JPEG file ends before its frame header")


def decode(data: bytes) -> Picture:
    """Decode, and strip the file for the case that it is not edited.

    Raises
    ------
    Withheld
        ``undecodable``.
    """
    parts = _segments(data)
    scans = [part for part in parts if part.marker == _SOS]
    if not scans or data.rstrip(b"\xff").endswith(scans[-1].coded):
        raise Withheld("undecodable", "the JPEG file ends before its picture does")
    try:
        stream = strip(data)
    except (ValueError, IndexError) as error:
        raise Withheld("undecodable", "the JPEG file contradicts itself") from error
    kept = Kept(
        icc=icc.standard(_profile(parts)),
        orientation=_orientation(parts),
        density=_density(parts),
    )
    # A decoder takes the colours of a file with JFIF header for YCbCr, so the header has to stay.
    written = _dressed(stream, kept)
    pixels = _values(written)
    if not _is_whole(written, pixels):
        raise Withheld("undecodable", "there are fewer JPEG data than the header says")
    return Picture(pixels, replace(kept, stream=written))


def _is_whole(stream: bytes, pixels: NDArray[np.uint8]) -> bool:
    """Whether the data last to the end of the picture.

    libjpeg paints what is missing grey and only warns, which Pillow does not pass on. But where
    data are missing it also takes any that are put there, and elsewhere it does not.
    """
    longer = stream[:-2] + _FILLER + stream[-2:]  # before the end of image
    return np.array_equal(_values(longer), pixels)


def _values(data: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            picture.load()
            if picture.mode not in ("L", "RGB"):
                raise Withheld("undecodable", "a kind of JPEG that is not supported")
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise Withheld("undecodable", "the JPEG data are damaged") from error


def encode(pixels: NDArray[Any], kept: Kept) -> bytes:
    """A new JPEG file of these pixels."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY, subsampling=0)
    return _dressed(strip(out.getvalue()), kept)


def _dressed(stream: bytes, kept: Kept) -> bytes:
    """A stripped stream with fresh application segments for what is kept."""
    parts = []
    if kept.density is not None:
        across, down, unit = kept.density
        body = b"JFIF\0\1\1" + struct.pack(">BHHBB", unit, int(across), int(down), 0, 0)
        parts.append((_APP0, body))
    if kept.orientation != 1:
        parts.append((_APP1, _EXIF_NAME + raster_exif.build(kept.orientation)))
    if kept.icc is not None:
        parts.append((_APP2, _ICC_NAME + b"\1\1" + kept.icc))
    head = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in parts
    )
    return stream[:2] + head + stream[2:]


def _density(parts: list[Segment]) -> tuple[float, float, int] | None:
    """Density of the JFIF header, 1 to 1 where it makes no sense; None without the header."""
    for part in parts:
        if part.marker == _APP0 and part.body[:5] == b"JFIF\0" and len(part.body) >= 12:
            unit, across, down = struct.unpack_from(">BHH", part.body, 7)
            sensible = unit <= 2 and across > 0 and down > 0
            return (float(across), float(down), unit) if sensible else (1.0, 1.0, 0)
    return None


def _orientation(parts: list[Segment]) -> int:
    """The orientation of the first EXIF segment, 1 where there is none."""
    for part in parts:
        if part.marker == _APP1 and part.body[:6] == _EXIF_NAME:
            return raster_exif.orientation(part.body[6:])
    return 1


def _profile(parts: list[Segment]) -> bytes:
    """The profile out of its numbered pieces (ICC.1:2022, annex B.4)."""
    pieces = [
        (part.body[12], part.body[14:])
        for part in parts
        if part.marker == _APP2 and part.body[:12] == _ICC_NAME and len(part.body) > 14
    ]
    return b"".join(piece for _, piece in sorted(pieces))
