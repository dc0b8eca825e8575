"""Real overlays: covered, and gone for another reader."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image

from deid.text import Box, Finder, blank, search_single
from deid.text.box import mask

pytestmark = pytest.mark.skipif(not Finder.available(), reason="rapidocr is not installed")

#: The hardest of each kind; benchmarks/text.py runs all 38.
FILES = ["ct_02", "ct_09", "ct_36", "mg_16", "mr_25", "mr_32"]


@pytest.fixture(scope="module")
def values(shared: Path) -> dict[str, list[tuple[str, Box]]]:
    """The strings that must go; boxes.csv has boxes beyond the picture and empty ones too."""
    found = defaultdict(list)
    with (shared / "dicom-text" / "boxes.csv").open() as file:
        for row in csv.DictReader(file):
            if row["kind"] == "value" and row["text"]:
                box = Box(*(int(row[k]) for k in ("x0", "y0", "x1", "y1")))
                found[row["file"]].append((row["text"], box))
    return found


@pytest.fixture(scope="module")
def done(shared: Path) -> dict[str, tuple[NDArray[Any], list[Box], bool]]:
    finder, result = Finder(), {}
    with zipfile.ZipFile(shared / "dicom-text" / "files.zip") as archive:
        for name in FILES:
            pixels = pydicom.dcmread(io.BytesIO(archive.read(f"{name}.dcm"))).pixel_array
            found = search_single(pixels, finder)
            result[f"{name}.dcm"] = pixels, found.boxes[0], found.remains
    return result


def test_none_of_the_overlays_is_withheld(
    done: dict[str, tuple[NDArray[Any], list[Box], bool]],
) -> None:
    assert not any(remains for _, _, remains in done.values())


def test_the_values_are_covered(
    done: dict[str, tuple[NDArray[Any], list[Box], bool]],
    values: dict[str, list[tuple[str, Box]]],
) -> None:
    shares = []
    for name, (pixels, boxes, _) in done.items():
        area = mask(boxes, *pixels.shape)
        for _, box in values[name]:
            if box.clip(*pixels.shape) == box:
                shares.append(area[box.y0 : box.y1, box.x0 : box.x1].mean())
    assert len(shares) > 25
    assert np.mean(np.array(shares) >= 0.9) >= 0.98


def test_most_of_the_picture_stays(
    done: dict[str, tuple[NDArray[Any], list[Box], bool]],
) -> None:
    assert all(mask(boxes, *pixels.shape).mean() < 0.25 for pixels, boxes, _ in done.values())


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_another_reader_reads_no_value_again(
    done: dict[str, tuple[NDArray[Any], list[Box], bool]],
    values: dict[str, list[tuple[str, Box]]],
    tmp_path: Path,
) -> None:
    read_before = 0
    for name, (pixels, boxes, _) in done.items():
        words = {w.upper() for text, _ in values[name] for w in re.findall(r"\w{4,}", text)}
        part = around([box for _, box in values[name]])
        before, after = (read(p[part], tmp_path) for p in (pixels, blank(pixels, boxes)))
        read_before += sum(word in before for word in words)
        assert not [word for word in words if word in after]
    assert read_before > 5


def around(boxes: list[Box]) -> tuple[slice, slice]:
    """Where the values stand, with room for what may be left of them: tesseract is slow."""
    x0, y0 = (
        max(min(corner) - 40, 0) for corner in zip(*((b.x0, b.y0) for b in boxes), strict=True)
    )
    x1, y1 = (max(corner) + 40 for corner in zip(*((b.x1, b.y1) for b in boxes), strict=True))
    return slice(y0, y1), slice(x0, x1)


def read(pixels: NDArray[Any], folder: Path) -> str:
    path = folder / "picture.png"
    picture = Image.fromarray(pixels.astype(np.uint8))
    picture.resize((2 * picture.width, 2 * picture.height)).save(path)
    command = ["env", "OMP_THREAD_LIMIT=1", "tesseract", str(path), "-", "--psm", "11"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.upper()
