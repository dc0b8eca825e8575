"""PNG (W3C, third edition): decoded, and written anew from the pixels alone.

Whatever else a file holds is left behind: text, EXIF, unknown chunks, what follows the picture
inside the compressed data or behind the last chunk, unused palette entries.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid import icc
from deid.images import raster_exif
from deid.images.raster_picture import Kept, Picture, Size
from deid.reasons import Withheld

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Channels by colour type.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
#: First column and row, step across and down, of each pass of an interlaced picture.
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_GAMMAS = (45455, 100000)
#: Dots per metre beyond which a density is no scanner's or screen's.
_DENSEST = 200_000


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise Withheld("undecodable", "the PNG file ends before its last chunk")
        length, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        position += 12 + length
        if position > len(data):
            raise Withheld("undecodable", "the PNG file ends inside a chunk")
        critical = not name[0] & 0x20
        if critical and zlib.crc32(name + body) != int.from_bytes(data[position - 4 : position]):
            raise Withheld("undecodable", "a PNG chunk is damaged")
        yield name, body
        if name == b"IEND":
            return


def _layout(data: bytes) -> tuple[int, int, int, int, int]:
    """Columns, rows, bit depth, colour type, interlacing."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise Withheld("malformed", "the PNG file ends inside its header")
    columns, rows, depth, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if depth not in _DEPTHS.get(kind, ()) or interlaced > 1:
        raise Withheld("malformed", "a PNG header that contradicts itself")
    return columns, rows, depth, kind, interlaced


def size(data: bytes) -> Size:
    """What the header says of the decoded picture (a palette's colours are RGB)."""
    columns, rows, depth, kind, _ = _layout(data)
    return Size(rows, columns, 3 if kind in (2, 3, 6) else 1, 2 if depth == 16 else 1)


def decode(data: bytes) -> Picture:
    """Decode; greys below 8 bits are scaled to 8, palettes become RGB, opaque alpha is noted.

    Raises
    ------
    Withheld
        ``undecodable``: damaged, animated, or with transparent pixels.
    """
    columns, rows, depth, kind, interlaced = _layout(data)
    chunks: dict[bytes, bytes] = {}
    for name, body in _chunks(data):
        chunks[name] = chunks.get(name, b"") + body if name == b"IDAT" else body
    if b"acTL" in chunks:
        raise Withheld("undecodable", "an animated PNG is not supported")
    packed = chunks.get(b"IDAT", b"")
    _check_inflated(packed, _raw_bytes(columns, rows, depth * _CHANNELS[kind], bool(interlaced)))
    needed = [(b"IHDR", data[16:29]), (b"IDAT", packed), (b"IEND", b"")]
    if kind == 3:
        needed.insert(1, (b"PLTE", chunks.get(b"PLTE", b"")))
    values = _values(_assembled(needed), depth, kind)
    if kind == 3:
        pixels, opaque = _coloured(values, chunks), True
    else:
        pixels, opaque = _without_alpha(values, kind)
        if kind in (0, 2) and b"tRNS" in chunks:
            key = np.frombuffer(chunks[b"tRNS"][: 2 * _CHANNELS[kind]], ">u2")
            key = key * (255 // (2**depth - 1)) if depth < 8 else key
            opaque = not (pixels.reshape(rows, columns, -1) == key).all(axis=2).any()
    if not opaque:
        raise Withheld("undecodable", "a picture with transparent pixels is not supported")
    return Picture(pixels, _kept(chunks, opaque_alpha=kind in (4, 6)))


def _raw_bytes(columns: int, rows: int, bits: int, interlaced: bool) -> int:
    """Bytes of the filtered rows that the compressed data must hold."""
    if not interlaced:
        return rows * (1 + (columns * bits + 7) // 8)
    total = 0
    for left, top, across, down in _ADAM7:
        wide, high = -(-(columns - left) // across), -(-(rows - top) // down)
        if wide > 0 and high > 0:
            total += high * (1 + (wide * bits + 7) // 8)
    return total


def _check_inflated(packed: bytes, expected: int) -> None:
    """Inflate without keeping, so that a lie in the header costs no memory."""
    engine = zlib.decompressobj()
    rest, count = packed, 0
    try:
        while rest and count < expected and not engine.eof:
            count += len(engine.decompress(rest, 1 << 20))
            rest = engine.unconsumed_tail
    except zlib.error as error:
        raise Withheld("undecodable", "the PNG data are damaged") from error
    if count < expected:
        raise Withheld("undecodable", "there are fewer PNG data than the header says")


def _values(data: bytes, depth: int, kind: int) -> NDArray[Any]:
    """Samples as ``(R, C)`` or ``(R, C, channels)`` of a PNG that holds nothing but the picture."""
    if depth == 16 and kind != 0:  # Pillow brings these down to 8 bits
        import cv2

        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if values is None:
            raise Withheld("undecodable", "the PNG data are damaged")
        return values[..., [2, 1, 0, 3][: values.shape[2]]]
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.load()
            return np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise Withheld("undecodable", "the PNG data are damaged") from error


def _coloured(indices: NDArray[Any], chunks: dict[bytes, bytes]) -> NDArray[np.uint8]:
    palette = np.frombuffer(chunks.get(b"PLTE", b""), np.uint8)
    used = np.unique(indices)
    if len(palette) % 3 or 3 * int(used[-1]) >= len(palette):
        raise Withheld("undecodable", "a palette that lacks colours in use")
    alpha = np.frombuffer(chunks.get(b"tRNS", b""), np.uint8)
    if (alpha[used[used < len(alpha)]] < 255).any():
        raise Withheld("undecodable", "a picture with transparent pixels is not supported")
    return palette.reshape(-1, 3)[indices]


def _without_alpha(values: NDArray[Any], kind: int) -> tuple[NDArray[Any], bool]:
    if kind not in (4, 6):
        return values, True
    opaque = bool((values[..., -1] == np.iinfo(values.dtype).max).all())
    colour = values[..., 0] if kind == 4 else values[..., :3]
    return np.ascontiguousarray(colour), opaque


def _kept(chunks: dict[bytes, bytes], *, opaque_alpha: bool) -> Kept:
    density = None
    if len(body := chunks.get(b"pHYs", b"")) == 9:
        across, down, unit = struct.unpack(">IIB", body)
        if 0 < across <= _DENSEST and 0 < down <= _DENSEST and unit <= 1:
            density = (float(across), float(down), unit)
    gamma = int.from_bytes(chunks.get(b"gAMA", b""))
    intent = chunks.get(b"sRGB", b"")
    return Kept(
        icc=icc.standard(_profile(chunks.get(b"iCCP", b""))),
        orientation=raster_exif.orientation(chunks.get(b"eXIf", b"")),
        density=density,
        gamma=gamma if gamma in _GAMMAS else None,
        srgb=intent[0] if len(intent) == 1 and intent[0] < 4 else None,
        opaque_alpha=opaque_alpha,
    )


def _profile(body: bytes) -> bytes:
    """The profile of an iCCP chunk, as far as it inflates to a sane size."""
    packed = body.partition(b"\0")[2][1:]
    try:
        return zlib.decompressobj().decompress(packed, 1 << 22)
    except zlib.error:
        return b""


def encode(pixels: NDArray[Any], kept: Kept) -> bytes:
    """A PNG of these pixels, 8 or 16 bits, grey or RGB; with an opaque alpha where one was."""
    samples = pixels if pixels.ndim == 3 else pixels[..., None]
    if kept.opaque_alpha:
        full = np.full((*samples.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
        samples = np.concatenate([samples, full], axis=2)
    rows, columns, channels = samples.shape
    kind = {1: 0, 3: 2, 2: 4, 4: 6}[channels]
    step = channels * pixels.itemsize
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8 * pixels.itemsize, kind, 0, 0, 0))]
    if kept.gamma is not None:
        chunks.append((b"gAMA", struct.pack(">I", kept.gamma)))
    if kept.icc is not None:
        chunks.append((b"iCCP", b"sRGB\0\0" + zlib.compress(kept.icc)))
    elif kept.srgb is not None:
        chunks.append((b"sRGB", bytes([kept.srgb])))
    if kept.density is not None:
        across, down, unit = kept.density
        chunks.append((b"pHYs", struct.pack(">IIB", int(across), int(down), unit)))
    if kept.orientation != 1:
        chunks.append((b"eXIf", raster_exif.build(kept.orientation)))
    raw = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">")).view(np.uint8)
    packed = zlib.compress(_filtered(raw.reshape(rows, -1), step), 6)
    chunks += [(b"IDAT", packed), (b"IEND", b"")]
    return _assembled(chunks)


def _assembled(chunks: list[tuple[bytes, bytes]]) -> bytes:
    out = [_SIGNATURE]
    for name, body in chunks:
        out += [struct.pack(">I", len(body)), name, body, zlib.crc32(name + body).to_bytes(4)]
    return b"".join(out)


def _filtered(raw: NDArray[np.uint8], step: int) -> bytes:
    """Each row with the filter that leaves the smallest sum of differences (PNG, 12.7)."""
    left = np.zeros_like(raw)
    left[:, step:] = raw[:, :-step]
    above = np.zeros_like(raw)
    above[1:] = raw[:-1]
    rows = len(raw)
    best = raw
    chosen = np.zeros(rows, np.uint8)
    score = np.full(rows, np.iinfo(np.int64).max)
    for number, predicted in ((0, 0), (1, left), (2, above)):
        residual = raw - np.asarray(predicted, np.uint8)
        cost = np.abs(residual.view(np.int8).astype(np.int16)).sum(axis=1)
        better = cost < score
        best = np.where(better[:, None], residual, best)
        chosen[better], score = number, np.minimum(score, cost)
    return np.concatenate([chosen[:, None], best], axis=1).tobytes()
