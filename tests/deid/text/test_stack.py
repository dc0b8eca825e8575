"""Text in a stack: what all slices share, and what is on one of them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deid.text import Finder, blank, search_stack
from deid.text.box import mask
from deid.text.strokes import odd_slices

pytestmark = pytest.mark.skipif(not Finder.available(), reason="rapidocr is not installed")

FRAMES, SIZE = 200, 192


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder()


@pytest.fixture(scope="module")
def series() -> NDArray[np.uint8]:
    """An oval body with organs that come and go, vessels that wander, and noise."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    body = (x**2 / 0.16 + y**2 / 0.1 < 1) * 110.0
    organs = random.uniform(-0.25, 0.25, (40, 2)), random.uniform(0, FRAMES, 40)
    slices = []
    for z in range(FRAMES):
        picture = body.copy()
        for (cx, cy), middle in zip(*organs, strict=True):
            size = 0.06 - abs(z - middle) * 0.002
            if size > 0:
                moved = cx + 0.001 * (z - middle)
                picture[(x - moved) ** 2 + (y - cy) ** 2 < size**2] += 25
        picture = cv2.GaussianBlur(picture, (0, 0), 0.8) + random.normal(0, 4, picture.shape)
        slices.append(np.clip(picture, 0, 255))
    return np.array(slices).astype(np.uint8)


def strokes(at: tuple[int, int], words: str = "DOE JANE 1970") -> NDArray[np.bool_]:
    canvas = Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(canvas).text(at, words, 255, ImageFont.load_default(11))
    return np.asarray(canvas) > 110


@pytest.mark.parametrize(("frame", "at", "level"), [(77, (50, 90), 170), (199, (20, 60), 60)])
def test_a_name_on_one_slice_is_found_and_gone(
    finder: Finder, series: NDArray[np.uint8], frame: int, at: tuple[int, int], level: int
) -> None:
    planted = series.copy()
    letters = strokes(at)
    planted[frame][letters] = level
    found = search_stack(planted, finder)
    assert not found.remains
    assert mask(found.boxes[frame], SIZE, SIZE)[letters].mean() > 0.99
    after = blank(planted[frame], found.boxes[frame])
    assert not finder.legible(after, finder.find(after))
    # It is a name, not a picture of one, that went: most of the slice is as it was.
    assert (after != planted[frame]).mean() < 0.35


def test_text_on_all_slices_is_blanked_on_all(finder: Finder, series: NDArray[np.uint8]) -> None:
    planted = series[:40].copy()
    letters = strokes((5, 5))
    planted[:, letters] = 255
    found = search_stack(planted, finder)
    assert len(found.boxes) == 40
    assert all(mask(boxes, SIZE, SIZE)[letters].all() for boxes in found.boxes)


def test_a_clean_series_keeps_its_pixels(finder: Finder, series: NDArray[np.uint8]) -> None:
    found = search_stack(series[:60], finder)
    assert not found.remains
    assert np.mean([mask(boxes, SIZE, SIZE).mean() for boxes in found.boxes]) < 0.005


@pytest.mark.parametrize("run", [1, 3, 8])
def test_a_short_run_of_slices_with_strokes_is_noticed(series: NDArray[np.uint8], run: int) -> None:
    planted = series.copy()
    planted[90 : 90 + run, strokes((60, 80))] = 190
    odd = odd_slices(planted, [])
    noticed = {90, 89 + run} & set(odd)
    assert noticed
    assert any(mask([odd[i]], SIZE, SIZE)[strokes((60, 80))].all() for i in noticed)


def test_few_slices_of_a_clean_series_are_searched_by_themselves(
    series: NDArray[np.uint8],
) -> None:
    assert len(odd_slices(series, [])) <= FRAMES * 0.05


@pytest.mark.parametrize("shape", [(1, 40, 50), (2, 40, 50), (3, 40, 50, 3), (6, 40, 50, 3)])
def test_small_stacks_and_colour_pass(finder: Finder, shape: tuple[int, ...]) -> None:
    pictures: NDArray[Any] = np.zeros(shape, np.uint8)
    assert search_stack(pictures, finder).boxes == [[]] * shape[0]
