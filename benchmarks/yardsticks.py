"""Whether the untrained rows of `deid evaluate` are what they were measured to be.

    python benchmarks/yardsticks.py DATA

Reads DATA/nih and DATA/kermany, split `val`, prints AUC and rank-1 of `frozen` and `whiten`; exit
status 1 where an AUC has moved by more than `MAY_MOVE`. One to five minutes on two cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mami_core.data import open_dataset
from mami_core.evaluation import figures
from mami_core.evaluation.yardsticks import imagenet, yardsticks

#: AUC, measured in 2026-11.
MEASURED = {
    "nih": {"frozen": 0.923, "whiten": 0.947},
    "kermany": {"frozen": 0.786, "whiten": 0.935},
}
MAY_MOVE = 0.01


def main() -> int:
    """Print the figures; 1 where one has moved."""
    if len(sys.argv) != 2:
        sys.exit("give the folder of the data sets")
    network, moved = imagenet("cpu"), False
    for source, measured in MEASURED.items():
        whole = open_dataset(Path(sys.argv[1]) / source)
        part = whole.select(lambda record: record.split == "val")
        rows, _ = yardsticks(network, part, whole)
        for name, before in measured.items():
            found = figures(rows[name], part.records)
            if found is None:
                sys.exit(f"nothing to score in {source}")
            print(
                f"{source:8} {name:7} AUC {found.auc.value:.3f} (was {before:.3f}), "
                f"rank-1 {found.rank1.value:.3f}, {found.rank1.patients} patients"
            )
            moved |= abs(found.auc.value - before) > MAY_MOVE
    return int(moved)


if __name__ == "__main__":
    sys.exit(main())
