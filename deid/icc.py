"""Colour profiles: one survives only as the standard profile that it equals in effect."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

#: Largest difference of a colour (of 255) between a profile and sRGB that still counts as sRGB.
_TOLERANCE = 2
#: Bytes 24 to 35 of a profile are its date (ICC.1:2022, 7.2); 84 to 99 an identifier of its bytes.
_DATE, _IDENTIFIER = slice(24, 36), slice(84, 100)
_SOME_DATE = bytes.fromhex("07d0 0001 0001 0000 0000 0000".replace(" ", ""))


@lru_cache(maxsize=1)
def srgb() -> bytes:
    """An sRGB profile with a fixed date: the same bytes on every run."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = _SOME_DATE
    profile[_IDENTIFIER] = bytes(16)
    return bytes(profile)


def standard(profile: bytes | None) -> bytes | None:
    """The standard profile that `profile` equals in effect, or None.

    A profile can carry text, dates and a maker's private tags. So none is ever copied: one that
    maps colours as sRGB does is replaced by our own sRGB profile, any other is dropped.
    """
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mapped = ImageCms.profileToProfile(Image.fromarray(_grid()), source, srgb_profile())
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if mapped is None:
        return None
    difference = np.abs(np.asarray(mapped).astype(int) - _grid().astype(int))
    return srgb() if difference.max() <= _TOLERANCE else None


def srgb_profile() -> ImageCms.ImageCmsProfile:
    """The profile of `srgb` as LittleCMS takes it."""
    return ImageCms.ImageCmsProfile(io.BytesIO(srgb()))


@lru_cache(maxsize=1)
def _grid() -> NDArray[np.uint8]:
    """Colours all over the cube, as a picture."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(27, 27, 3)
