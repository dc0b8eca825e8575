"""``python -m deid.risk WEIGHTS DATA OUTPUT``: make the cohorts of an encoder and check them."""

from __future__ import annotations

import sys
from pathlib import Path

from deid.risk.build import SOURCES, build_cohort
from deid.risk.calibration import calibrate
from mami_core.data import open_dataset
from mami_core.evaluation.embed import embedder


def main(weights: str, data: str, output: str) -> None:
    """Write ``cohort_MODALITY.safetensors`` into `output` and print the calibration on `val`."""
    Path(output).mkdir(parents=True, exist_ok=True)
    encoder = embedder(weights)
    dataset = open_dataset(data)
    for modality, sources in SOURCES.items():
        cohort = build_cohort(encoder, dataset, modality)
        cohort.save(Path(output) / f"cohort_{modality}.safetensors")
        val = dataset.select(lambda r, s=sources: r.source in s and r.split == "val")  # type: ignore[misc]
        found = calibrate(cohort, encoder.embed(val.squares(encoder.size)), val.records)
        print(
            f"{modality}: {len(cohort.people)} people, {cohort.patients} patients with a second "
            f"image {cohort.kinds}; at {found.gallery} people mean risk {found.mean:.3f}, rank-1 "
            f"{found.measured.value:.3f} ({found.measured.low:.3f}-{found.measured.high:.3f}): "
            f"{'holds' if found.holds else 'does not hold'}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
