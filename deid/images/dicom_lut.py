"""What the numbers look like: modality and VOI transformations (PS3.3 C.11), palettes, colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, convert_color_space

from deid.images.dicom_facts import functional, number
from deid.images.dicom_kind import text
from deid.images.dicom_parse import quiet
from deid.images.record import Image

#: Hounsfield units that the models see in CT: from air to enhanced soft tissue.
CT_WINDOW = (-1000.0, 200.0)


def view(image: Image) -> NDArray[np.float32]:
    """What the models see, in 0..1.

    CT in Hounsfield units gets `CT_WINDOW`; other grey images their first VOI LUT or window, or, where
    they have none, the range of their values; MONOCHROME1 is inverted. Colour comes as RGB.

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
                low, high = CT_WINDOW
                values[...] = (values - low) / (high - low)
            else:
                values[...] = _voi(dataset, frame, values, span)
    np.clip(real, 0.0, 1.0, out=real)
    return 1.0 - real if image.meaning.photometric == "MONOCHROME1" else real


def plain(image: Image) -> NDArray[np.uint8]:
    """The full range of the stored values over all frames, for the text search.

    Returns
    -------
    numpy.ndarray
        ``(F, R, C)`` or, for colour and palettes, ``(F, R, C, 3)``.
    """
    if image.meaning.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return _colour(image)
    low, high = _span(image, image.pixels)
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
    lut = _lut(dataset.get("ModalityLUTSequence"), image)
    if lut is not None:
        return _looked_up(lut, image.pixels).astype(np.float32)
    real = image.pixels.astype(np.float32)
    slope, intercept = image.meaning.slope, image.meaning.intercept
    for frame, values in enumerate(real):
        # One entry holds for all frames.
        values *= np.float32(slope[frame % len(slope)])
        values += np.float32(intercept[frame % len(intercept)])
    return real


def _span(image: Image, values: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest of `values` over all frames, padding pixels left out."""
    low, high = np.inf, -np.inf
    for stored, frame in zip(image.pixels, values, strict=True):
        chosen = frame
        if image.meaning.padding is not None:
            first, last = image.meaning.padding
            chosen = frame[(stored < first) | (stored > last)]
        if chosen.size:
            low, high = min(low, float(chosen.min())), max(high, float(chosen.max()))
    return (low, high) if low <= high else (0.0, 1.0)


def _voi(
    dataset: FileDataset, frame: int, values: NDArray[np.float32], span: tuple[float, float]
) -> NDArray[np.float32]:
    """One frame after its first VOI transformation, in 0..1 (not yet clipped)."""
    item = functional(dataset, "FrameVOILUTSequence", frame) or dataset
    lut = _lut(item.get("VOILUTSequence"), None)
    if lut is not None:
        table, _ = lut
        return _looked_up(lut, np.rint(values)).astype(np.float32) / max(float(table.max()), 1.0)
    centre, width = number(item, "WindowCenter"), number(item, "WindowWidth")
    function = text(item, "VOILUTFunction").upper()
    if (
        centre is None
        or width is None
        or width < 1.0 + (function not in ("SIGMOID", "LINEAR_EXACT")) * 1e-6
    ):
        low, high = span
        return (values - np.float32(low)) / np.float32(max(high - low, 1e-9))
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(-4.0 * (values - np.float32(centre)) / np.float32(width)))
    if function == "LINEAR_EXACT":
        return (values - np.float32(centre)) / np.float32(width) + np.float32(0.5)
    return (values - np.float32(centre - 0.5)) / np.float32(width - 1.0) + np.float32(0.5)


#: A table and the first value that it maps.
Table = tuple[NDArray[np.float64], int]


def _lut(sequence: Any, image: Image | None) -> Table | None:
    """The first LUT of a sequence, None where there is none that can be used."""
    if not sequence:
        return None
    item = sequence[0]
    try:
        entries, first, bits = (int(value) for value in item.LUTDescriptor)
        data = item["LUTData"].value
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if len(data) >= 2 * (entries or 65536) else "u1")
    table = np.asarray(data, np.float64).reshape(-1)
    if image is not None and image.meaning.signed and first >= 32768:
        first -= 65536
    return (table, first) if table.size else None


def _looked_up(lut: Table, values: NDArray[Any]) -> NDArray[np.float64]:
    table, first = lut
    indices = np.clip(values.astype(np.int64) - first, 0, table.size - 1)
    return table[indices]


def _colour(image: Image) -> NDArray[np.uint8]:
    """RGB of eight bits out of a palette, a YBR or an RGB image."""
    dataset = _dataset(image)
    photometric = image.meaning.photometric
    out = np.empty((*image.pixels.shape[:3], 3), np.uint8)
    with quiet():
        for values, target in zip(image.pixels, out, strict=True):
            if photometric == "PALETTE COLOR":
                rgb = apply_color_lut(values, dataset)[..., :3]
                bits = rgb.dtype.itemsize * 8
            elif photometric.startswith("YBR"):
                rgb = convert_color_space(_eight(values, image.meaning.bits), photometric, "RGB")
                bits = 8
            else:
                rgb, bits = values, image.meaning.bits
            target[...] = _eight(rgb, bits)
    return out


def _eight(values: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """The upper eight of `bits` bits."""
    if bits <= 8:
        return values.astype(np.uint8)
    return (values.astype(np.uint32) >> (bits - 8)).astype(np.uint8)
