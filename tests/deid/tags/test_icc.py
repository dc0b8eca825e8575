from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from deid.tags.icc import rebuilt


@pytest.fixture(scope="module")
def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_a_rebuilt_profile_maps_colours_as_before_and_says_nothing(srgb: bytes) -> None:
    new = rebuilt(srgb)
    assert new is not None
    assert b"built" not in new
    assert b"b\0u\0i\0l\0t" not in new
    values = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    lab = ImageCms.createProfile("LAB")
    seen = [
        np.asarray(
            ImageCms.profileToProfile(
                Image.fromarray(values),
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                lab,
                outputMode="LAB",
            )
        )
        for profile in (srgb, new)
    ]
    assert np.array_equal(*seen)
    assert rebuilt(new) == new


def test_text_in_the_header_a_tag_or_behind_a_number_goes(srgb: bytes) -> None:
    planted = bytearray(srgb + b"CANARY at the end")
    for place in (4, 24, 40, 48, 52, 80, 84, 100):
        planted[place : place + 4] = b"CANA"
    count = struct.unpack(">I", srgb[128:132])[0]
    entries = [struct.unpack(">4sII", srgb[132 + 12 * n : 144 + 12 * n]) for n in range(count)]
    for _, start, _ in entries:
        planted[start + 4 : start + 8] = b"CANA"
    new = rebuilt(bytes(planted))
    assert new is not None
    assert b"CANA" not in new


def test_a_curve_that_falls_is_no_curve(srgb: bytes) -> None:
    body = b"curv" + bytes(4) + struct.pack(">I", 4) + b"SMITHJOH"
    place = srgb.index(b"rTRC")
    planted = (
        srgb[: place + 4] + struct.pack(">II", len(srgb), len(body)) + srgb[place + 12 :] + body
    )
    assert rebuilt(planted) is None


@given(st.binary(max_size=300))
def test_whatever_the_bytes_it_does_not_raise(data: bytes) -> None:
    assert rebuilt(data) is None


@settings(max_examples=40)
@given(st.integers(0, 700), st.binary(min_size=1, max_size=8))
def test_a_damaged_profile_does_not_raise(place: int, data: bytes) -> None:
    whole = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    new = rebuilt(whole[:place] + data + whole[place + len(data) :])
    assert new is None or new[36:40] == b"acsp"
