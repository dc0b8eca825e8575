"""What a remover does on `val`: the fixed attacker's rank-1 and the utility, by strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mami_core.data import Dataset, Record
from mami_core.evaluation import Estimate, found_within, gallery, patient_mean
from mami_core.evaluation.protocol import usable
from mami_core.models.encoder import MaMI
from mami_core.models.mfm import MedicalEncoder
from mami_core.models.remover import Remover

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
BATCH = 16


@dataclass(frozen=True)
class Point:
    """One strength: `outer` rank-1 by source, mean utility, mean absolute change of a pixel."""

    strength: float
    rank1: dict[str, Estimate]
    gallery: dict[str, int]
    utility: float
    change: float


@dataclass(frozen=True)
class Curve:
    """Points in order of strength."""

    points: list[Point]

    def default(self, least: float) -> float:
        """The largest strength, between the measured ones, whose mean utility is at least `least`.

        Utility between two measured strengths is taken as linear.
        """
        for low, high in zip(self.points, self.points[1:], strict=False):
            if high.utility < least:
                share = (low.utility - least) / (low.utility - high.utility)
                # Down to hundredths: the figure is a promise, and is not to be missed by rounding.
                step = low.strength + share * (high.strength - low.strength)
                return float(np.floor(step * 100.0) / 100.0)
        return self.points[-1].strength

    def as_dict(self) -> list[dict[str, Any]]:
        """For a weights file's facts."""
        return [
            {
                "strength": point.strength,
                "utility": round(point.utility, 4),
                "change": round(point.change, 5),
                "outer_rank1": {
                    source: {
                        key: round(value, 4) if isinstance(value, float) else value
                        for key, value in found.as_dict().items()
                    }
                    | {"gallery": point.gallery[source]}
                    for source, found in point.rank1.items()
                },
            }
            for point in self.points
        ]


def strength_curve(
    remover: Remover,
    encoder: MaMI,
    medical: MedicalEncoder,
    dataset: Dataset,
    zero: float,
    *,
    seed: int = 0,
) -> Curve:
    """Measure a remover on the images of one modality.

    Parameters
    ----------
    zero
        Mean cosine of key features of different patients, which becomes utility 0.
    """
    records = dataset.records
    pictures = torch.from_numpy(dataset.squares(remover.config.image))
    codes = _codes(records, remover.config.code, seed)
    device = next(remover.parameters()).device
    points = []
    original: tuple[Tensor, Tensor] | None = None
    for strength in STRENGTHS:
        identity, keys, change = [], [], []
        for at in range(0, len(pictures), BATCH):
            images = pictures[at : at + BATCH].to(device).float() / 255.0
            given = torch.full((len(images),), strength, device=device)
            edited = remover(images, codes[at : at + BATCH].to(device), given)
            change.append((edited - images).abs().mean(dim=(1, 2, 3)))
            identity.append(encoder(resized(edited, encoder.config.image)).identity)
            keys.append(medical(resized(edited, medical.config.image)).keys)
        now = torch.cat(identity), torch.cat(keys)
        original = original or now
        cosine = functional.cosine_similarity(original[1], now[1], dim=2).mean(dim=1)
        utility = ((cosine - zero) / (1.0 - zero)).clamp(0.0, 1.0).mean().item()
        rank1, people = outer_rank1(now[0].cpu().numpy(), original[0].cpu().numpy(), records)
        points.append(Point(strength, rank1, people, utility, torch.cat(change).mean().item()))
    return Curve(points)


def outer_rank1(
    protected: NDArray[np.float32], originals: NDArray[np.float32], records: list[Record]
) -> tuple[dict[str, Estimate], dict[str, int]]:
    """Rank-1 of protected images among the people of their source, by originals of other visits.

    Returns
    -------
    The estimate and the number of people, by source; sources where nobody has two units are left
    out.
    """
    keep = usable(records)
    found, people = {}, {}
    for source in sorted({records[index].source for index in keep}):
        members = [int(index) for index in keep if records[index].source == source]
        part = [records[index] for index in members]
        searched = gallery(originals[members], part, queries=protected[members])
        if searched.own.size and searched.size > 1:
            hits = found_within(searched.own, searched.impostors)
            found[source] = patient_mean(hits, searched.patient)
            people[source] = searched.size
    return found, people


def _codes(records: list[Record], length: int, seed: int) -> Tensor:
    """One code a patient, as a release under one key has it."""
    generator = torch.Generator().manual_seed(seed + 9)
    people = {record.person: None for record in records}
    drawn = dict(zip(people, torch.randn(len(people), length, generator=generator), strict=True))
    return torch.stack([drawn[record.person] for record in records])


def resized(images: Tensor, size: int) -> Tensor:
    """As the encoders are fed: smaller squares come of the remover's, as in `square`."""
    return functional.interpolate(
        images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
