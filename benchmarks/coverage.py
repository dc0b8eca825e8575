"""Whether AUC's interval covers the truth: `python benchmarks/coverage.py [SIMULATIONS [PATIENTS]]`

Draws worlds of patients with two images each (a direction a patient, more or less marked,
and noise an image), whose AUC among all people is known, and looks how often the audit's interval
(`mami_core.evaluation.verification`) holds it, and how wide it is beside the interval that the
estimates themselves fill. Exit status 1 where a bound is not kept: coverage of at least 0.93 for
AUC up to 0.90 at 50 patients and up to 0.95 at 200, at a mean width of at most 1.25 times that of
the estimates.

Measured on one core that others shared (2026-11), by `python benchmarks/coverage.py` (480
simulations, 11 minutes) and, for 50 patients, `python benchmarks/coverage.py 2000 50` (5 minutes).
Coverage (± at 95 %), and mean width over that of the estimates:

    AUC    20 patients          50 patients          200 patients
    0.70   0.935 ± 0.022  1.01  0.951 ± 0.010  1.01  0.942 ± 0.021  0.97
    0.80   0.938 ± 0.022  1.09  0.948 ± 0.010  1.00  0.940 ± 0.021  0.97
    0.90   0.952 ± 0.019  1.27  0.944 ± 0.010  1.03  0.956 ± 0.018  1.00
    0.95   0.975 ± 0.014  2.00  0.933 ± 0.011  1.16  0.952 ± 0.019  1.04
    0.99   0.965 ± 0.017  10.4  0.897 ± 0.013  3.38  0.919 ± 0.024  1.21

The bounds are kept. Near AUC 1 with few patients the interval is far too wide, or a little short
of what it says: some resamples are perfect there, and the logit of 1 has no end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mami_core.data import Record
from mami_core.evaluation import auc, pairs, verification
from mami_core.evaluation.protocol import Pairs, normalised

PATIENTS = (20, 50, 200)
TRUTHS = (0.7, 0.8, 0.9, 0.95, 0.99)
#: Largest AUC, by number of patients, for which the bounds hold.
HOLDS = {20: 0.0, 50: 0.9, 200: 0.95}
COVERAGE, WIDTH = 0.93, 1.25
DIMENSIONS = 24

Array = NDArray[np.float64]


def people(count: int, strength: float, generator: np.random.Generator) -> tuple[Array, Array]:
    """Embeddings ``(n, d)`` and whose they are; patients differ in how marked they are."""
    whose = np.repeat(np.arange(count), 2)
    marked = strength * generator.gamma(4.0, 0.25, count)[:, None]
    faces = marked * generator.normal(size=(count, DIMENSIONS))
    return faces[whose] + generator.normal(size=(len(whose), DIMENSIONS)), whose


def compared(count: int, strength: float, generator: np.random.Generator) -> Pairs:
    """The pairs of one world."""
    rows, whose = people(count, strength, generator)
    records = [
        Record("", str(person), "world", subject=str(person), unit=str(visit))
        for visit, person in enumerate(whose)
    ]
    return pairs(rows, records)


def truth(strength: float, count: int = 100_000) -> float:
    """AUC among all people: each patient's two images beside each and the next patient's."""
    generator = np.random.default_rng(0)
    marked = strength * generator.gamma(4.0, 0.25, (count, 1))
    faces = marked * generator.normal(size=(count, DIMENSIONS))
    one, two = (normalised(faces + generator.normal(size=faces.shape)) for _ in range(2))
    mated = np.einsum("nd,nd->n", one, two)
    impostor = np.concatenate(
        [np.einsum("nd,nd->n", one, np.roll(two, step, axis=0)) for step in (1, 2, 3)]
    )
    return auc(mated, impostor)


def strength_of(wanted: float) -> float:
    """How marked people are whose AUC is `wanted`."""
    low, high = 0.0, 8.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if truth(middle) < wanted else (low, middle)
    return (low + high) / 2


def main(simulations: int, patients: Sequence[int]) -> int:
    """Print coverage and width; 1 where a bound is not kept."""
    start, kept = time.perf_counter(), True
    strengths = {wanted: strength_of(wanted) for wanted in TRUTHS}
    print("patients   AUC  coverage  (+-)  width  width of estimates  ratio")
    for count in patients:
        for wanted, strength in strengths.items():
            found = [
                verification(compared(count, strength, np.random.default_rng((count, seed))))
                for seed in range(simulations)
            ]
            holds = np.mean([one.low <= wanted <= one.high for one in found])
            width = float(np.mean([one.high - one.low for one in found]))
            low, high = np.quantile([one.value for one in found], [0.025, 0.975])
            ratio, spread = width / (high - low), 1.96 * np.sqrt(holds * (1 - holds) / simulations)
            bound = wanted <= HOLDS[count]
            fails = bound and (holds < COVERAGE or ratio > WIDTH)
            kept &= not fails
            print(
                f"{count:8} {wanted:5.2f} {holds:9.3f} {spread:5.3f} {width:6.3f} "
                f"{high - low:19.3f} {ratio:6.2f}{' FAILS' if fails else ' held' if bound else ''}",
                flush=True,
            )
    print(f"{simulations} simulations a row, {time.perf_counter() - start:.0f} s")
    return int(not kept)


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    sys.exit(main(given[0] if given else 480, given[1:] or PATIENTS))
