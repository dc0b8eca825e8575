"""Whether the medical encoder sees what it is there for.

    python benchmarks/medical.py DATA [WEIGHTS]

1. Findings: AUC on `val` of the bundled `mfm_tiny` (or of WEIGHTS) less that of a linear probe
   (logistic regression) on the frozen ImageNet network, with its interval over patients. The probe
   is fitted on what the heads were, `train` of all sets that know the finding. Pneumonia on
   DATA/kermany also with both fitted on kermany alone, and with the head as it is beside a probe of
   kermany alone.
2. Lesions: phantom X-rays with an opacity that is added, and one that is erased, in five steps;
   `utility` has to fall at each.

Exit status 1 where a lesion does not count, or the encoder is not ahead on kermany of the probe
that was fitted on the same images, be it on all sets or on kermany alone. About five minutes on two
cores.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from deid.phantoms.xray import chest_xray
from deid.risk.utility import utility
from mami_core.data import Dataset, Record, open_dataset, square
from mami_core.evaluation import auc
from mami_core.evaluation.embed import Embedder, in_batches
from mami_core.evaluation.yardsticks import LAST, imagenet
from mami_core.training import finding_heads
from mami_core.weights import Weights, load

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
    """Print AUC by encoder and probe, and the difference: pneumonia on kermany, then findings."""
    whole = Dataset.join([open_dataset(folder / name) for name in SETS])
    network, medical = imagenet("cpu"), load(weights)
    names = medical.facts["findings"]
    parts = [whole.select(lambda record, name=name: record.split == name) for name in SPLITS]  # type: ignore[misc]
    seen = [_Seen.of(part, network, medical) for part in parts]

    def row(name: str, source: str, of: str, *, probe: str, head: str | None = None) -> float:
        """Both on images of `source`, fitted on those of `probe` and of `head` ("" is all)."""
        column = names.index(name)
        tested = _known(seen[1].records, name, source)
        truth = _truth(seen[1].records, tested, name)
        ours = seen[1].logits[tested, column]
        if head is not None:
            rows = _known(seen[0].records, name, head)
            people = [seen[0].records[one].person for one in rows]
            weight, _ = finding_heads.fit(
                seen[0].keys[rows], _truth(seen[0].records, rows, name), people
            )
            ours = seen[1].keys[tested] @ weight
        rows = _known(seen[0].records, name, probe)
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        fitted.fit(seen[0].frozen[rows], _truth(seen[0].records, rows, name))
        theirs = fitted.decision_function(seen[1].frozen[tested])
        people = ["/".join(seen[1].records[one].person) for one in tested]
        apart, low, high = difference(ours, theirs, truth, people)
        one, other = (auc(x[truth == 1], x[truth == 0]) for x in (ours, theirs))
        print(
            f"{name:20} {of:24} {int(truth.sum()):4} of {len(people):4}: "
            f"{one:.4f}, probe {other:.4f}, difference {apart:+.4f} ({low:+.4f} to {high:+.4f})"
        )
        return low

    ahead = [
        row(FINDING, "kermany", "kermany, fitted on all", probe=""),
        row(FINDING, "kermany", "kermany, fitted on it", probe="kermany", head="kermany"),
    ]
    row(FINDING, "kermany", "kermany, probe on it", probe="kermany")
    for name in names:
        row(name, "", "all", probe="")
    return min(ahead) > 0


@dataclass(frozen=True)
class _Seen:
    """What both see of the images of one split."""

    records: Sequence[Record]
    frozen: Array
    keys: Array
    logits: Array

    @classmethod
    def of(cls, part: Dataset, network: Embedder, medical: Weights) -> _Seen:
        """Look at them."""

        def told(pictures: Tensor) -> Tensor:
            seen = medical.model(pictures)
            return torch.cat([seen.keys.flatten(1), seen.logits], dim=1)

        rows = in_batches(told, "cpu")(part.squares(medical.facts["image"])).astype(np.float64)
        findings = len(medical.facts["findings"])
        frozen = network.embed(part.squares(network.size))[:, -LAST:].astype(np.float64)
        return cls(part.records, frozen, rows[:, :-findings], rows[:, -findings:])


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
