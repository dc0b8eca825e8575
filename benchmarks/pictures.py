"""What a picture is taken for whose header says nothing: `python benchmarks/pictures.py DATA`

DATA holds the packed sets. One line a set of `val` (every n-th image where there are many), and one
for drawn pictures of nothing in particular, none of which is ours.

Measured (2026-11): of 855 pictures 851 right, none wrong, 4 of lidc rejected; of 18 drawn ones
grain was taken for a chest CT and two plain discs for fundus photos.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deid.scrub.look import squares
from deid.scrub.models import Models
from deid.scrub.options import Options
from mami_core.data import open_dataset

#: What a set's pictures are, and which share of them is looked at.
SETS = {
    "nih": (("xray", "chest"), 2),
    "kermany": (("xray", "chest"), 5),
    "odir": (("fundus", "eye"), 3),
    "tvhl": (("fundus", "eye"), 1),
    "lidc": (("ct", "chest"), 1),
    "openkbp": (("ct", "head"), 4),
}
SIDE = 256

Picture = NDArray[np.float32]


def main(data: str) -> None:
    """Print what is right, wrong and rejected."""
    models = Models(Options(input=Path(data), output=Path(data)))

    def taken_for(picture: Picture) -> tuple[str, str] | None:
        given = squares(np.asarray(picture, dtype=np.float32)[None], models.card.encoder)
        (found,) = models.ask([("classify", (given, None))])
        return found

    for name, (truth, step) in SETS.items():
        part = open_dataset(Path(data) / name).select(lambda one: one.split == "val")
        said = Counter(
            {True: "right", False: "wrong"}[found == truth] if found else "rejected"
            for found in (taken_for(part.picture(row)) for row in range(0, len(part), step))
        )
        print(f"{name}: {dict(said)}", flush=True)
    taken = {name: found for name, picture in drawn() if (found := taken_for(picture))}
    print(f"drawn pictures: {len(list(drawn()))}, taken for one of ours: {taken or 'none'}")


def drawn() -> Iterator[tuple[str, Picture]]:
    """Noise, blanks, gradients, patterns, discs and a page of text."""
    random = np.random.default_rng(1)
    down, right = np.mgrid[:SIDE, :SIDE].astype(np.float32) / (SIDE - 1)
    round_ = np.hypot(right - 0.5, down - 0.5)
    yield "noise", random.random((SIDE, SIDE))
    yield "coarse noise", random.random((SIDE // 2, SIDE // 2))
    yield "coloured noise", random.random((SIDE, SIDE, 3))
    yield "faint noise", 0.5 + 0.05 * random.standard_normal((SIDE, SIDE))
    yield "grain", cv2.GaussianBlur(random.random((SIDE, SIDE)), (0, 0), 2.0)
    for shade in (0.0, 0.5, 1.0):
        yield f"blank {shade}", np.full((SIDE, SIDE), shade)
    yield "gradient across", right
    yield "gradient down", down
    yield "squares", ((16 * right).astype(int) + (16 * down).astype(int)) % 2
    yield "stripes", 0.5 + 0.5 * np.sin(60.0 * right)
    yield "rings", 0.5 + 0.5 * np.sin(80.0 * round_)
    yield "clouds", cv2.resize(random.random((8, 8)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    coloured = cv2.resize(random.random((6, 6, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    yield "coloured clouds", coloured
    yield "disc", 0.6 * (round_ < 0.4)
    yield "coloured disc", (round_ < 0.4)[..., None] * np.array([0.8, 0.4, 0.2])
    page = np.full((SIDE, SIDE), 255, dtype=np.uint8)
    for line in range(10):
        spot = (5, 20 + 24 * line)
        cv2.putText(page, f"A line of text, {line}", spot, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 1)
    yield "page", page / 255.0


if __name__ == "__main__":
    main(*sys.argv[1:])
