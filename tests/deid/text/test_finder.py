"""The finder sees text of any grey level and leaves anatomy alone."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deid.phantoms import chest_xray
from deid.text import Box, Finder, blank, search_single
from deid.text.box import mask

pytestmark = pytest.mark.skipif(not Finder.available(), reason="rapidocr is not installed")


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder()


def letters(shape: tuple[int, int], at: tuple[int, int], height: int) -> NDArray[np.bool_]:
    canvas = Image.new("L", shape[::-1])
    draw = ImageDraw.Draw(canvas)
    draw.text(at, "DOE JANE 1970-03-12", 255, ImageFont.load_default(height))
    return np.asarray(canvas) > 110


def soft_picture(shape: tuple[int, int] = (256, 300), seed: int = 1) -> NDArray[np.float64]:
    """A bright oval with noise on black, 0..1."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = ((y / shape[0] - 0.5) ** 2 + (x / shape[1] - 0.5) ** 2) < 0.16
    noise = np.random.default_rng(seed).normal(0, 0.01, shape)
    return np.clip(0.5 * inside + noise, 0, 1)


def covered(boxes: list[Box], strokes: NDArray[np.bool_]) -> float:
    return float(mask(boxes, *strokes.shape)[strokes].mean())


@pytest.mark.parametrize(
    ("kind", "scale", "offset", "level", "at"),
    [
        ("uint8", 255, 0, 255, (90, 120)),
        ("uint8", 255, 0, 60, (10, 8)),
        ("uint16", 4095, 0, 4095, (90, 120)),
        ("int16", 2000, -1024, 255, (10, 8)),
        ("uint16", 600, 0, 200, (90, 120)),
        ("float32", 1, 0, 1, (10, 8)),
    ],
)
def test_small_text_is_found_whatever_the_type_and_the_grey_level(
    finder: Finder, kind: str, scale: float, offset: float, level: float, at: tuple[int, int]
) -> None:
    picture = (soft_picture() * scale + offset).astype(kind)
    strokes = letters(picture.shape, at, 11)
    picture[strokes] = level
    assert covered(finder.find(picture), strokes) > 0.99


def test_text_beside_an_extreme_value_is_found(finder: Finder) -> None:
    """Metal or a padding value takes the whole range; the text is within a hundredth of it."""
    picture = (soft_picture() * 1000).astype(np.int32)
    picture[200:204, 200:204] = 60000
    strokes = letters(picture.shape, (40, 100), 14)
    picture[strokes] = 700
    assert covered(finder.find(picture), strokes) > 0.99


def test_coloured_text_is_found(finder: Finder) -> None:
    picture = np.repeat((soft_picture() * 200).astype(np.uint8)[..., None], 3, axis=2)
    strokes = letters(picture.shape[:2], (60, 60), 14)
    picture[strokes] = (250, 220, 0)
    assert covered(finder.find(picture), strokes) > 0.99


def chest(size: int = 256) -> NDArray[np.uint8]:
    """A phantom in which even bone leaves room above it."""
    return np.rint(chest_xray(3, 0, size) * 180).astype(np.uint8)


def turned(shape: tuple[int, int], words: str, height: int, angle: float) -> NDArray[np.bool_]:
    """Letters in the middle, at an angle."""
    canvas = Image.new("L", shape[::-1])
    middle = (shape[1] / 2, shape[0] / 2)
    font = ImageFont.load_default(height)
    ImageDraw.Draw(canvas).text(middle, words, 255, font, anchor="mm")
    return np.asarray(canvas.rotate(angle, Image.Resampling.BICUBIC)) > 110


@pytest.mark.parametrize("angle", [45, 60, 90, 135, 225])
def test_text_at_any_angle_is_found_and_little_else_goes(finder: Finder, angle: int) -> None:
    picture = chest()
    strokes = turned(picture.shape, "DOE JANE 1970-03-12", 14, angle)
    picture[strokes] = 250
    found = finder.find(picture)
    assert covered(found, strokes) > 0.99
    assert mask(found, *picture.shape).mean() < 0.3
    assert not finder.legible(blank(picture, found), found)


@pytest.mark.parametrize(("height", "angle"), [(90, 0), (80, 45)])
def test_text_as_high_as_a_third_of_the_picture_is_found(
    finder: Finder, height: int, angle: int
) -> None:
    picture = chest()
    strokes = turned(picture.shape, "DOE", height, angle)
    picture[strokes] = 250
    assert covered(finder.find(picture), strokes) > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (33, 31)])
def test_odd_shapes_pass(finder: Finder, shape: tuple[int, int]) -> None:
    assert finder.find(np.zeros(shape, np.uint8)) == []


@pytest.mark.parametrize("value", [0, 255, np.nan])
def test_a_flat_picture_has_no_text(finder: Finder, value: float) -> None:
    assert not search_single(np.full((64, 64), value, np.float32), finder).found


def test_the_same_picture_gives_the_same_boxes(finder: Finder) -> None:
    picture = (soft_picture() * 255).astype(np.uint8)
    picture[letters(picture.shape, (30, 30), 12)] = 255
    assert finder.find(picture) == Finder().find(picture)


def rows_of(folder: Path, count: int) -> list[str]:
    with (folder / "manifest.csv").open() as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == "val"]
    return names[:: len(names) // count][:count]


@pytest.mark.parametrize(("name", "most"), [("nih", 0.02), ("kermany", 0.01), ("odir", 0.0)])
def test_anatomy_is_left_alone(finder: Finder, shared: Path, name: str, most: float) -> None:
    """X-rays have real markers, which go; fundus photos have no letter."""
    folder = shared / "data" / name
    areas = []
    with zipfile.ZipFile(folder / "images.zip") as archive:
        for file in rows_of(folder, 3):
            picture: NDArray[Any] = np.asarray(Image.open(io.BytesIO(archive.read(file))))
            found = search_single(picture, finder)
            assert not found.remains
            areas.append(mask(found.boxes[0], *picture.shape[:2]).mean())
    assert np.mean(areas) <= most


@pytest.mark.parametrize("index", [0, 1])
def test_text_a_tenth_brighter_than_tissue_is_found(
    finder: Finder, shared: Path, index: int
) -> None:
    folder = shared / "data" / "nih"
    with zipfile.ZipFile(folder / "images.zip") as archive:
        data = archive.read(rows_of(folder, 3)[index])
    picture = np.asarray(Image.open(io.BytesIO(data)))
    strokes = turned(picture.shape, "DOE JANE 1970-03-12", 30, 0)
    written = np.where(strokes, picture + np.minimum(12, 255 - picture), picture)
    assert covered(finder.find(written), strokes) > 0.99
