"""Boxes: joining them loses nothing."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deid.text.box import Box, blocks, mask, union

CORNER = st.integers(0, 60)
BOXES = st.lists(
    st.tuples(CORNER, CORNER, st.integers(1, 30), st.integers(1, 30)).map(
        lambda v: Box(v[0], v[1], v[0] + v[2], v[1] + v[3])
    ),
    max_size=12,
)


@settings(max_examples=50)
@given(BOXES)
def test_the_union_covers_the_same_pixels_with_no_box_inside_another(boxes: list[Box]) -> None:
    joined = union(boxes)
    np.testing.assert_array_equal(mask(joined, 100, 100), mask(boxes, 100, 100))
    assert not any(a != b and a.join(b) == b for a in joined for b in joined)


@settings(max_examples=50)
@given(BOXES, st.randoms())
def test_blocks_cover_every_line_and_do_not_depend_on_their_order(
    boxes: list[Box], random: object
) -> None:
    joined = blocks(boxes)
    assert (mask(joined, 100, 100) >= mask(boxes, 100, 100)).all()
    shuffled = list(boxes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert blocks(shuffled) == joined


def test_a_block_fills_what_lies_between_its_lines() -> None:
    label, name, wrapped = Box(10, 10, 60, 20), Box(70, 10, 180, 20), Box(70, 24, 110, 34)
    assert blocks([label, name, wrapped]) == [Box(10, 10, 180, 34)]


def test_texts_in_two_corners_stay_apart() -> None:
    corners = [Box(5, 5, 60, 15), Box(400, 5, 460, 15)]
    assert blocks(corners) == corners


@settings(max_examples=50)
@given(BOXES)
def test_a_box_survives_json(boxes: list[Box]) -> None:
    for box in boxes:
        assert Box.from_list(json.loads(json.dumps(box.to_list()))) == box


def test_clipping_leaves_what_is_inside() -> None:
    assert Box(-3, 4, 12, 99).clip(10, 10) == Box(0, 4, 10, 10)
    assert Box(10, 0, 12, 5).clip(10, 10) is None
