"""What the last layer of an identity encoder should read, by sets that it was not fitted on.

    python benchmarks/left_out.py DATA [WEIGHTS]

DATA holds the sets of `mami_tiny`. For each choice of `Config.last` the layer of WEIGHTS (or
`mami_tiny`) is fitted anew, on all sets and without each of them; printed is AUC and rank-1 on
`val` of the set, and what a choice finds more than the first, paired. All below the layer stays:
it may have seen people of the set's `train`. Eight minutes on two cores; the figures of 2026-11 are
in the card of `mami_tiny`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mami_core.data import Dataset, open_dataset
from mami_core.evaluation import figures
from mami_core.evaluation.difference import both, difference
from mami_core.models.encoder import LAST, MaMI
from mami_core.training import last_layer
from mami_core.training.batches import REGIONS, parts
from mami_core.training.recognised import Seen, seen
from mami_core.weights import load

SETS = ("nih", "kermany", "odir", "tvhl", "lidc", "openkbp")
#: Of which `val` has patients enough to tell.
JUDGED = ("nih", "kermany", "odir", "lidc")


def features(weights: MaMI, data: Dataset, last: str) -> Seen:
    """What a last layer may read of images."""
    model = MaMI(replace(weights.config, last=last, own=(), sets=()))
    kept = {k: v for k, v in weights.state_dict().items() if not k.startswith(last_layer.PARTS)}
    model.load_state_dict(kept, strict=False)
    with torch.no_grad():
        return seen(model, data)


def embedded(
    weights: MaMI, last: str, fitted: Seen, data: Dataset, judged: Seen
) -> NDArray[np.float32]:
    """Images by a last layer that was fitted on others, by the map of all modalities alone."""
    model = MaMI(replace(weights.config, last=last, own=(), sets=()))
    last_layer.fit_common(model, fitted, data.records)
    read, pooled = (torch.from_numpy(one).float() for one in (judged.read, judged.pooled))
    with torch.no_grad():
        found: NDArray[np.float32] = model.last(read, pooled).numpy()
    return found


def main(data: str, weights: str = "mami_tiny") -> None:
    """Print a line a set, choice and fit."""
    model = load(weights).model
    train, val = parts(Dataset.join([open_dataset(Path(data) / name) for name in SETS]), REGIONS)
    told = {last: (features(model, train, last), features(model, val, last)) for last in LAST}
    for source in JUDGED:
        rows = [row for row, one in enumerate(val.records) if one.source == source]
        records = [val.records[row] for row in rows]
        for out in ((), (source,)):
            kept = [row for row, one in enumerate(train.records) if one.source not in out]
            part = train.select(lambda one, out=out: one.source not in out)  # type: ignore[misc]
            by = {
                last: embedded(model, last, mine[kept], part, theirs[rows])
                for last, (mine, theirs) in told.items()
            }
            for last, rows_of in by.items():
                found, pair = figures(rows_of, records), both(rows_of, by[LAST[0]], records)
                assert found is not None
                assert pair is not None
                more = difference([pair]).auc
                print(
                    f"{source:8} {'left out' if out else 'with it':8} {last:5} "
                    f"AUC {found.auc.value:.3f}, rank-1 {found.rank1.value:.3f}; beside "
                    f"'{LAST[0]}' {more.value:+.3f} ({more.low:+.3f} to {more.high:+.3f})",
                    flush=True,
                )


if __name__ == "__main__":
    main(*sys.argv[1:])
