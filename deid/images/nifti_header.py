"""The NIfTI-1 and NIfTI-2 headers: read what matters, and write it anew with nothing else in it.

Layouts: nifti1.h (348 bytes) and nifti2.h (540 bytes), https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deid.reasons import Withheld

_GEOMETRY1 = [
    ("qform_code", "i2"),
    ("sform_code", "i2"),
    ("quatern", "f4", 3),
    ("qoffset", "f4", 3),
    ("srow", "f4", (3, 4)),
]
_GEOMETRY2 = [
    ("qform_code", "i4"),
    ("sform_code", "i4"),
    ("quatern", "f8", 3),
    ("qoffset", "f8", 3),
    ("srow", "f8", (3, 4)),
]

_NIFTI1 = np.dtype(
    [
        ("sizeof_hdr", "i4"),
        ("data_type", "V10"),
        ("db_name", "V18"),
        ("extents", "i4"),
        ("session_error", "i2"),
        ("regular", "V1"),
        ("dim_info", "u1"),
        ("dim", "i2", 8),
        ("intent_p", "f4", 3),
        ("intent_code", "i2"),
        ("datatype", "i2"),
        ("bitpix", "i2"),
        ("slice_start", "i2"),
        ("pixdim", "f4", 8),
        ("vox_offset", "f4"),
        ("scl_slope", "f4"),
        ("scl_inter", "f4"),
        ("slice_end", "i2"),
        ("slice_code", "u1"),
        ("xyzt_units", "u1"),
        ("cal_max", "f4"),
        ("cal_min", "f4"),
        ("slice_duration", "f4"),
        ("toffset", "f4"),
        ("glmax", "i4"),
        ("glmin", "i4"),
        ("descrip", "S80"),
        ("aux_file", "V24"),
        *_GEOMETRY1,
        ("intent_name", "V16"),
        ("magic", "V4"),
    ]
)
_NIFTI2 = np.dtype(
    [
        ("sizeof_hdr", "i4"),
        ("magic", "V8"),
        ("datatype", "i2"),
        ("bitpix", "i2"),
        ("dim", "i8", 8),
        ("intent_p", "f8", 3),
        ("pixdim", "f8", 8),
        ("vox_offset", "i8"),
        ("scl_slope", "f8"),
        ("scl_inter", "f8"),
        ("cal_max", "f8"),
        ("cal_min", "f8"),
        ("slice_duration", "f8"),
        ("toffset", "f8"),
        ("slice_start", "i8"),
        ("slice_end", "i8"),
        ("descrip", "S80"),
        ("aux_file", "V24"),
        *_GEOMETRY2,
        ("slice_code", "i4"),
        ("xyzt_units", "i4"),
        ("intent_code", "i4"),
        ("intent_name", "V16"),
        ("dim_info", "u1"),
        ("unused_str", "V15"),
    ]
)
#: By the size that stands in the first four bytes.
_LAYOUTS = {348: (_NIFTI1, b"n+1\0"), 540: (_NIFTI2, b"n+2\0\r\n\x1a\n")}

_ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")

#: Sample type and samples per voxel by NIfTI data type code.
DATATYPES = {
    2: ("u1", 1),
    4: ("i2", 1),
    8: ("i4", 1),
    16: ("f4", 1),
    64: ("f8", 1),
    128: ("u1", 3),
    256: ("i1", 1),
    512: ("u2", 1),
    768: ("u4", 1),
    1024: ("i8", 1),
    1280: ("u8", 1),
}

#: What is copied into a new header; everything else is left at zero.
_KEPT = ("datatype", "bitpix", "qform_code", "sform_code")
#: What is copied where the code says that it is read: elsewhere it could hold a text.
_READ_BY = {"qform_code": ("quatern", "qoffset"), "sform_code": ("srow",)}
#: The codes of an orientation end here (NIfTI-2: NIFTI_XFORM_TEMPLATE_OTHER).
_MOST_CODE = 5
#: What a measure may be, where it is not zero: texts that are read as numbers mostly lie beyond.
#: Places have no least, since rotations leave the dust of rounding.
_SIZES, _PLACES, _SCALES = (1e-5, 1e5), (0.0, 1e6), (1e-12, 1e6)
#: Numbers of the header that can be a text in their lower bytes, where one looks for no digit.
_NUMBERS = ("pixdim", "quatern", "qoffset", "srow", "scl_slope", "scl_inter")
#: So many characters of words and dates in a row are one, if so many of them differ (0.7 is written
#: as 333): of headers whose lower bytes are chance one in 5,000 has as many.
_WORDS, _DIFFERENT = re.compile(rb"[A-Za-z0-9 ^.,:;=/_-]{12,}"), 8
#: Low bits of `xyzt_units` that mean something: space (3 bits) and time (3 bits).
_UNITS = 0x3F


@dataclass(frozen=True)
class NiftiHeader:
    """A parsed header.

    Attributes
    ----------
    fields
        The header as it stands in the file.
    shape
        Voxels along the third, second and first axis.
    sample
        Type of one stored sample, in the file's byte order.
    samples
        Samples of a voxel: 1, or 3 for RGB.
    offset
        Where the voxels begin.
    """

    fields: NDArray[Any]
    shape: tuple[int, int, int]
    sample: np.dtype[Any]
    samples: int
    offset: int

    @property
    def voxel_bytes(self) -> int:
        """Bytes that the voxels take in the file."""
        slices, rows, columns = self.shape
        return slices * rows * columns * self.samples * self.sample.itemsize

    @property
    def scaling(self) -> tuple[float, float]:
        """Slope and intercept; a slope of zero or NaN means that stored values are real ones."""
        slope, intercept = float(self.fields["scl_slope"]), float(self.fields["scl_inter"])
        if not np.isfinite(slope) or slope == 0.0:
            return 1.0, 0.0
        if not np.isfinite(intercept):
            raise Withheld("malformed", "the NIfTI intercept is not a number")
        return slope, intercept

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Size of a voxel in mm down a column, along a row, and through the slices."""
        scale = {1: 1000.0, 3: 0.001}.get(int(self.fields["xyzt_units"]) & 7, 1.0)
        across, down, through = (abs(float(size)) * scale for size in self.fields["pixdim"][1:4])
        return down, across, through

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """Voxel (first, second, third axis) to world in mm; the sform before the qform."""
        fields = self.fields
        if fields["sform_code"] > 0:
            matrix = np.vstack([fields["srow"].astype(np.float64), [0, 0, 0, 1]])
        elif fields["qform_code"] > 0:
            matrix = _from_quaternion(fields)
        else:
            return None
        return matrix if np.isfinite(matrix).all() else None


def _from_quaternion(fields: NDArray[Any]) -> NDArray[np.float64]:
    """Method 2 of nifti1.h."""
    b, c, d = fields["quatern"].astype(np.float64)
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    flip = -1.0 if fields["pixdim"][0] < 0 else 1.0
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * fields["pixdim"][1:4].astype(np.float64) * [1.0, 1.0, flip]
    matrix[:3, 3] = fields["qoffset"]
    return matrix


def parse(head: bytes) -> NiftiHeader:
    """Parse the first bytes of a single-file NIfTI.

    Raises
    ------
    Withheld
        ``malformed`` where the header contradicts itself, ``undecodable`` for what is not
        supported.
    """
    order: Literal["<", ">"]
    for order in _ORDERS:
        size = int(np.frombuffer(head[:4], f"{order}i4")[0]) if len(head) >= 4 else 0
        if size in _LAYOUTS:
            break
    else:
        raise Withheld("malformed", "not a NIfTI header")
    layout = _LAYOUTS[size][0].newbyteorder(order)
    if len(head) < size:
        raise Withheld("malformed", "the file ends inside the NIfTI header")
    fields = np.frombuffer(head[:size], layout)[0]
    code = int(fields["datatype"])
    if code not in DATATYPES:
        raise Withheld("undecodable", "a NIfTI data type that is not supported")
    name, samples = DATATYPES[code]
    sample = np.dtype(name).newbyteorder(order)
    if int(fields["bitpix"]) != 8 * sample.itemsize * samples:
        raise Withheld("malformed", "bits per voxel and data type of the NIfTI header disagree")
    place = float(fields["vox_offset"])
    # Where the first voxel stands: after header and extension flag; zero is written by some, too.
    least = size + 4
    if not (np.isfinite(place) and place == int(place) and (place == 0 or place >= least)):
        raise Withheld("malformed", "the NIfTI voxel offset lies inside the header")
    _check_measures(fields)
    return NiftiHeader(fields, _shape(fields["dim"]), sample, samples, int(place) or least)


def _measured(fields: NDArray[Any]) -> slice:
    """Which of `pixdim` are sizes of a voxel; a quaternion scales a picture's third axis too."""
    axes = 3 if fields["qform_code"] > 0 else min(int(fields["dim"][0]), 3)
    return slice(1, axes + 1)


def _check_measures(fields: NDArray[Any]) -> None:
    read = [name for code, names in _READ_BY.items() if fields[code] > 0 for name in names]
    measures = [
        (fields["pixdim"][_measured(fields)], _SIZES),
        (np.array([fields["scl_slope"], fields["scl_inter"]]), _SCALES),
        *((fields[name], _PLACES) for name in read),
    ]
    if any(not 0 <= fields[code] <= _MOST_CODE for code in _READ_BY):
        raise Withheld("malformed", "the NIfTI header names no known kind of orientation")
    for values, (least, most) in measures:
        size = np.abs(values[np.isfinite(values) & (values != 0)].astype(np.float64))
        if ((size < least) | (size > most)).any():
            raise Withheld("malformed", "a size, place or scale in the NIfTI header can not be one")


def _spell(fields: NDArray[Any]) -> bool:
    """Whether numbers, in all of their bytes or the lowest of each, read as a text.

    A number that stands in several places counts once.
    """
    values = [float(value) for name in _NUMBERS for value in np.ravel(fields[name])]
    kind = fields["srow"].dtype.newbyteorder(">")
    distinct = np.array(list(dict.fromkeys(abs(value) for value in values if value)), kind)
    parts = distinct.view(np.uint8).reshape(-1, kind.itemsize)
    return any(
        len(set(found)) >= _DIFFERENT
        for low in range(kind.itemsize)
        for part in (parts[:, low:], parts[:, : low - 1 if low else None : -1])
        for found in _WORDS.findall(part.tobytes())
    )


def _shape(dim: NDArray[Any]) -> tuple[int, int, int]:
    axes = int(dim[0])
    if not 1 <= axes <= 7 or (dim[1 : axes + 1] < 1).any():
        raise Withheld("malformed", "the NIfTI dimensions are not positive")
    if axes < 2 or (dim[4 : axes + 1] > 1).any():
        raise Withheld("undecodable", "only pictures and volumes are supported, no time series")
    columns, rows, slices = (int(dim[axis]) if axis <= axes else 1 for axis in (1, 2, 3))
    return slices, rows, columns


def rebuild(header: NiftiHeader, *, edited: bool) -> bytes:
    """A fresh header and extension flag: data type, scaling, size and orientation, no more.

    Raises
    ------
    Withheld
        ``malformed`` where the numbers that stay read as a text.
    """
    old = header.fields
    size = int(old["sizeof_hdr"])
    new = np.zeros((), old.dtype)
    for name in _KEPT:
        new[name] = old[name]
    for code, names in _READ_BY.items():
        for name in names if old[code] > 0 else ():
            new[name] = old[name]
    if np.isfinite(old["scl_slope"]) and old["scl_slope"] != 0:
        new["scl_slope"], new["scl_inter"] = old["scl_slope"], old["scl_inter"]
    axes = min(int(old["dim"][0]), 4)
    new["dim"] = 1
    new["dim"][: axes + 1] = old["dim"][: axes + 1]
    new["dim"][0] = axes
    new["pixdim"][_measured(old)] = old["pixdim"][_measured(old)]
    new["pixdim"][0] = -1.0 if old["pixdim"][0] < 0 else 1.0
    new["xyzt_units"] = int(old["xyzt_units"]) & _UNITS
    new["dim_info"] = int(old["dim_info"]) & _UNITS
    for name in _NUMBERS:
        # What is no number has bits that nobody reads.
        new[name] = np.where(np.isnan(new[name]), np.nan, new[name])
    if _spell(new):
        raise Withheld("malformed", "numbers in the NIfTI header read as a text")
    new["sizeof_hdr"] = size
    new["vox_offset"] = size + 4
    new["magic"] = np.void(_LAYOUTS[size][1])
    if edited:
        new["descrip"] = b"altered pixels, not for diagnosis"
    return new.tobytes() + b"\0\0\0\0"
