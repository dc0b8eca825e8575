"""JPEG 2000 codestreams (HTJ2K too): out of their boxes, and without their comments.

Markers as in ITU-T T.800 annex A. The codestream is kept as it is but for what no decoder needs: in
the main header (`deid.images.dicom_j2k_header`), in those of the tile parts, of which one a tile is
written, behind the packets of a tile (`deid.images.dicom_j2k_packets`) and behind the end of the
codestream.
Boxes (JP2 files inside DICOM) carry metadata only: DICOM says itself what the components mean.
"""

from __future__ import annotations

import struct
from collections import defaultdict

from deid.images import dicom_j2k_header
from deid.images.dicom_j2k_header import COD, Segment
from deid.images.dicom_j2k_packets import Packets

SOT, _SOD = 0xFF90, 0xFF93


def codestream(stream: bytes) -> bytes:
    """The codestream inside a JP2 file, or `stream` itself where it is one.

    Raises
    ------
    ValueError
        Where there is none.
    """
    if stream[:4] == b"\xff\x4f\xff\x51":
        return stream
    position = 0
    while position + 8 <= len(stream):
        length, kind = struct.unpack_from(">I4s", stream, position)
        head = 8
        if length == 1 and position + 16 <= len(stream):
            (length,) = struct.unpack_from(">Q", stream, position + 8)
            head = 16
        if kind == b"jp2c":
            end = len(stream) if length == 0 else position + length
            return codestream_only(stream[position + head : end])
        if length < head:
            break
        position += length
    raise ValueError("no codestream")


def codestream_only(stream: bytes) -> bytes:
    """`stream`, provided that it is a bare codestream."""
    if stream[:4] != b"\xff\x4f\xff\x51":
        raise ValueError("no codestream")
    return stream


def size(stream: bytes) -> tuple[int, int]:
    """Rows and columns of the reference grid's image area.

    Raises
    ------
    ValueError
        Where there is no codestream.
    """
    body = codestream(stream)
    if len(body) < 24:
        raise ValueError("the codestream is too short")
    right, bottom, left, top = struct.unpack_from(">4I", body, 8)
    if bottom <= top or right <= left:
        raise ValueError("an image without extent")
    return bottom - top, right - left


def irreversible(stream: bytes) -> bool:
    """Whether the wavelet loses something (transform 9-7), as the first coding style says."""
    body = codestream(stream)
    position = 2
    while position + 4 <= len(body):
        marker, length = struct.unpack_from(">HH", body, position)
        if marker == COD and position + 14 <= len(body):
            return body[position + 13] == 0
        if marker == SOT or length < 2:
            break
        position += 2 + length
    return False


def strip(stream: bytes) -> bytes:
    """The bare codestream without what no decoder needs and without what stands behind its end.

    Raises
    ------
    ValueError
        Where it is no codestream, its headers are cut off, or something in them could hold more
        than decoders read.
    """
    body = codestream(stream)
    found, position = segments(body, 2, SOT)
    header = dicom_j2k_header.needed(found)
    tiles: dict[int, list[bytes]] = defaultdict(list)
    while position + 12 <= len(body) and body[position : position + 4] == b"\xff\x90\x00\x0a":
        tile, declared = struct.unpack_from(">HI", body, position + 4)
        # Zero says "up to the end of the codestream"; longer than the data, they were cut off.
        end = position + declared if declared else _end(body)
        end = min(end, len(body))
        found, data = segments(body, position + 12, _SOD)
        if end < data:
            raise ValueError("a tile part that ends inside its header")
        dicom_j2k_header.refuse_own(found)
        tiles[tile].append(body[data:end])
        position = end
    if not tiles:
        raise ValueError("no tile part")
    if body[position : position + 2] not in (b"", b"\xff", b"\xff\xd9"):
        raise ValueError("something that is no tile part between them")
    out = [b"\xff\x4f"]
    for marker, parameters in header:
        out += [struct.pack(">HH", marker, len(parameters) + 2), parameters]
    packets = Packets(header)
    for tile, parts in sorted(tiles.items()):
        # One part a tile: where others end says nothing of the picture.
        coded = b"".join(parts)
        coded = coded[: packets.length(coded, tile)]
        out += [struct.pack(">HHHIBBH", SOT, 10, tile, 14 + len(coded), 0, 1, _SOD), coded]
    out.append(b"\xff\xd9")
    return b"".join(out)


def _end(body: bytes) -> int:
    """Where the last tile part ends that does not say so itself: before the last EOC marker."""
    found = body.rfind(b"\xff\xd9")
    return found if found >= 0 else len(body)


def segments(body: bytes, position: int, until: int) -> tuple[list[Segment], int]:
    """The marker segments from `position` up to the marker `until`.

    And where it stands: SOT itself, but of SOD where the data begin.
    """
    found: list[Segment] = []
    while position + 2 <= len(body):
        (marker,) = struct.unpack_from(">H", body, position)
        if marker == until:
            return found, position + (2 if marker == _SOD else 0)
        if not 0xFF4F <= marker <= 0xFF7F or position + 4 > len(body):
            break
        length = int.from_bytes(body[position + 2 : position + 4], "big")
        if length < 2 or position + 2 + length > len(body):
            break
        found.append((marker, body[position + 4 : position + 2 + length]))
        position += 2 + length
    raise ValueError("the headers are cut off")
