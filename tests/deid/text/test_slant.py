"""A slanted rectangle: its crop is upright, its tiles cover it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.text.box import mask
from deid.text.slant import Slant


@given(
    angle=st.floats(-89, 90),
    length=st.floats(8, 150),
    height=st.floats(4, 30),
    at=st.tuples(st.floats(0, 200), st.floats(0, 200)),
)
def test_its_tiles_cover_it_wholly(
    angle: float, length: float, height: float, at: tuple[float, float]
) -> None:
    slant = Slant(*at, length, height, angle)
    # Points of the rectangle itself, a quarter of a pixel apart; a polygon drawn by a library would
    # hold what its rounding adds. The pixel that a point falls in has to be covered.
    inside = 0.999
    x = np.linspace(-inside * length / 2, inside * length / 2, int(4 * length))
    y = np.linspace(-inside * height / 2, inside * height / 2, int(4 * height))
    along, across = (values.ravel() for values in np.meshgrid(x, y))
    turn = np.deg2rad(angle)
    column = np.floor(at[0] + along * np.cos(turn) - across * np.sin(turn)).astype(int)
    row = np.floor(at[1] + along * np.sin(turn) + across * np.cos(turn)).astype(int)
    seen = (row >= 0) & (row < 200) & (column >= 0) & (column < 200)
    assert mask(slant.tiles(), 200, 200)[row[seen], column[seen]].all()


def test_its_tiles_cover_little_else() -> None:
    slant = Slant(150, 150, 250, 14, 45)
    assert mask(slant.tiles(), 300, 300).sum() < 2.5 * 250 * 14


@pytest.mark.parametrize("angle", [-60.0, -45.0, 10.0, 45.0, 90.0])
def test_the_rectangle_around_its_corners_is_the_rectangle(angle: float) -> None:
    slant = Slant(100, 90, 80, 20, angle)
    corners = cv2.boxPoints(((100, 90), (80, 20), angle))
    found = Slant.around(corners)
    assert np.allclose(
        (found.x, found.y, found.length, found.height, found.angle % 180),
        (100, 90, 80, 20, slant.angle % 180),
        atol=0.01,
    )


@pytest.mark.parametrize("angle", [-60.0, 0.0, 30.0, 45.0, 90.0])
def test_its_crop_is_upright(angle: float) -> None:
    """A half-bright bar, turned: the crop is dark at one end and bright at the other."""
    picture = np.zeros((200, 200), np.uint8)
    right = Slant(
        100 + 20 * np.cos(np.deg2rad(angle)), 100 + 20 * np.sin(np.deg2rad(angle)), 40, 20, angle
    )
    corners = cv2.boxPoints(((right.x, right.y), (right.length, right.height), right.angle))
    cv2.fillPoly(picture, [np.rint(corners).astype(np.int32)], 200)
    crop = Slant(100, 100, 80, 20, angle).crop(picture)
    assert crop.shape == (20, 80)
    assert crop[3:-3, :37].max() == 0
    assert crop[3:-3, 43:-3].min() == 200


def test_a_crop_outside_the_picture_is_empty() -> None:
    assert Slant(500, 500, 20, 8, 45).crop(np.zeros((50, 50), np.uint8)).size == 0
