"""Bytes of one image file -> the picture that the models see."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

#: Hounsfield units that become 0 and 1 in every CT picture.
CT_WINDOW = (-1000.0, 200.0)

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm"})


def decode(data: bytes) -> NDArray[np.float32]:
    """Decode PNG, JPEG, TIFF or BMP, or a single-frame DICOM file.

    Returns
    -------
    ``(H, W)`` or ``(H, W, 3)`` float32 in 0..1. CT is windowed (`CT_WINDOW`); an inverted grey
    scale (MONOCHROME1) is turned round.

    Raises
    ------
    ValueError
        Where the bytes hold no single picture of a known kind.
    """
    if data[128:132] == b"DICM":
        return _dicom(data)
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        return _raster(image)
    except (OSError, SyntaxError) as error:
        raise ValueError("not a picture that can be decoded") from error


def _raster(image: Image.Image) -> NDArray[np.float32]:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.float32) / 65535.0
    if image.mode in ("I", "F"):
        return _stretched(np.asarray(image, dtype=np.float32))
    grey = image.mode in ("1", "L", "LA")
    return np.asarray(image.convert("L" if grey else "RGB"), dtype=np.float32) / 255.0


def _dicom(data: bytes) -> NDArray[np.float32]:
    import pydicom
    from pydicom.pixels.processing import (
        apply_modality_lut,
        apply_voi_lut,
        convert_color_space,
    )

    dataset = pydicom.dcmread(io.BytesIO(data))
    pixels = dataset.pixel_array
    photometric = str(dataset.PhotometricInterpretation)
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise ValueError("more than one frame")
    if int(dataset.SamplesPerPixel) == 3:
        if photometric.startswith("YBR"):
            pixels = convert_color_space(pixels, photometric, "RGB")
        return pixels.astype(np.float32) / float(2 ** int(dataset.BitsStored) - 1)
    real = apply_modality_lut(pixels, dataset)
    if str(dataset.get("Modality", "")) == "CT":
        low, high = CT_WINDOW
        return np.clip((np.asarray(real, np.float32) - low) / (high - low), 0.0, 1.0)
    picture = _stretched(np.asarray(apply_voi_lut(real, dataset), dtype=np.float32))
    return 1.0 - picture if photometric == "MONOCHROME1" else picture


def _stretched(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-6)
