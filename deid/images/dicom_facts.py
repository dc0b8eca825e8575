"""Facts of a DICOM image's header: size, meaning of its values, place in a stack, identifiers."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from deid.images.dicom_kind import text
from deid.images.record import Geometry, Meaning
from deid.reasons import Withheld

#: Photometric interpretations of three samples a pixel; the others have one.
COLOURS = (
    "RGB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_PARTIAL_420",
    "YBR_PARTIAL_422",
    "YBR_ICT",
    "YBR_RCT",
)
GREYS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
PALETTES = tuple(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue"))


@dataclass(frozen=True)
class Format:
    """The image pixel module (PS3.3 C.7.6.3): how stored values are laid out."""

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    photometric: str

    @property
    def native_bytes(self) -> int:
        """Length of native pixel data, without padding."""
        values = self.rows * self.columns * self.samples * self.frames
        if self.photometric == "YBR_FULL_422":
            values = values // 3 * 2
        return (values * self.allocated + 7) // 8

    @property
    def item_bytes(self) -> int:
        """Bytes of a decoded sample."""
        return max(1, self.allocated // 8)

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the decoded pixel array."""
        return self.rows * self.columns * self.frames * self.samples * self.item_bytes


def read_format(dataset: Dataset) -> Format:
    """The image pixel module of a data set.

    Raises
    ------
    Withheld
        ``undecodable`` where an attribute is absent, has two values or contradicts another.
    """
    found = Format(
        rows=_count(dataset, "Rows"),
        columns=_count(dataset, "Columns"),
        frames=_count(dataset, "NumberOfFrames", default=1),
        samples=_count(dataset, "SamplesPerPixel"),
        allocated=_count(dataset, "BitsAllocated"),
        stored=_count(dataset, "BitsStored"),
        signed=bool(_count(dataset, "PixelRepresentation", least=0)),
        photometric=text(dataset, "PhotometricInterpretation"),
    )
    high = _count(dataset, "HighBit", default=found.stored - 1, least=0)
    if found.photometric not in (COLOURS if found.samples == 3 else GREYS):
        raise Withheld("undecodable", "samples per pixel and photometric interpretation disagree")
    if found.samples not in (1, 3) or found.allocated not in (1, 8, 16, 32):
        raise Withheld("undecodable", "a pixel layout that is not supported")
    if found.stored > found.allocated or high != found.stored - 1:
        raise Withheld("undecodable", "the stored bits do not lie where readers look for them")
    return found


def _count(dataset: Dataset, keyword: str, *, default: int | None = None, least: int = 1) -> int:
    try:
        value = dataset.get(keyword)
        if value in (None, "") and default is not None:
            return default
        number = int(value)
    except (TypeError, ValueError, OverflowError, AttributeError, NotImplementedError):
        raise Withheld("undecodable", "an attribute of the pixel layout is unusable") from None
    if keyword == "NumberOfFrames" and number == 0:
        return 1  # what pydicom takes a zero for
    if not least <= number <= 2**31:
        raise Withheld("undecodable", "an attribute of the pixel layout is out of range")
    return number


def number(dataset: Dataset | None, keyword: str, index: int = 0) -> float | None:
    """A finite number out of a possibly absent, multiple or unreadable value."""
    if dataset is None:
        return None
    try:
        value: Any = dataset.get(keyword) if keyword in dataset else None
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = value[index]
        found = float(value)
    except (TypeError, ValueError, IndexError, OverflowError, AttributeError, NotImplementedError):
        return None
    return found if math.isfinite(found) else None


def numbers(dataset: Dataset | None, keyword: str, length: int) -> tuple[float, ...] | None:
    """Exactly `length` finite numbers, or None."""
    found = [number(dataset, keyword, index) for index in range(length)]
    return None if None in found else tuple(value for value in found if value is not None)


def functional(dataset: Dataset, sequence: str, frame: int) -> Dataset | None:
    """The item of a functional group macro that holds for a frame, or None.

    The frame's own group goes before the shared one (PS3.3 C.7.6.16).
    """
    own = _items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = _items(dataset, "SharedFunctionalGroupsSequence")
    for group in [*own[frame : frame + 1], *shared[:1]]:
        if items := _items(group, sequence):
            return items[0]
    return None


def _items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence; none where it is absent, or the file has something else there."""
    try:
        value = dataset.get(keyword)
    except Exception:  # a value that its VR does not allow holds no item
        return ()
    return value if isinstance(value, pydicom.Sequence) else ()


def read_meaning(dataset: Dataset, layout: Format, photometric: str) -> Meaning:
    """What the decoded values mean; `photometric` is theirs, which may differ from the file's."""
    slopes, intercepts = [], []
    for frame in range(layout.frames):
        source = functional(dataset, "PixelValueTransformationSequence", frame) or dataset
        slope = number(source, "RescaleSlope")
        intercept = number(source, "RescaleIntercept")
        slopes.append(1.0 if slope is None or slope == 0.0 else slope)
        intercepts.append(0.0 if intercept is None else intercept)
    if len(set(slopes)) == 1 and len(set(intercepts)) == 1:
        slopes, intercepts = slopes[:1], intercepts[:1]
    return Meaning(
        photometric=photometric,
        bits=layout.stored,
        signed=layout.signed,
        slope=tuple(slopes),
        intercept=tuple(intercepts),
        padding=_padding(dataset, layout),
    )


def _padding(dataset: Dataset, layout: Format) -> tuple[float, float] | None:
    """The closed range of padding values, in stored values (PS3.3 C.7.5.1.1.2)."""
    first = number(dataset, "PixelPaddingValue")
    if first is None or layout.samples != 1:
        return None
    last = number(dataset, "PixelPaddingRangeLimit")
    ends = [first, first if last is None else last]
    if layout.signed:
        # Written as US by mistake, a negative value comes as its two's complement.
        ends = [
            end - 2**layout.allocated if end >= 2 ** (layout.allocated - 1) else end for end in ends
        ]
    return min(ends), max(ends)


def read_geometry(dataset: Dataset) -> Geometry:
    """Pixel spacing in mm: row, column, and the slice thickness where it is known."""
    measures = functional(dataset, "PixelMeasuresSequence", 0) or dataset
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        if spacing := numbers(measures, keyword, 2):
            between = number(measures, "SpacingBetweenSlices") or number(measures, "SliceThickness")
            return Geometry(spacing if between is None else (*spacing, between))
    return Geometry()


def stack_place(dataset: Dataset, layout: Format) -> tuple[str | None, float]:
    """The key that files of one series and one geometry share, and the position along the stack.

    Only files with an orientation in the patient can be a stack: two radiographs of one series are
    two pictures. Nor are files one whose values mean something else: what is padding in one of them
    is text in another, and in a scout a head looks otherwise. The key is a digest, so that it can
    be written down.
    """
    orientation = numbers(dataset, "ImageOrientationPatient", 6)
    series = text(dataset, "SeriesInstanceUID")
    if orientation is None or not series or layout.frames > 1:
        return None, 0.0
    spacing = numbers(dataset, "PixelSpacing", 2) or ()
    key = (
        text(dataset, "StudyInstanceUID"),
        series,
        text(dataset, "Modality"),
        layout,
        _padding(dataset, layout),
        is_scout(dataset),
        [getattr(dataset.get_item(table), "value", None) for table in PALETTES],
        tuple(round(value, 3) for value in orientation),
        tuple(round(value, 4) for value in spacing),
    )
    digest = hashlib.sha256(repr(key).encode()).hexdigest()
    position = numbers(dataset, "ImagePositionPatient", 3)
    if position is None:
        return digest, number(dataset, "InstanceNumber") or 0.0
    normal = np.cross(orientation[:3], orientation[3:])
    return digest, float(np.dot(normal, position))


def is_scout(dataset: Dataset) -> bool:
    """Whether it is a projection, made to plan a scan (PS3.3 C.8.2.1.1.1, value 3)."""
    return re.search(r"\bLOCALIZER\b", text(dataset, "ImageType")) is not None


def side(dataset: Dataset) -> str:
    """``L``, ``R`` or ""."""
    anatomy = functional(dataset, "FrameAnatomySequence", 0)
    for value in (
        text(dataset, "ImageLaterality"),
        text(dataset, "Laterality"),
        text(anatomy, "FrameLaterality") if anatomy is not None else "",
    ):
        if value.upper() in ("L", "R"):
            return value.upper()
    return ""


def sex(dataset: Dataset) -> str:
    """``M``, ``F`` or ""."""
    value = text(dataset, "PatientSex").upper()
    return value if value in ("M", "F") else ""


def age(dataset: Dataset) -> float | None:
    """Years (PS3.5: three digits and a unit), else None; never from dates, which may be shifted."""
    value = text(dataset, "PatientAge").upper()
    if len(value) != 4 or not value[:3].isascii() or not value[:3].isdigit():
        return None
    years = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}.get(value[3])
    return None if years is None else int(value[:3]) * years


def lossy_syntax(syntax: UID) -> bool:
    """Whether every image in this transfer syntax has lost something."""
    return syntax in (
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.81",
    )
