"""Whether the medical encoder sees what it is there for.

    python benchmarks/medical.py DATA [WEIGHTS]

1. Pneumonia on DATA/kermany, split `val`: AUC of the bundled `mfm_tiny` (or of WEIGHTS) less that
   of a linear probe (logistic regression fitted on `train`) on the frozen ImageNet network, with
   its interval over patients; and every other finding, over all sets that know it.
2. Lesions: phantom X-rays with an opacity that is added, and one that is erased, in five steps;
   `utility` has to fall at each.

Exit status 1 where one does not hold. About five minutes on two cores. 2026-11: utility fell at
every step of every phantom; pneumonia on kermany 0.990 against 0.984, difference +0.005 (-0.003 to
0.016), on kermany and nih +0.015 (0.002 to 0.028); the others are in the card of `mfm_tiny`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deid.phantoms.xray import chest_xray
from deid.risk.utility import utility
from mami_core.data import Dataset, Record, open_dataset, square
from mami_core.evaluation import auc
from mami_core.evaluation.embed import in_batches
from mami_core.evaluation.yardsticks import LAST, imagenet
from mami_core.weights import load

FINDING, RESAMPLES = "xray:Pneumonia", 1000
SETS, SPLITS = ("nih", "kermany", "odir", "tvhl"), ("train", "val")
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
SEEDS = range(12)

Array = NDArray[np.float64]


def difference(scores: Array, others: Array, truth: Array, people: list[str]) -> tuple[float, ...]:
    """AUC of the first less AUC of the second, and the 95 % interval over patients."""
    names = sorted(set(people))
    who = np.searchsorted(names, people)

    def figure(times: Array) -> float:
        weight = times[who]
        sick = truth == 1
        areas = [
            auc(one[sick], one[~sick], weight[sick], weight[~sick]) for one in (scores, others)
        ]
        return areas[0] - areas[1]

    random = np.random.default_rng(0)
    even = np.full(len(names), 1.0 / len(names))
    drawn = [
        figure(random.multinomial(len(names), even).astype(np.float64)) for _ in range(RESAMPLES)
    ]
    return figure(np.ones(len(names))), *np.quantile(drawn, (0.025, 0.975))


def against_probes(folder: Path, weights: str) -> bool:
    """Print both AUCs of each finding and their difference; pneumonia on kermany first."""
    whole = Dataset.join([open_dataset(folder / name) for name in SETS])
    network, medical = imagenet("cpu"), load(weights)
    logits_of = in_batches(lambda pictures: medical.model(pictures).logits, "cpu")
    parts = [whole.select(lambda record, name=name: record.split == name) for name in SPLITS]  # type: ignore[misc]
    frozen = [network.embed(part.squares(network.size))[:, -LAST:] for part in parts]
    logits = logits_of(parts[1].squares(medical.facts["image"])).astype(np.float64)
    names = medical.facts["findings"]
    ahead = False
    for source, name in [("kermany", FINDING), *(("", name) for name in names)]:
        known = [_known(part.records, name, source) for part in parts]
        truths = [_truth(part.records, rows, name) for part, rows in zip(parts, known, strict=True)]
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        probe.fit(frozen[0][known[0]], truths[0])
        scores = logits[known[1], names.index(name)]
        others = probe.decision_function(frozen[1][known[1]])
        people = ["/".join(parts[1].records[row].person) for row in known[1]]
        ours, theirs = (auc(x[truths[1] == 1], x[truths[1] == 0]) for x in (scores, others))
        apart, low, high = difference(scores, others, truths[1], people)
        print(
            f"{name:20} {source or 'all':8} {int(truths[1].sum()):4} of {len(people):4}: "
            f"{ours:.4f}, probe {theirs:.4f}, difference {apart:+.4f} ({low:+.4f} to {high:+.4f})"
        )
        ahead |= bool(source) and low > 0
    return ahead


def _known(records: Sequence[Record], name: str, source: str) -> list[int]:
    """Rows of images of which the finding is known; of all sources where none is named."""
    modality, finding = name.split(":")
    return [
        row
        for row, record in enumerate(records)
        if record.modality == modality
        and finding in record.findings
        and source in ("", record.source)
    ]


def _truth(records: Sequence[Record], rows: Sequence[int], name: str) -> Array:
    """1 and 0 of each."""
    finding = name.split(":")[1]
    return np.array([records[row].findings[finding] for row in rows], dtype=np.float64)


def lesions(weights: str) -> bool:
    """Print mean utility by the share of an opacity that is there, or gone."""
    medical = load(weights)
    size, zero = medical.facts["image"], medical.facts["zero"]["xray"]
    rows: dict[str, list[list[float]]] = {"added": [], "erased": []}
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    for seed in SEEDS:
        clear = chest_xray(seed, 1)
        random = np.random.default_rng(seed)
        side, height = random.choice([-0.35, 0.35]), random.uniform(-0.25, 0.2)
        cloud = 0.45 * np.exp(-((x - side) ** 2 + (y - height) ** 2) / (2 * 0.12**2))
        shown = [np.clip(clear + step * cloud, 0.0, 1.0).astype(np.float32) for step in STEPS]
        pictures = torch.from_numpy(np.stack([square(one, size) for one in shown]))
        with torch.inference_mode():
            keys = medical.model(pictures).keys.numpy()
        rows["added"].append([utility(keys[0], one, zero) for one in keys])
        rows["erased"].append([utility(keys[-1], one, zero) for one in keys[::-1]])
    falls = True
    for name, figures in rows.items():
        means = np.mean(figures, axis=0)
        print(
            f"{name:7} " + "  ".join(f"{s:.2f}: {m:.3f}" for s, m in zip(STEPS, means, strict=True))
        )
        falls &= bool((np.diff(figures, axis=1) < 0).all())
    print(
        "utility falls at every step of every phantom" if falls else "utility does not always fall"
    )
    return falls


def main() -> int:
    """Both; 1 where one does not hold."""
    if len(sys.argv) not in (2, 3):
        sys.exit("give the folder of the data sets, and weights if not the bundled ones")
    weights = sys.argv[2] if len(sys.argv) == 3 else "mfm_tiny"
    held = [lesions(weights), against_probes(Path(sys.argv[1]), weights)]
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
