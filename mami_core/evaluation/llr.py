"""C_llr: what an attacker's scores are worth as likelihood ratios (Brümmer and du Preez, 2006).

``C_llr = 1/2 [mean over mated of log2(1 + 1/LR) + mean over impostors of log2(1 + LR)]``, in bits:
0 for an attacker who is always sure and right, 1 for one who says nothing, above 1 for one whose
likelihood ratios mislead.

The ratios are out of fold: a logistic regression of the score (two numbers, both kinds of pairs
weighing the same, targets smoothed as Platt has it so that it stays finite) is fitted on pairs of
other patients alone, and read on the pairs within a part of the patients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mami_core.evaluation.protocol import Pairs

Array = NDArray[np.float64]

#: Parts of the patients; each is calibrated by the others.
PARTS = 5
#: Mated patients that a calibration takes.
FEWEST = 10
STEPS = 30


def c_llr(folds: Sequence[Pairs], *, seed: int = 0) -> float:
    """C_llr within each fit, averaged by its mated patients; every patient weighs the same.

    Parameters
    ----------
    seed
        Of the division of patients into parts.

    Returns
    -------
    NaN where a calibration would stand on fewer than `FEWEST` mated patients, or a part of the
    patients has no pair of two of them.
    """
    mated = [np.unique(fold.mated_patient).size for fold in folds]
    return float(np.average([_within(fold, seed) for fold in folds], weights=mated))


def _within(found: Pairs, seed: int) -> float:
    part = _parts(found, seed)
    own = part[found.mated_patient]
    left, right = (part[side] for side in found.impostor_patients)
    sums = np.zeros(2)
    weights = np.zeros(2)
    for number in range(PARTS):
        others, outside = own != number, (left != number) & (right != number)
        inside = (left == number) & (right == number)
        if np.unique(found.mated_patient[others]).size < FEWEST or not inside.any():
            return float("nan")
        if not outside.any():
            return float("nan")
        slope, offset = calibration(
            found.mated[others],
            found.impostor[outside],
            found.mated_weight[others],
            found.impostor_weight[outside],
        )
        kinds = (
            (found.mated[~others], found.mated_weight[~others], -1.0),
            (found.impostor[inside], found.impostor_weight[inside], 1.0),
        )
        for kind, (scores, weight, sign) in enumerate(kinds):
            bits = np.logaddexp(0.0, sign * (slope * scores + offset)) / np.log(2.0)
            sums[kind] += weight @ bits
            weights[kind] += weight.sum()
    return float((sums / weights).mean())


def _parts(found: Pairs, seed: int) -> NDArray[np.intp]:
    """The part of each patient; those with mates are spread evenly."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(found.people)
    mated = np.zeros(found.people, dtype=bool)
    mated[found.mated_patient] = True
    order = np.concatenate([order[mated[order]], order[~mated[order]]])
    part = np.empty(found.people, dtype=np.intp)
    part[order] = np.arange(found.people) % PARTS
    return part


def calibration(
    mated: Array, impostor: Array, mated_weight: Array, impostor_weight: Array
) -> tuple[float, float]:
    """Slope and offset that make log likelihood ratios of scores.

    Parameters
    ----------
    mated, impostor
        Scores ``(m,)`` and ``(k,)`` with their weights; the sum of a side's weights is how many
        patients, or pairs of patients, it stands for.
    """
    scores = np.concatenate([mated, impostor])
    centre, width = float(scores.mean()), float(scores.std()) or 1.0
    table = np.stack([(scores - centre) / width, np.ones_like(scores)], axis=1)
    sides = (mated_weight, impostor_weight)
    weight = np.concatenate([side / side.sum() for side in sides])
    many = [float(side.sum()) for side in sides]
    target = np.concatenate(
        [
            np.full(mated.size, (many[0] + 1.0) / (many[0] + 2.0)),
            np.full(impostor.size, 1.0 / (many[1] + 2.0)),
        ]
    )
    found = np.zeros(2)
    for _ in range(STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(table @ found, -500.0, 500.0)))
        slope = table.T @ (weight * (chance - target))
        bend = (table * (weight * chance * (1.0 - chance))[:, None]).T @ table
        step = np.linalg.solve(bend + 1e-10 * np.eye(2), slope)
        # Far off, a step of Newton's would overshoot.
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        found = found - step
        if np.abs(step).max() < 1e-10:
            break
    return float(found[0] / width), float(found[1] - found[0] * centre / width)
