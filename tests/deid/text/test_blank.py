"""Blanking: what stood in a box is gone, what stood outside is untouched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from deid.text import Box, blank
from deid.text.box import mask

TYPES = ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
BOXES = st.lists(
    st.tuples(*[st.integers(-5, 45)] * 4).map(
        lambda v: Box(min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
    ),
    max_size=6,
)


@st.composite
def pictures(draw: st.DrawFn) -> NDArray[np.generic]:
    kind = draw(st.sampled_from(TYPES))
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    if draw(st.booleans()):
        shape = (*shape, 3)
    # Wild values from a seed: drawing each pixel would be slow and no wilder.
    source = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind.startswith("float"):
        values = source.normal(0, 1e4, shape)
        if draw(st.booleans()):
            values.flat[source.integers(values.size)] = np.nan
        return values.astype(kind)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    return source.integers(low, high, shape, dtype=kind, endpoint=True)


def plate(background: int = 40, letters: int = 255, words: str = "DOE JANE") -> NDArray[np.int16]:
    strokes = np.zeros((80, 200), np.uint8)
    cv2.putText(strokes, words, (20, 45), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_8)
    return np.where(strokes > 0, letters, background).astype(np.int16)


BOX = Box(10, 15, 190, 60)


@settings(max_examples=60)
@given(pictures(), BOXES)
def test_outside_the_boxes_every_pixel_is_equal_and_inside_values_stay_in_range(
    picture: NDArray[np.generic], boxes: list[Box]
) -> None:
    before = picture.copy()
    after = blank(picture, boxes)
    inside = mask(boxes, *picture.shape[:2])
    np.testing.assert_array_equal(picture, before)
    assert after.dtype == picture.dtype
    assert after.shape == picture.shape
    np.testing.assert_array_equal(after[~inside], picture[~inside])
    finite = picture[np.isfinite(picture)]
    if finite.size:
        assert after[inside].size == 0 or (
            after[inside].min() >= finite.min() and after[inside].max() <= finite.max()
        )


@settings(max_examples=30)
@given(pictures(), BOXES)
def test_blanking_twice_is_blanking_once(picture: NDArray[np.generic], boxes: list[Box]) -> None:
    once = blank(picture, boxes)
    np.testing.assert_array_equal(blank(once, boxes), once)


@settings(max_examples=30)
@given(pictures(), BOXES, st.integers(0, 2**32 - 1))
def test_nothing_of_what_stood_inside_has_a_say_in_the_filling(
    picture: NDArray[np.generic], boxes: list[Box], seed: int
) -> None:
    inside = mask(boxes, *picture.shape[:2])
    if inside.all():
        return
    other = picture.copy()
    other[inside] = (
        np.random.default_rng(seed).permutation(picture.reshape(-1)).reshape(picture.shape)[inside]
    )
    np.testing.assert_array_equal(blank(other, boxes)[inside], blank(picture, boxes)[inside])


@settings(max_examples=20)
@given(hnp.arrays(np.uint8, (24, 31)), BOXES)
def test_the_same_picture_in_another_type_is_filled_alike(
    picture: NDArray[np.uint8], boxes: list[Box]
) -> None:
    if mask(boxes, 24, 31).all():
        return
    wide = blank(picture.astype(np.int16) * 16 - 1024, boxes)
    np.testing.assert_allclose(
        (wide.astype(float) + 1024) / 16, blank(picture, boxes).astype(float), atol=1
    )


def test_a_slope_goes_on_under_a_box() -> None:
    slope = np.tile(np.arange(200, dtype=np.int16) * 10, (80, 1))
    written = np.where(plate(0) > 0, 3000, slope).astype(np.int16)
    error = np.abs(blank(written, [BOX])[:, 20:180] - slope[:, 20:180])
    assert error.max() < 200


@pytest.mark.parametrize("letters", [255, 0, -2000])
def test_letters_over_padding_or_in_the_padding_value_do_not_survive(letters: int) -> None:
    picture = plate(letters=letters)
    picture[:, 100:] = np.where(picture[:, 100:] == 40, -2000, picture[:, 100:])
    keep = picture == -2000
    after = blank(picture, [BOX], keep=keep)
    part = after[BOX.y0 : BOX.y1, BOX.x0 : BOX.x1]
    assert set(np.unique(part)) == {-2000, 40}
    # Left of the middle tissue, right of it padding, as before the letters: no shape but that edge.
    assert (part[:, :70] == 40).all()
    assert (part[:, 110:] == -2000).all()


def test_padding_in_a_box_stays_padding() -> None:
    picture = plate()
    picture[:, 150:] = -2000
    keep = picture == -2000
    assert (blank(picture, [Box(120, 10, 190, 60)], keep=keep)[keep] == -2000).all()


def test_a_picture_that_is_all_text_becomes_flat() -> None:
    assert len(np.unique(blank(plate(), [Box(0, 0, 200, 80)]))) == 1
