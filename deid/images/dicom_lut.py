"""What the numbers look like: modality and VOI transformations (PS3.3 C.11), palettes, colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, convert_color_space

from deid.images.dicom_facts import functional, number
from deid.images.dicom_kind import text
from deid.images.dicom_parse import quiet
from deid.images.extent import extent, hides, sample
from deid.images.record import Image
from deid.reasons import Withheld

#: Hounsfield units that the models see in CT: from air to enhanced soft tissue.
CT_WINDOW = (-1000.0, 200.0)


def view(image: Image) -> NDArray[np.float32]:
    """What the models see, in 0..1.

    CT in Hounsfield units gets `CT_WINDOW`; other grey images their first VOI LUT or window, or,
    where they have none, the range of their values. Where either hides most of the picture, which
    stays in the stored values for everybody to see, it is the middle 99 % of the values.
    MONOCHROME1 is inverted. Colour comes as RGB.

    Returns
    -------
    numpy.ndarray
        ``(F, R, C)`` or ``(F, R, C, 3)``.
    """
    dataset = _dataset(image)
    if image.meaning.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return _colour(image).astype(np.float32) / np.float32(255.0)
    with quiet():
        real = _modality(image, dataset)
        span = _span(image, real)
        hounsfield = image.header.modality == "ct" and "RescaleIntercept" in _rescaled(dataset)
        for frame, values in enumerate(real):
            if hounsfield:
                values -= np.float32(CT_WINDOW[0])
                values /= np.float32(CT_WINDOW[1] - CT_WINDOW[0])
            else:
                values[...] = _voi(dataset, frame, values, span)
        if not hounsfield and hides(real, image.pixels):
            real = _modality(image, dataset)
            low, high = _middle(image, real)
            real -= np.float32(low)
            real /= np.float32(max(high - low, 1e-9))
    np.clip(real, 0.0, 1.0, out=real)
    if image.meaning.photometric == "MONOCHROME1":
        np.subtract(np.float32(1.0), real, out=real)
    return real


def plain(image: Image) -> NDArray[np.uint8]:
    """The range of the stored values (`extent`) over all frames, for the text search.

    Returns
    -------
    numpy.ndarray
        ``(F, R, C)`` or, for colour and palettes, ``(F, R, C, 3)``.
    """
    if image.meaning.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return _colour(image)
    low, high = extent(_unpadded(image, image.pixels))
    scale = 255.0 / max(high - low, 1e-9)
    out = np.empty(image.pixels.shape, np.uint8)
    for values, target in zip(image.pixels, out, strict=True):
        scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(scale)
        target[...] = np.clip(np.rint(scaled), 0, 255)
    return out


def _dataset(image: Image) -> FileDataset:
    if image.dataset is None:
        raise ValueError("a DICOM image without its data set")
    return image.dataset


def _rescaled(dataset: FileDataset) -> Dataset:
    return functional(dataset, "PixelValueTransformationSequence", 0) or dataset


def _modality(image: Image, dataset: FileDataset) -> NDArray[np.float32]:
    """Values after the modality LUT or rescale, one array of its own."""
    real = image.pixels.astype(np.float32)
    lut = _lut(dataset.get("ModalityLUTSequence"), signed=image.meaning.signed)
    slope, intercept = image.meaning.slope, image.meaning.intercept
    for frame, values in enumerate(real):
        if lut is not None:
            values[...] = lut.of(values)
        else:
            # One entry holds for all frames.
            values *= np.float32(slope[frame % len(slope)])
            values += np.float32(intercept[frame % len(intercept)])
    return real


def _middle(image: Image, values: NDArray[np.float32]) -> tuple[float, float]:
    """Where the middle 99 % of `values` lie, padding pixels left out."""
    chosen = np.concatenate([sample(part) for part in _unpadded(image, values)])
    low, high = np.percentile(chosen, (0.5, 99.5)) if chosen.size else (0.0, 1.0)
    return float(low), float(high)


def _span(image: Image, values: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest of `values` over all frames, padding pixels left out."""
    low, high = np.inf, -np.inf
    for chosen in _unpadded(image, values):
        if chosen.size:
            low, high = min(low, float(chosen.min())), max(high, float(chosen.max()))
    return (low, high) if low <= high else (0.0, 1.0)


def _unpadded(image: Image, values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Each frame's `values` without its padding pixels."""
    for stored, frame in zip(image.pixels, values, strict=True):
        if image.meaning.padding is None:
            yield frame
        else:
            first, last = image.meaning.padding
            yield frame[(stored < first) | (stored > last)]


def _voi(
    dataset: FileDataset, frame: int, values: NDArray[np.float32], span: tuple[float, float]
) -> NDArray[np.float32]:
    """One frame after its first VOI transformation, in 0..1 (not yet clipped)."""
    item = functional(dataset, "FrameVOILUTSequence", frame) or dataset
    lut = _lut(item.get("VOILUTSequence"), signed=span[0] < 0)
    if lut is not None:
        return lut.of(values) / np.float32(lut.top)
    centre, width = number(item, "WindowCenter"), number(item, "WindowWidth")
    if centre is None or width is None or width <= 0.0:
        low, high = span
        return (values - np.float32(low)) / np.float32(max(high - low, 1e-9))
    function = text(item, "VOILUTFunction").upper()
    if function == "SIGMOID":
        return 0.5 + 0.5 * np.tanh(2.0 * (values - np.float32(centre)) / np.float32(width))
    if function != "LINEAR_EXACT":  # LINEAR counts both ends: C.11.2.1.2.1
        centre, width = centre - 0.5, max(width - 1.0, 1e-6)
    return (values - np.float32(centre)) / np.float32(width) + np.float32(0.5)


@dataclass(frozen=True)
class _Table:
    """A lookup table: its entries, the value that the first maps, the largest possible entry."""

    entries: NDArray[np.float32]
    first: int
    top: float

    def of(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map values; those outside get the first or the last entry."""
        places = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1)
        return self.entries[places.astype(np.int64)]


def _lut(sequence: Any, *, signed: bool) -> _Table | None:
    """The first LUT of a sequence, None where there is none that can be used.

    `signed` says that the values it maps may be negative.
    """
    if not sequence:
        return None
    item = sequence[0]
    try:
        count, first, bits = (int(value) for value in item.LUTDescriptor)
        data = item["LUTData"].value
        if isinstance(data, bytes):
            order = "<" if item.original_encoding[1] is not False else ">"
            data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * (count or 65536) else "u1")
        entries = np.asarray(data, np.float32).reshape(-1)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if not entries.size:
        return None
    if signed and first >= 2**15:
        first -= 2**16
    return _Table(entries, first, max(float(2 ** min(bits, 16) - 1), float(entries.max()), 1.0))


def _colour(image: Image) -> NDArray[np.uint8]:
    """RGB of eight bits out of a palette, a YBR or an RGB image.

    Of more bits those that are in use: palettes, and pictures, may have eight in words of sixteen.
    """
    out = np.empty((*image.pixels.shape[:3], 3), np.uint8)
    bits = 0
    try:
        with quiet():
            for rgb, target in zip(_rgb(image), out, strict=True):
                if not bits:
                    top = 255.0 if rgb.dtype == np.uint8 else extent(_rgb(image))[1]
                    bits = max(8, int(top).bit_length())
                target[...] = _eight(rgb, bits)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        raise Withheld("undecodable", "the colours cannot be worked out") from None
    return out


def _rgb(image: Image) -> Iterator[NDArray[Any]]:
    """The colours of each frame, in as many bits as the image or its palette has."""
    photometric = image.meaning.photometric
    for values in image.pixels:
        if photometric == "PALETTE COLOR":
            yield apply_color_lut(values, _dataset(image))[..., :3]
        elif photometric.startswith("YBR"):
            yield convert_color_space(_eight(values, image.meaning.bits), photometric, "RGB")
        else:
            yield values


def _eight(values: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """The upper eight of `bits` bits; what needs more is white."""
    upper = values.astype(np.uint64) << np.uint64(8) >> np.uint64(bits)
    return np.minimum(upper, 255).astype(np.uint8)
