"""Text in a stack: what all slices share, and what is on one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deid.phantoms import ct_volume
from deid.text import Finder, blank, search_stack
from deid.text.box import mask
from deid.text.strokes import odd_slices

pytestmark = pytest.mark.skipif(not Finder.available(), reason="rapidocr is not installed")

FRAMES, SIZE = 200, 128


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder()


@pytest.fixture(scope="module")
def series() -> NDArray[np.uint16]:
    return stored(5, SIZE, FRAMES)


def stored(seed: int, size: int, slices: int) -> NDArray[np.uint16]:
    """A phantom chest as a scanner stores it."""
    return (ct_volume(seed, 0, size, slices) + 1024).astype(np.uint16)


def strokes(
    at: tuple[int, int], words: str = "DOE JANE 1970", height: int = 11, size: int = SIZE
) -> NDArray[np.bool_]:
    canvas = Image.new("L", (size, size))
    ImageDraw.Draw(canvas).text(at, words, 255, ImageFont.load_default(height))
    return np.asarray(canvas) > 110


@pytest.mark.parametrize(
    ("frame", "at", "level", "height"),
    [(77, (20, 60), 4000, 10), (199, (3, 110), 700, 12)],
    ids=["bright on tissue", "grey on air, last slice"],
)
def test_a_name_on_one_slice_is_found_and_gone(
    finder: Finder,
    series: NDArray[np.uint16],
    frame: int,
    at: tuple[int, int],
    level: int,
    height: int,
) -> None:
    planted = series.copy()
    letters = strokes(at, "DOE JANE", height)
    planted[frame][letters] = level
    found = search_stack(planted, finder)
    assert not found.remains
    assert mask(found.boxes[frame], SIZE, SIZE)[letters].mean() > 0.99
    after = blank(planted[frame], found.boxes[frame])
    assert not finder.legible(after, finder.find(after))
    # It is a name, not a picture of one, that went: most of the slice is as it was.
    assert (after != planted[frame]).mean() < 0.15


def test_text_on_all_slices_is_blanked_on_all(finder: Finder, series: NDArray[np.uint16]) -> None:
    planted = series[:12].copy()
    letters = strokes((5, 5))
    planted[:, letters] = 3000
    found = search_stack(planted, finder)
    assert len(found.boxes) == 12
    assert all(mask(boxes, SIZE, SIZE)[letters].all() for boxes in found.boxes)


def test_text_on_frames_that_are_pages_of_their_own_is_found(finder: Finder) -> None:
    """All differ from their neighbours alike, so that none stands out; together they hide it."""
    size = SIZE + SIZE // 4
    noise = np.random.default_rng(7).integers(0, 256, (12, 8, 8)).astype(np.uint8)
    pages = np.stack([np.asarray(Image.fromarray(page).resize((size, size))) for page in noise])
    letters = [strokes((10, 10 * i), "DOE JANE", 18, size) for i in range(len(pages))]
    for page, here in zip(pages, letters, strict=True):
        level = page[here].mean()
        page[here] = level + 90 if level < 128 else level - 90
    found = search_stack(pages, finder)
    for boxes, here in zip(found.boxes, letters, strict=True):
        assert mask(boxes, size, size)[here].mean() > 0.9


def test_a_text_that_stays_while_a_film_moves_on_is_found(finder: Finder) -> None:
    random = np.random.default_rng(4)
    blobs = Image.fromarray(random.integers(0, 256, (12, 60)).astype(np.uint8))
    strip = np.asarray(blobs.resize((5 * 160, 160)))
    film = np.stack([strip[:, 8 * i : 8 * i + 160] for i in range(60)])
    letters = strokes((15, 60), "DOE JANE", 24, 160)
    film[36:56, letters] = 128
    found = search_stack(film, finder)
    for boxes in found.boxes[36:56]:
        assert mask(boxes, 160, 160)[letters].mean() > 0.9


@pytest.mark.parametrize("seed", [3, 108])
def test_a_clean_series_keeps_its_pixels(finder: Finder, seed: int) -> None:
    """The least over all slices of a chest looks like one large letter."""
    found = search_stack(stored(seed, SIZE, 40), finder)
    assert not found.remains
    assert not found.found


@pytest.mark.parametrize("run", [1, 3, 8])
def test_a_short_run_of_slices_with_strokes_is_noticed(
    series: NDArray[np.uint16], run: int
) -> None:
    planted = series.copy()
    planted[90 : 90 + run, strokes((20, 60))] = 3000
    odd = odd_slices(planted, [])
    noticed = {90, 89 + run} & set(odd)
    assert noticed
    assert any(mask([odd[i]], SIZE, SIZE)[strokes((20, 60))].all() for i in noticed)


def test_few_slices_of_a_clean_series_are_searched_by_themselves(
    series: NDArray[np.uint16],
) -> None:
    """Only time is lost on them; a short stack of small slices has more of them than a long one."""
    assert len(odd_slices(series, [])) <= FRAMES * 0.2


@pytest.mark.parametrize("shape", [(1, 40, 50), (2, 40, 50), (3, 40, 50, 3), (6, 40, 50, 3)])
def test_small_stacks_and_colour_pass(finder: Finder, shape: tuple[int, ...]) -> None:
    pictures: NDArray[Any] = np.zeros(shape, np.uint8)
    assert search_stack(pictures, finder).boxes == [[]] * shape[0]
