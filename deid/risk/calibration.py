"""Whether reported risk is what happens: the mean over images against the measured rank-1."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deid.risk.cohort import Cohort
from deid.risk.residual import Risk, largest, residual_risk
from mami_core.data import Record
from mami_core.evaluation import Estimate, found_within, gallery, patient_mean


@dataclass(frozen=True)
class Calibration:
    """Risk before any edit over all images of a gallery's people, and what an attacker found.

    Attributes
    ----------
    risks
        One an image, in the order of the records.
    measured
        Rank-1 of the images with a mate, per patient, with its interval.
    gallery
        How many people were searched: the `gallery_size` of the risks.
    """

    risks: list[Risk]
    measured: Estimate
    gallery: int

    @property
    def mean(self) -> float:
        """Of all risks; NaN where one is unknown."""
        values = [float("nan") if risk.value is None else risk.value for risk in self.risks]
        return float(np.mean(values))

    @property
    def holds(self) -> bool:
        """Whether the mean lies within the interval."""
        return self.measured.low <= self.mean <= self.measured.high


def calibrate(
    cohort: Cohort, embeddings: NDArray[np.floating], records: Sequence[Record]
) -> Calibration:
    """Compare reported risk and measured rank-1 at the size of the gallery that `records` make.

    Parameters
    ----------
    embeddings
        ``(n, d)`` of all images of one split and modality.
    records
        Theirs, in the same order.
    """
    found = gallery(embeddings, records)
    measured = patient_mean(found_within(found.own, found.impostors), found.patient)
    units: dict[tuple[tuple[str, str], str], list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        units[record.person, record.subject].append(index)
    risks = []
    for index, record in enumerate(records):
        members = units[record.person, record.subject]
        others = [i for i in members if records[i].unit != record.unit]
        risk = residual_risk(
            embeddings[index],
            embeddings[index],
            cohort,
            others=embeddings[others],
            gallery_size=found.size,
        )
        risks.append(risk)
    return Calibration(risks, measured, found.size)


def of_the_largest(every: Sequence[Calibration]) -> Calibration:
    """What a report says, of each image the largest risk, against the attacker that finds most."""
    risks = [largest(each) for each in zip(*(one.risks for one in every), strict=True)]
    best = max(every, key=lambda one: one.measured.value)
    return Calibration(risks, best.measured, best.gallery)
