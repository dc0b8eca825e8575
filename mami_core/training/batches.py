"""Pictures in batches, and who may be paired with whom."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mami_core.data import Dataset, Record, reserved, square
from mami_core.data.known import known
from mami_core.files import as_bytes
from mami_core.training.draws import Draws
from mami_core.training.loop import TrainingError

#: Above this the pictures of a data set are decoded when a batch needs them.
HELD_BYTES = 4 * 1024**3

#: Share of the steps by modality, where the data set has more than one.
SHARES = {"xray": 0.62, "fundus": 0.26, "ct": 0.12}
OTHER_SHARE = 0.2

#: What the networks learn of: by modality, the region that each body part of a table belongs to.
#: Other body parts are other pictures, and stay out.
REGIONS = {
    "xray": {"": "chest", "chest": "chest", "thorax": "chest"},
    "fundus": {"": "eye", "eye": "eye", "retina": "eye"},
    "ct": {
        "": "chest",
        "chest": "chest",
        "thorax": "chest",
        "lung": "chest",
        "head": "head",
        "headneck": "head",
        "brain": "head",
    },
}


def stored(image: int) -> int:
    """Side of the pictures that crops of `image` pixels are drawn from: 256 for 224."""
    return round(image * 8 / 7)


class Pictures:
    """The pictures of a data set as square batches."""

    def __init__(self, dataset: Dataset, size: int) -> None:
        self.size = size
        self._dataset = dataset
        small = len(dataset) * 3 * size * size <= HELD_BYTES
        self._held = dataset.squares(size) if small else None

    def batch(self, indices: Sequence[int]) -> Tensor:
        """``(B, 3, size, size)`` in 0..1."""
        if self._held is not None:
            return torch.from_numpy(self._held[list(indices)]).float() / 255.0
        pictures = [square(self._dataset.picture(index), self.size) for index in indices]
        return torch.from_numpy(np.stack(pictures))


#: Pictures that stand for an identity once: one, or slices of one scan.
Scan = list[int]


@dataclass(frozen=True)
class Pool:
    """Identities of one modality: lists of their scans, of those with several and with one.

    Attributes
    ----------
    slices
        How many slices at most are drawn of a scan, each time anew (paper, section 4.1).
    """

    several: list[list[Scan]]
    single: list[list[Scan]]
    slices: int = 1

    @cached_property
    def deepest(self) -> int:
        """The most pictures that one scan gives."""
        scans = (scan for members in (*self.several, *self.single) for scan in members)
        return min(self.slices, max(map(len, scans), default=1))

    def groups(self, count: int, each: int, draws: Draws) -> list[list[Scan]]:
        """At most `count` identities, `each` scans of them; about 30 % have one scan only.

        Where an identity has fewer scans than are asked for, they are taken again: as other views,
        of other slices where there are more than are drawn.
        """
        singles = min(len(self.single), round(0.3 * count) if self.several else count)
        both = _some(self.several, count - singles, draws) + _some(self.single, singles, draws)
        groups = []
        for members in both:
            order = np.arange(len(members))
            rounds = [draws.choice.permutation(order) for _ in range(-(-each // len(members)))]
            numbers = np.concatenate(rounds)[:each]
            groups.append([self._slices(members[number], draws) for number in numbers])
        return groups

    def _slices(self, scan: Scan, draws: Draws) -> Scan:
        if len(scan) == 1:
            return scan
        chosen = draws.choice.choice(scan, min(self.slices, len(scan)), replace=False)
        return [int(index) for index in chosen]


def _some(lists: list[list[Scan]], count: int, draws: Draws) -> list[list[Scan]]:
    if not lists:
        return []
    chosen = draws.choice.choice(len(lists), min(count, len(lists)), replace=False)
    return [lists[index] for index in chosen]


def region_of(record: Record) -> str | None:
    """The region of a training image, None where it is not one that the networks learn of."""
    return REGIONS.get(record.modality or "", {}).get(record.body_part)


def parts(dataset: Dataset, modalities: Collection[str]) -> tuple[Dataset, Dataset]:
    """The images of `modalities` that a training may see, and those it is judged on (maybe none).

    Raises
    ------
    TrainingError
        Where there is nothing to train on.
    """
    known = dataset.select(lambda r: r.modality in modalities and region_of(r) is not None)
    out = iter(reserved(known.records))
    train = known.select(lambda record: not next(out) and record.split == "train")
    if not len(train):
        names = ", ".join(sorted(modalities))
        raise TrainingError(
            f"no image in split 'train' is known to be of {names}, and of chest, eye or head; "
            "name modality and body_part in a manifest.csv, as only DICOM says them itself"
        )
    return train, known.select(lambda record: record.split == "val")


def pools(records: Sequence[Record], slices: int = 1) -> dict[str, Pool]:
    """Identities by modality; where a set tells eyes apart, an eye is an identity.

    Parameters
    ----------
    slices
        With several a scan stands for its patient as a whole, where the set's slices are pooled;
        with one each of its slices does.
    """
    members: dict[tuple[str, tuple[str, str], str], dict[object, Scan]] = defaultdict(dict)
    for index, record in enumerate(records):
        whole = slices > 1 and known(record.source, modality=record.modality).pooled
        scans = members[record.modality or "", record.person, record.subject]
        scans.setdefault(record.unit if whole else index, []).append(index)
    found: dict[str, Pool] = {}
    for (modality, _, _), by_unit in members.items():
        pool = found.setdefault(modality, Pool([], [], slices))
        scans_of = list(by_unit.values())
        (pool.several if len(scans_of) > 1 else pool.single).append(scans_of)
    return found


def identities(records: Sequence[Record]) -> list[int]:
    """The number of each image's identity, from 0, over all modalities."""
    numbers: dict[object, int] = {}
    keys = [(record.modality, record.person, record.subject) for record in records]
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def draw_modality(names: Sequence[str], draws: Draws) -> str:
    """The modality of a step's batch (paper, section 4.1: all images of a batch share one)."""
    share = np.array([SHARES.get(name, OTHER_SHARE) for name in names])
    return str(draws.choice.choice(list(names), p=share / share.sum()))


def digest(records: Sequence[Record], options: Sequence[object]) -> str:
    """What a resumed training must share with the first."""
    text = "\n".join(f"{record.source}/{record.name}" for record in records)
    return hashlib.sha256(as_bytes(f"{options!r}\n{text}")).hexdigest()
