"""How an attacker learns to match: what it learns by, and what comes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.linkages import ORIGINAL
from mami_core.data import Record
from mami_core.files import as_bytes

Array = NDArray[np.float64]

#: What a network's rounding leaves of two equal pictures, as a share of their features.
NOTHING = 1e-5
#: Parts of the attacker's patients; each part's images are carried by a map that has not seen them.
PARTS = 5


@dataclass(frozen=True)
class Effort:
    """How long an attacker that learns by gradient may try.

    Attributes
    ----------
    restarts
        Seeds that are tried; its own patients say which is taken.
    minutes
        That one fit may take. Steps end it where they are done before.
    keep
        Private folder for fits that are finished (see `deid.audit.finished`); None for none.
    """

    restarts: int = 1
    minutes: float = 5.0
    seed: int = 0
    keep: Path | None = None


@dataclass(frozen=True)
class Training:
    """Features of the attacker's own images, in the roles in which it will be tested.

    Attributes
    ----------
    query, gallery
        The same images in the two forms, each in one or more draws of the edit: ``(n, d)`` a draw,
        a row a record. (Only where protected images meet originals is there more than one.)
    original
        The same images as they are.
    roles
        The names of the two forms.
    depths
        Widths of the parts that the features consist of, which are scaled one by one; one part
        where there is none.
    effort
        For those who learn by gradient.
    """

    query: Sequence[NDArray[Any]]
    gallery: Sequence[NDArray[Any]]
    original: NDArray[Any]
    roles: tuple[str, str]
    records: Sequence[Record]
    depths: tuple[int, ...] = ()
    effort: Effort = field(default_factory=Effort)

    @property
    def parts(self) -> NDArray[np.intp]:
        """Part of each image's patient, ``(n,)`` (see `part_of`)."""
        return np.array([part_of(record) for record in self.records], dtype=np.intp)

    def of(self, rows: NDArray[np.intp]) -> Training:
        """What these images alone teach."""
        return replace(
            self,
            query=[draw[rows] for draw in self.query],
            gallery=[draw[rows] for draw in self.gallery],
            original=self.original[rows],
            records=[self.records[row] for row in rows],
        )

    @property
    def protected(self) -> list[NDArray[Any]]:
        """Every draw of the edit, of either role."""
        sides = zip(self.roles, (self.query, self.gallery), strict=True)
        return [draw for role, draws in sides if role != ORIGINAL for draw in draws]


#: Features ``(n, d)`` of one role to embeddings ``(n, e)``.
Map = Callable[[NDArray[np.floating]], Array]


def unmapped(features: NDArray[np.floating]) -> Array:
    """Features are matched as they come."""
    return np.asarray(features, dtype=np.float64)


@dataclass(frozen=True)
class Matcher:
    """What makes embeddings of the features of either role.

    Attributes
    ----------
    told
        What a fit by gradient says of itself (see `deid.audit.gradient.learnt`); empty elsewhere.
    """

    of_queries: Map = unmapped
    of_gallery: Map = unmapped
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def turned(self) -> Matcher:
        """The same for those who are searched in place of those who search."""
        return replace(self, of_queries=self.of_gallery, of_gallery=self.of_queries)


#: Learns a matcher.
Fit = Callable[[Training], Matcher]


def linear(weight: Array) -> Map:
    """The map ``(d, e)`` of centred features."""
    return lambda features: centred(features) @ weight


def part_of(record: Record) -> int:
    """The part of a patient, by a hash of the name alone: no later image moves anybody."""
    text = "/".join(("part", *record.person))
    return hashlib.sha256(as_bytes(text)).digest()[0] % PARTS


def centred(features: NDArray[np.floating]) -> Array:
    """No identity enters the centre: it is the mean of all images of the form.

    A row that hardly leaves it becomes zero, which ties with everything: where all pictures are the
    same, what rounding left of them would have a direction.
    """
    rows = np.asarray(features, dtype=np.float64)
    centre = rows.mean(axis=0)
    apart = rows - centre
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    settled: NDArray[Any] = np.where(length > NOTHING * np.linalg.norm(centre), apart, 0.0)
    return settled
