from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms

from deid.icc import srgb, standard


def test_a_profile_that_maps_colours_as_srgb_does_becomes_our_own() -> None:
    theirs = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for planted in (theirs, theirs.replace(b"b\0u\0i\0l\0t", b"A\0N\0N\0A\0 ") + b"MUELLER"):
        assert standard(planted) == srgb()
    assert len(srgb()) % 2 == 0


@pytest.mark.parametrize("place", [b"rXYZ", b"gXYZ", b"wtpt"])
def test_numbers_that_spell_a_text_do_not_stay(place: bytes) -> None:
    entry = srgb().index(place)
    at = int.from_bytes(srgb()[entry + 4 : entry + 8], "big") + 8
    planted = srgb()[:at] + b"MUELLER^ANNA" + srgb()[at + 12 :]
    assert b"MUELLER" not in (standard(planted) or b"")


@given(st.binary(max_size=300))
def test_whatever_the_bytes_it_does_not_raise(data: bytes) -> None:
    assert standard(data) is None


@settings(max_examples=20)
@given(st.integers(0, 580), st.binary(min_size=1, max_size=8))
def test_a_damaged_profile_is_none_or_ours(place: int, data: bytes) -> None:
    damaged = srgb()[:place] + data + srgb()[place + len(data) :]
    assert standard(damaged) in (None, srgb())
