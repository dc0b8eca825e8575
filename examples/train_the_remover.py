"""Fit the remover to a site's own images, and read what it does there.

python examples/train_the_remover.py DATA OUTPUT [MINUTES]

DATA is a folder with a manifest.csv, or one with a sub-folder a patient.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mami_core.data import open_dataset
from mami_core.training import train_unet
from mami_core.weights import facts_of


def main(data: str, output: str, minutes: float = 30.0) -> Path:
    """Train, print the curve measured on `val`, and return the path of the weights."""
    path = train_unet([open_dataset(data)], Path(output), max_minutes=minutes)
    facts = facts_of(path)
    for modality, points in facts["curve"].items():
        for point in points:
            found = {
                source: round(figure["value"], 3) for source, figure in point["outer_rank1"].items()
            }
            print(
                f"{modality} at strength {point['strength']:.2f}: "
                f"utility {point['utility']:.3f}, rank-1 of originals {found}"
            )
    print("default strength:", facts["strength"])
    return path


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(float, sys.argv[3:4]))
