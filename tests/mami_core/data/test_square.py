from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mami_core.data import square
from mami_core.data.square import MASTER


@settings(max_examples=40)
@given(
    rows=st.integers(1, 90),
    columns=st.integers(1, 90),
    size=st.integers(1, 70),
    colour=st.booleans(),
)
def test_any_picture_becomes_a_square_within_its_own_range(
    rows: int, columns: int, size: int, colour: bool
) -> None:
    shape = (rows, columns, 3) if colour else (rows, columns)
    picture = np.random.default_rng(rows).uniform(0.2, 0.7, shape).astype(np.float32)
    result = square(picture, size)
    assert result.shape == (3, size, size)
    assert result.dtype == np.float32
    assert picture.min() - 1e-5 <= result.min() <= result.max() <= picture.max() + 1e-5


def test_grey_gives_three_equal_channels_and_colour_keeps_its_own() -> None:
    picture = np.random.default_rng(0).uniform(size=(40, 30)).astype(np.float32)
    grey = square(picture, 16)
    assert np.array_equal(grey[0], grey[2])
    colour = square(np.stack([picture, 1 - picture, picture * 0], axis=2), 16)
    assert np.array_equal(colour[0], grey[0])
    assert not colour[2].any()


def test_a_fine_grating_is_averaged_away_on_the_axis_that_shrinks() -> None:
    grating = np.tile(np.array([0.0, 1.0], np.float32), (20, 256))  # (20, 512)
    result = square(grating, 64)
    assert np.ptp(result[:, :, 4:-4]) < 0.02
    assert np.allclose(result[:, :, 4:-4], 0.5, atol=0.02)


def test_a_large_square_is_left_alone() -> None:
    picture = np.random.default_rng(0).uniform(size=(MASTER, MASTER)).astype(np.float32)
    assert np.array_equal(square(picture, MASTER)[1], picture)


def test_a_small_square_is_equally_soft_whatever_the_size_of_the_picture() -> None:
    fine = np.random.default_rng(0).uniform(size=(2 * MASTER, 2 * MASTER)).astype(np.float32)
    small = square(fine, 224)
    assert np.array_equal(small, square(square(fine, MASTER)[0], 224))
    # A picture that has the size already was not made so.
    assert square(small[0], 224).std() < small.std()


def test_a_stack_is_refused() -> None:
    with pytest.raises(ValueError, match="a picture is"):
        square(np.zeros((2, 3, 4, 3), np.float32), 8)
