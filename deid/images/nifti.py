"""NIfTI volumes, plain or inside gzip: one slice along the third axis is one frame."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deid.images.dicom_lut import CT_WINDOW
from deid.images.extent import extent
from deid.images.nifti_header import NiftiHeader, parse, rebuild
from deid.images.record import MAX_BYTES, Geometry, Header, Image, Meaning
from deid.reasons import Withheld

if TYPE_CHECKING:
    from pydicom import FileDataset

_LONGEST_HEADER = 540
#: A volume that inflates to more than this, and to more than so many times its size, is a bomb.
_BOMB_BYTES = 256 * 1024**2
_BOMB_RATIO = 500
#: The largest value, stored or scaled, half that of single precision.
_LARGEST = 1.7e38
#: How much is read behind the voxels to reach the checksum of a gzip file.
_TAIL = 1 << 20


def inspect(path: Path) -> Header:
    """What the header says; no voxel is read.

    Raises
    ------
    Withheld
        ``malformed``, ``undecodable`` or ``too_large``.
    """
    packed = _is_gzip(path)
    with _opened(path, packed) as stream:
        header = parse(_take(stream, _LONGEST_HEADER))
    total = header.offset + header.voxel_bytes
    size = os.path.getsize(path)
    if total > MAX_BYTES:
        raise Withheld("too_large", "the volume is larger than the limit")
    if packed and total > _BOMB_BYTES and total > _BOMB_RATIO * size:
        raise Withheld("too_large", "the volume claims to inflate to too many times its size")
    if not packed and total > size:
        raise Withheld("undecodable", "the file is shorter than its header says")
    slices, rows, columns = header.shape
    return Header(
        format="nifti",
        rows=rows,
        columns=columns,
        frames=slices,
        samples=header.samples,
        item_bytes=header.sample.itemsize,
        section="ct",
        compressed=packed,
    )


def read(path: Path, header: Header) -> Image:
    """The voxels as stored, ``(slices, rows, columns)`` along the third, second and first axis.

    Raises
    ------
    Withheld
        ``undecodable`` where the voxels are fewer than declared, damaged, not finite or too large.
    """
    with _opened(path, header.compressed) as stream:
        parsed, pixels = _read(stream)
        if header.compressed:
            _take(stream, _TAIL)
    slope, intercept = parsed.scaling
    # What is looked at has single precision.
    ends = [abs(float(end)) for end in (pixels.min(initial=0), pixels.max(initial=0))]
    if abs(slope) * max(ends) + abs(intercept) + max(ends) > _LARGEST:
        raise Withheld("undecodable", "the volume holds values that are no measure of anything")
    floating = pixels.dtype.kind == "f"
    meaning = Meaning(
        photometric="RGB" if parsed.samples == 3 else "MONOCHROME2",
        bits=8 * pixels.dtype.itemsize,
        signed=floating or pixels.dtype.kind == "i",
        slope=(slope,),
        intercept=(intercept,),
    )
    geometry = Geometry(parsed.spacing, parsed.affine)
    return Image(header, pixels, meaning, geometry, native=parsed)


def _read(stream: IO[bytes]) -> tuple[NiftiHeader, NDArray[Any]]:
    parsed = parse(_take(stream, _LONGEST_HEADER))
    data = _take(stream, parsed.voxel_bytes, start=parsed.offset)
    if len(data) < parsed.voxel_bytes:
        raise Withheld("undecodable", "the file is shorter than its header says")
    values = np.frombuffer(data, parsed.sample)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Withheld("undecodable", "the volume holds values that are not finite")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return parsed, values.reshape(parsed.shape if parsed.samples == 1 else (*parsed.shape, 3))


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _opened(path: Path, packed: bool) -> IO[bytes]:
    return gzip.open(path, "rb") if packed else open(path, "rb")  # type: ignore[return-value]


def _take(stream: IO[bytes], count: int, *, start: int | None = None) -> bytes:
    """Up to `count` bytes; a damaged gzip stream is the file's fault, not the disk's."""
    try:
        if start is not None:
            stream.seek(start)
        return stream.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Withheld("undecodable", "the gzip stream is damaged or ends early") from error


def view(image: Image) -> NDArray[np.float32]:
    """What the models see: 0..1, a fixed window for CT, else the middle 99 % of the values.

    Slices stay as they lie in the file, whatever the orientation says, so that an edit made in the
    view falls on the voxel it was made for.
    """
    if image.meaning.photometric == "RGB":
        return image.pixels.astype(np.float32) / np.float32(255)
    values = image.pixels.astype(np.float32)
    values = values * np.float32(image.meaning.slope[0]) + np.float32(image.meaning.intercept[0])
    if image.header.modality == "ct":
        low, high = CT_WINDOW
    else:
        low, high = np.percentile(values[:: max(1, len(values) // 32)], (0.5, 99.5))
    span = max(float(high) - float(low), 1e-6)
    return np.clip((values - np.float32(low)) / np.float32(span), 0, 1)


def plain(image: Image) -> NDArray[np.uint8]:
    """What the text search sees: the range of the stored values (`extent`), over all slices."""
    pixels = image.pixels
    if pixels.dtype == np.uint8:
        return pixels
    low, high = extent(pixels)
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.rint((pixels.astype(np.float64) - low) * scale).clip(0, 255).astype(np.uint8)


def supports_edit(image: Image) -> bool:
    """Every data type that is read can be written with changed voxels."""
    return True


def encode(image: Image, *, edited: bool, dataset: FileDataset | None = None) -> bytes:
    """The whole file anew: a header without text, no extension, the voxels, nothing behind them."""
    parsed: NiftiHeader = image.native
    data = rebuild(parsed, edited=edited) + image.pixels.astype(parsed.sample).tobytes()
    if not image.header.compressed:
        return data
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # a gzip header without name and time
    return packer.compress(data) + packer.flush()


def agrees(image: Image, data: bytes, *, edited: bool) -> bool:
    """Read `data` anew: same voxels, scaling, data type and geometry?"""
    old: NiftiHeader = image.native
    stream: IO[bytes] = io.BytesIO(data)
    if image.header.compressed:
        stream = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]
    try:
        new, pixels = _read(stream)
    except Withheld:
        return False
    same_field = all(
        np.array_equal(old.fields[name], new.fields[name], equal_nan=True)
        for name in ("datatype", "scl_slope", "scl_inter", "qform_code", "sform_code", "srow")
    )
    return same_field and new.shape == old.shape and np.array_equal(pixels, image.pixels)


def oriented(image: Image) -> Image:
    """The volume turned: frames run from feet to head, rows to the back, columns to the left.

    Without an affine it stays as it is. Only for looking at: what is written keeps its own axes.
    """
    affine = image.geometry.affine
    if affine is None or image.pixels.ndim != 3:
        return image
    # World axes of the voxel axes (columns, rows, slices), each world axis taken once.
    from scipy.optimize import linear_sum_assignment

    direction = affine[:3, :3] / np.maximum(np.linalg.norm(affine[:3, :3], axis=0), 1e-9)
    world, voxel = linear_sum_assignment(-np.abs(direction))
    axis_of = dict(zip(world.tolist(), voxel.tolist(), strict=True))
    order = [axis_of[2], axis_of[1], axis_of[0]]
    pixels = image.pixels.transpose([2 - axis for axis in order])
    # NIfTI's world axes point right to left, back to front, feet to head.
    wanted = (1.0, -1.0, -1.0)
    flips = tuple(
        slice(None, None, 1 if direction[2 - index, axis] * sign > 0 else -1)
        for index, (axis, sign) in enumerate(zip(order, wanted, strict=True))
    )
    sizes = image.geometry.spacing or (1.0, 1.0, 1.0)
    along = {0: sizes[1], 1: sizes[0], 2: sizes[2]}
    spacing = (along[order[1]], along[order[2]], along[order[0]])
    return replace(image, pixels=pixels[flips], geometry=Geometry(spacing))
