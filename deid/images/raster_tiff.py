"""Single-page TIFF (TIFF 6.0): decoded, and written anew with the tags that the pixels need."""

from __future__ import annotations

import io
import logging
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from deid import icc
from deid.images import raster_lzw
from deid.images.raster_picture import Kept, Picture, Size
from deid.reasons import Withheld

if TYPE_CHECKING:
    from tifffile import TiffPage

# tifffile would print values out of damaged files.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False

_NONE, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZW = 1, 8, 32946, 32773, 5
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB = 0, 1, 2
#: What a damaged file makes tifffile raise, and those who count with its values.
_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tifffile.TiffFileError,
    zlib.error,
)
_ORIENTATION = 274


@contextmanager
def _damaged() -> Iterator[None]:
    """Within it, whatever a damaged file raises says that it is one."""
    try:
        yield
    except _ERRORS as error:
        raise Withheld("undecodable", "the TIFF file is damaged") from error


def _page(data: bytes) -> TiffPage:
    """The only page.

    Raises
    ------
    Withheld
        ``undecodable``: damaged, several pages, or a kind of picture that is not supported.
    """
    with _damaged(), tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = len(file.pages)
        page = file.pages.first
        supported = _is_supported(page)
    if pages != 1:
        raise Withheld("undecodable", "only TIFF files with one page are supported")
    if not supported:
        raise Withheld("undecodable", "a kind of TIFF that is not supported")
    return page


def _is_supported(page: TiffPage) -> bool:
    photometric, compression = int(page.photometric), int(page.compression)
    if compression not in (_NONE, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZW):
        return False
    grey = photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK) and page.samplesperpixel == 1
    colour = photometric == _RGB and page.samplesperpixel == 3
    whole = page.bitspersample in (8, 16) and int(page.sampleformat) == 1
    return (grey or colour) and whole and page.imagedepth == 1 and int(page.predictor) in (1, 2)


def size(data: bytes) -> Size:
    """What the tags say."""
    page = _page(data)
    with _damaged():
        rows, columns = int(page.imagelength), int(page.imagewidth)
    return Size(rows, columns, page.samplesperpixel, page.bitspersample // 8)


def decode(data: bytes) -> Picture:
    """Decode to ``(R, C)`` or ``(R, C, 3)``.

    Raises
    ------
    Withheld
        ``undecodable``.
    """
    page = _page(data)
    with _damaged():
        return _decoded(page, data)


def _decoded(page: TiffPage, data: bytes) -> Picture:
    _check_stored(page, data)
    values = _lzw(page, data) if int(page.compression) == _LZW else _values(data)
    if int(page.planarconfig) == 2 and page.samplesperpixel == 3:
        values = np.moveaxis(values, 0, -1)
    shape: tuple[int, ...] = (page.imagelength, page.imagewidth)
    shape = (*shape, 3) if page.samplesperpixel == 3 else shape
    if values.shape != shape or values.dtype not in (np.uint8, np.uint16):
        raise Withheld("undecodable", "the TIFF pixels do not have the size the tags say")
    return Picture(np.ascontiguousarray(values), _kept(page))


def _check_stored(page: TiffPage, data: bytes) -> None:
    """Every strip or tile lies in the file and, inflated, holds no more than a strip may."""
    tiled = page.is_tiled
    wide = page.tilewidth if tiled else page.imagewidth
    high = page.tilelength if tiled else min(page.rowsperstrip, page.imagelength)
    planes = page.samplesperpixel if int(page.planarconfig) == 2 else 1
    inner = page.samplesperpixel // planes
    segment = wide * high * inner * page.bitspersample // 8
    across = -(-page.imagewidth // wide) if tiled else 1
    count = across * -(-page.imagelength // high) * planes
    places, lengths = page.dataoffsets, page.databytecounts
    if len(places) != count or len(lengths) != count:
        raise Withheld("undecodable", "the TIFF file lacks strips")
    for place, length in zip(places, lengths, strict=True):
        if place <= 0 or length <= 0 or place + length > len(data):
            raise Withheld("undecodable", "a TIFF strip lies outside the file")
        if int(page.compression) in (_DEFLATE, _OLD_DEFLATE):
            _check_inflated(data[place : place + length], segment)
    total = page.imagelength * page.imagewidth * page.samplesperpixel * page.bitspersample // 8
    if int(page.compression) == _NONE and sum(lengths) < total:
        raise Withheld("undecodable", "there are fewer TIFF data than the tags say")


def _check_inflated(packed: bytes, limit: int) -> None:
    engine = zlib.decompressobj()
    inflated = len(engine.decompress(packed, limit + 1))
    if inflated > limit:
        raise Withheld("undecodable", "a TIFF strip inflates beyond its size")


def _values(data: bytes) -> NDArray[Any]:
    # The page, not the "series" that a description may make of it.
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return file.pages.first.asarray(maxworkers=1)


def _lzw(page: TiffPage, data: bytes) -> NDArray[Any]:
    """The picture out of strips that are packed with LZW."""
    if page.is_tiled:
        raise Withheld("undecodable", "LZW in tiles is not supported")
    planes = page.samplesperpixel if int(page.planarconfig) == 2 else 1
    inner = page.samplesperpixel // planes
    sample = np.dtype(f"{page.parent.byteorder}u{page.bitspersample // 8}")
    high = min(page.rowsperstrip, page.imagelength)
    strips = []
    for index, (place, length) in enumerate(
        zip(page.dataoffsets, page.databytecounts, strict=True)
    ):
        start = index * high % (-(-page.imagelength // high) * high)
        shape = (min(high, page.imagelength - start), page.imagewidth, inner)
        raw = raster_lzw.decode(data[place : place + length], math.prod(shape) * sample.itemsize)
        values = np.frombuffer(raw, sample).reshape(shape)
        values = values.astype(sample.newbyteorder("="))
        if int(page.predictor) == 2:
            values = np.cumsum(values, axis=1, dtype=values.dtype)
        strips.append(values)
    rows = len(strips) // planes
    picture = [np.concatenate(strips[i * rows : (i + 1) * rows]) for i in range(planes)]
    if planes > 1:
        return np.stack([plane[..., 0] for plane in picture])
    return picture[0] if inner > 1 else picture[0][..., 0]


def _kept(page: TiffPage) -> Kept:
    tags = page.tags
    orientation = int(tags.valueof(_ORIENTATION, default=1))
    profile = tags.valueof(34675)
    return Kept(
        icc=icc.standard(profile if isinstance(profile, bytes) else None),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        density=_density(page),
        inverted=int(page.photometric) == _MIN_IS_WHITE,
        deflated=int(page.compression) != _NONE,
    )


def _density(page: TiffPage) -> tuple[float, float, int]:
    """Resolution and its unit; 1 to 1 without unit, as tifffile writes, where there is none."""
    none = (1.0, 1.0, 1)
    sides = []
    for tag in (282, 283):
        value = page.tags.valueof(tag)
        if not isinstance(value, tuple) or len(value) != 2 or not value[1]:
            return none
        sides.append(value[0] / value[1])
    unit = int(page.tags.valueof(296, default=2))
    if unit not in (1, 2, 3) or not all(math.isfinite(s) and 0 < s < 1e6 for s in sides):
        return none
    # Five digits are all that a scanner's resolution has, and too few to hide a number in.
    across, down = (float(f"{side:.5g}") for side in sides)
    return across, down, unit


def encode(pixels: NDArray[Any], kept: Kept) -> bytes:
    """A new single-page file; deflated where the old one was compressed by whatever method."""
    grey = "miniswhite" if kept.inverted else "minisblack"
    extra: dict[str, Any] = {}
    if kept.density is not None:
        extra = {"resolution": kept.density[:2], "resolutionunit": kept.density[2]}
    if kept.orientation != 1:
        extra["extratags"] = [(_ORIENTATION, "H", 1, kept.orientation, True)]
    out = io.BytesIO()
    tifffile.imwrite(
        out,
        pixels,
        photometric="rgb" if pixels.ndim == 3 else grey,
        planarconfig="contig" if pixels.ndim == 3 else None,
        compression="zlib" if kept.deflated else None,
        iccprofile=kept.icc,
        software=False,
        metadata=None,
        byteorder="<",
        **extra,
    )
    return out.getvalue()
