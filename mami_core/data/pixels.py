"""Bytes of one image file -> the picture that the models see."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mami_core.data.record import UnreadableError

#: Hounsfield units that become 0 and 1 in every CT picture.
CT_WINDOW = (-1000.0, 200.0)

#: Eight bits that span less of their range in nine tenths of the pixels show next to nothing.
FAINT = 0.02

#: A picture of a few bytes may say that it has any number of pixels.
MOST_PIXELS, TOO_LARGE = 180_000_000, "it has more pixels than can be decoded safely"

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
        Where the bytes hold no single picture of a known kind; `UnreadableError` says why where
        it can be said.
    """
    if data[128:132] == b"DICM":
        return _dicom(data)
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MOST_PIXELS:
            raise UnreadableError(TOO_LARGE)
        return _raster(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError:
        # Of Pillow's own bound, which others in the process may have set.
        raise UnreadableError(TOO_LARGE) from None
    except (OSError, SyntaxError) as error:
        raise ValueError("not a picture that can be decoded") from error


def _raster(image: Image.Image) -> NDArray[np.float32]:
    if "A" in image.getbands() and np.ptp(np.asarray(image.getchannel("A"))):
        # What is shown depends on the viewer; an attacker looks at what is hidden too.
        raise UnreadableError("it is partly transparent: flatten it")
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _shown(np.asarray(image).astype(np.float32))
    grey = image.mode in ("1", "L", "LA")
    picture = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.float32) / 255.0
    low, high = np.percentile(picture, (5.0, 95.0))
    return picture if high - low >= FAINT or high == low else _shown(picture)


def _shown(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the middle 99.8 % of the values: 12 bits in 16 are no dark picture.

    As `deid scrub` shows them to its models.
    """
    if not np.isfinite(values).all():
        raise UnreadableError("some of its values are no numbers")
    low, high = np.percentile(values, (0.1, 99.9))
    if high <= low:
        return np.clip(_stretched(values), 0.0, 1.0)
    return np.clip((values - low) / (high - low), 0.0, 1.0).astype(np.float32)


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
