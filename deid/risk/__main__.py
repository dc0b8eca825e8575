"""``python -m deid.risk WEIGHTS... DATA OUTPUT``: make the cohorts of encoders and check them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from deid.risk.build import SOURCES, build_cohort
from deid.risk.calibration import Calibration, calibrate, of_the_largest
from mami_core.data import Dataset, DatasetError, open_dataset
from mami_core.evaluation.embed import embedder
from mami_core.weights import WeightsError


def main(*arguments: str) -> None:
    """Read what is asked for; an error is one line."""
    if len(arguments) < 3:
        sys.exit("give weights of one or more encoders, a data set, and a folder for the cohorts")
    *weights, data, output = arguments
    try:
        make(weights, open_dataset(data), Path(output))
    except (DatasetError, WeightsError) as error:
        sys.exit(str(error))


def make(weights: Sequence[str], dataset: Dataset, output: Path) -> None:
    """Write ``cohort_MODALITY_WEIGHTS.safetensors`` into OUTPUT; print the calibration on `val`."""
    output.mkdir(parents=True, exist_ok=True)
    for modality, sources in SOURCES.items():
        val = dataset.select(lambda r, s=sources: r.source in s and r.split == "val")  # type: ignore[misc]
        every = []
        for one in weights:
            encoder, name = embedder(one), Path(one).stem
            cohort = build_cohort(encoder, dataset, modality)
            cohort.save(path := output / f"cohort_{modality}_{name}.safetensors")
            embedded = encoder.embed(val.squares(encoder.size))
            # As it is read again, a byte a number.
            every.append(calibrate(cohort.load(path), embedded, val.records))
            print(
                f"{modality}, {name}: {len(cohort.people)} people, {cohort.patients} patients with "
                f"a second image {cohort.kinds}; {_words(every[-1])}",
                flush=True,
            )
        print(f"{modality}, the largest risk: {_words(of_the_largest(every))}", flush=True)


def _words(found: Calibration) -> str:
    return (
        f"at {found.gallery} people mean risk {found.mean:.3f}, rank-1 "
        f"{found.measured.value:.3f} ({found.measured.low:.3f}-{found.measured.high:.3f}): "
        f"{'holds' if found.holds else 'does not hold'}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
