"""How well burned-in text is found, what is blanked for nothing, and what it costs.

    python benchmarks/text.py FOLDER

FOLDER holds `dicom-text` (DICOM files with overlays and the boxes of their strings) and `data`
(images without overlays). Prints figures; exit status 1 when one misses its bar.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from deid.phantoms.ct import ct_volume
from deid.phantoms.lettering import burn
from deid.text import Box, Finder, blank, search_single, search_stack
from deid.text.box import mask

COVERED, STACK = 0.98, 0.08


def main() -> int:
    """Run all parts; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--images", type=int, default=20, help="of each set without overlays")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    finder = Finder()
    bars = [
        overlays(options.folder / "dicom-text", finder),
        anatomy(options.folder / "data", finder, options.images),
        stack(finder, options.slices),
    ]
    return 0 if all(bars) else 1


def overlays(folder: Path, finder: Finder) -> bool:
    """The files with overlays: values covered, read again, withheld."""
    values = _values(folder / "boxes.csv")
    shares, areas, times, read_again, read_first, withheld = [], [], [], 0, 0, 0
    with zipfile.ZipFile(folder / "files.zip") as archive:
        for name in sorted(archive.namelist()):
            pixels = pydicom.dcmread(io.BytesIO(archive.read(name))).pixel_array
            start = time.process_time()
            found = search_single(pixels, finder)
            times.append(time.process_time() - start)
            withheld += found.remains
            if found.remains:
                continue
            area = mask(found.boxes[0], *pixels.shape)
            areas.append(area.mean())
            for _, box in values[name]:
                if box.clip(*pixels.shape) == box:
                    shares.append(area[box.y0 : box.y1, box.x0 : box.x1].mean())
                    if shares[-1] < 0.9:
                        print(f"  {name}: a value covered to {shares[-1]:.2f} only")
            words = {w.upper() for text, _ in values[name] for w in re.findall(r"\w{4,}", text)}
            if shutil.which("tesseract"):
                before, after = (_tesseract(p) for p in (pixels, blank(pixels, found.boxes[0])))
                read_first += sum(word in before for word in words)
                read_again += sum(word in after for word in words)
    covered = float(np.mean(np.array(shares) >= 0.9))
    print(
        f"overlays: {covered:.3f} of {len(shares)} values covered to 90 % of their area, "
        f"{withheld} of {len(times)} withheld, tesseract reads {read_first} words before and "
        f"{read_again} after; blanked {np.mean(areas):.3f} of the picture; "
        f"{np.mean(times):.2f} s of CPU a file"
    )
    return covered >= COVERED and read_again == 0


def anatomy(folder: Path, finder: Finder, count: int) -> bool:
    """The sets without overlays: what is blanked (X-rays have true markers), what is withheld."""
    for name in ("nih", "kermany", "odir", "tvhl", "siim_ct", "deeplesion"):
        areas, times, remains = [], [], 0
        for picture in _pictures(folder / name, count):
            start = time.process_time()
            found = search_single(picture, finder)
            times.append(time.process_time() - start)
            areas.append(mask(found.boxes[0], *picture.shape[:2]).mean())
            remains += found.remains
        print(
            f"{name}: blanked {np.mean(areas):.4f} of the picture (largest {np.max(areas):.3f}), "
            f"{sum(a > 0 for a in areas)} of {len(areas)} with a box, {remains} withheld; "
            f"{np.mean(times):.2f} s of CPU an image"
        )
    return True


def stack(finder: Finder, slices: int) -> bool:
    """A long series with text on all slices against a search of each."""
    hounsfield = ct_volume(3, 4, 512, slices)
    series = np.clip((hounsfield + 1024.0) / 8, 0, 255).astype(np.uint8)
    shares = []
    for words in ([], ["DOE^JANE 1970-03-12", "ID 4711882"]):
        written = series
        if words:
            written = np.stack([burn(picture, words)[0] for picture in series])
        start = time.process_time()
        found = search_stack(written, finder)
        whole = time.process_time() - start
        sample = written[:: max(slices // 10, 1)]
        start = time.process_time()
        for picture in sample:
            search_single(picture, finder)
        each = (time.process_time() - start) / len(sample) * slices
        area = np.mean([mask(boxes, 512, 512).mean() for boxes in found.boxes])
        shares.append(whole / each)
        print(
            f"series of {slices}, {'with' if words else 'without'} text: {whole:.1f} s of CPU, "
            f"slice by slice {each:.0f} s: {shares[-1]:.3f}; "
            f"blanked {area:.4f}, remains {found.remains}"
        )
    return max(shares) <= STACK


def _values(table: Path) -> dict[str, list[tuple[str, Box]]]:
    found = defaultdict(list)
    with table.open() as file:
        for row in csv.DictReader(file):
            if row["kind"] == "value" and row["text"]:
                box = Box(*(int(row[k]) for k in ("x0", "y0", "x1", "y1")))
                found[row["file"]].append((row["text"], box))
    return found


def _pictures(folder: Path, count: int) -> Iterator[NDArray[Any]]:
    with (folder / "manifest.csv").open() as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == "val"]
    with zipfile.ZipFile(folder / "images.zip") as archive:
        for name in names[:: max(len(names) // count, 1)][:count]:
            data = io.BytesIO(archive.read(name))
            if name.endswith(".dcm"):
                yield pydicom.dcmread(data).pixel_array
            else:
                yield np.asarray(Image.open(data))


def _tesseract(pixels: NDArray[Any]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        picture = Image.fromarray(pixels.astype(np.uint8))
        picture.resize((2 * picture.width, 2 * picture.height)).save(path)
        command = ["env", "OMP_THREAD_LIMIT=1", "tesseract", str(path), "-", "--psm", "11"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.upper()


if __name__ == "__main__":
    sys.exit(main())
