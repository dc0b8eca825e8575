"""A gzipped NIfTI-1 file around a phantom volume, with the free text that converters leave in."""

from __future__ import annotations

import gzip
import io
import struct

import numpy as np
from numpy.typing import NDArray

from deid.phantoms.persons import Person, Visit


def encode(
    person: Person, visit: Visit, volume: NDArray[np.int16], pixel_mm: float, slice_mm: float
) -> bytes:
    """The bytes of a ``.nii.gz``.

    Parameters
    ----------
    volume
        ``(slices, rows, columns)`` HU, from the head down, as `deid.phantoms.ct_volume` gives it.
    """
    slices, rows, columns = volume.shape
    header = bytearray(348)
    struct.pack_into("<i", header, 0, 348)
    header[14:32] = person.number.encode().ljust(18, b"\0")
    struct.pack_into("<8h", header, 40, 3, columns, rows, slices, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)  # int16
    # The first entry is qfac. Rows run to the left and columns to the back of RAS space: two flips,
    # hence a proper rotation, by half a turn about z.
    struct.pack_into("<8f", header, 76, 1.0, pixel_mm, pixel_mm, slice_mm, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352.0, 1.0, 0.0)
    header[123] = 2  # millimetres
    note = f"{person.name} {visit.when:%Y-%m-%d} {person.hospital}"
    header[148:228] = note.encode()[:79].ljust(80, b"\0")
    struct.pack_into("<2h", header, 252, 1, 1)
    half_x, half_y = pixel_mm * (columns - 1) / 2, pixel_mm * (rows - 1) / 2
    bottom = -slice_mm * (slices - 1)
    struct.pack_into("<6f", header, 256, 0.0, 0.0, 1.0, half_x, half_y, bottom)
    struct.pack_into("<4f", header, 280, -pixel_mm, 0, 0, half_x)
    struct.pack_into("<4f", header, 296, 0, -pixel_mm, 0, half_y)
    struct.pack_into("<4f", header, 312, 0, 0, slice_mm, bottom)
    header[344:348] = b"n+1\0"
    body = bytes(header) + b"\0\0\0\0" + volume[::-1].astype("<i2").tobytes()
    out = io.BytesIO()
    name = f"{person.family}_{person.given}.nii"
    with gzip.GzipFile(name, "wb", compresslevel=4, fileobj=out, mtime=1_500_000_000) as packed:
        packed.write(body)
    return out.getvalue()
