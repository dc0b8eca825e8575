"""The records in which an image travels: what a look at the header tells, and the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom import FileDataset

#: No file may inflate, and no pixel data may decode, to more than this.
MAX_BYTES = 4 * 1024**3


@dataclass(frozen=True)
class Found:
    """A directory entry that gets a row in the report."""

    path: Path
    relative: str
    outward_link: bool = False


@dataclass(frozen=True)
class Header:
    """What a file says of itself, read without decoding a pixel.

    Attributes
    ----------
    format
        ``dicom``, ``nifti``, ``png``, ``jpeg`` or ``tiff``.
    rows, columns, frames, samples
        Size of the pixel array; `frames` counts the slices of a volume; `samples` is 1 or 3.
    item_bytes
        Bytes of one decoded sample.
    modality
        ``xray``, ``ct``, ``fundus``, another DICOM modality in lower case, or None where unknown.
    region
        ``chest``, ``eye``, ``head`` and the like, or None.
    head
        True where the header says that a head is in view (CT and MR only).
    section
        ``ct`` or ``mr`` where the file holds sections of a body, whatever its modality; ``ct`` for
        every NIfTI file. None for what its header says is a projection, and where nothing does.
    issuer, patient, study, series, instance
        Identifiers as they stand in the file ("" where absent). Never to be shown.
    stack
        Files of one series with one geometry share this key; None for a single image.
    order
        Position within the stack.
    side
        ``L``, ``R`` or "".
    view, sex, age
        As the header says, ``M`` or ``F``, and years: "" or None where it does not.
    compressed
        A NIfTI file inside gzip.
    stamp
        Size of the file in bytes and its time in ns when this was read; None where nobody looked.
    """

    format: str
    rows: int
    columns: int
    frames: int
    samples: int
    item_bytes: int
    modality: str | None = None
    region: str | None = None
    head: bool = False
    section: str | None = None
    issuer: str = ""
    patient: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    stack: str | None = None
    order: float = 0.0
    side: str = ""
    view: str = ""
    sex: str = ""
    age: float | None = None
    compressed: bool = False
    stamp: tuple[int, int] | None = None

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the decoded pixel array."""
        return self.rows * self.columns * self.frames * self.samples * self.item_bytes


@dataclass(frozen=True)
class Meaning:
    """What stored pixel values mean.

    ``real = stored * slope + intercept`` (per frame where the arrays have more than one entry).
    """

    photometric: str
    bits: int
    signed: bool
    slope: tuple[float, ...] = (1.0,)
    intercept: tuple[float, ...] = (0.0,)
    padding: tuple[float, float] | None = None


@dataclass(frozen=True)
class Geometry:
    """Pixel spacing in mm (row, column, slice; None where unknown) and, for volumes, the affine."""

    spacing: tuple[float, ...] | None = None
    affine: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Image:
    """One file's pixels and what they mean.

    Attributes
    ----------
    pixels
        Stored values, ``(frames, rows, columns)`` or ``(frames, rows, columns, 3)``.
    dataset
        The parsed DICOM data set (DICOM files only).
    native
        What else the format's own writer needs (its own business; no other room looks inside).
    """

    header: Header
    pixels: NDArray[Any]
    meaning: Meaning
    geometry: Geometry
    dataset: FileDataset | None = None
    native: Any = None
