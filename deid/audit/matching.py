"""How an attacker learns to match: from features of its own patients to two linear maps.

The closed form (research note: WCCN, the heart of LDA and PLDA in speaker recognition) needs no
gradient step: features are centred by form, protected ones are carried to originals by a ridge map
where the two are compared, and whitened by the within-patient covariance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.linkages import ORIGINAL
from mami_core.data import Record
from mami_core.evaluation import auc, pairs, yardsticks
from mami_core.evaluation.protocol import usable

Array = NDArray[np.float64]

#: Penalties of the ridge map, in units of the features' mean eigenvalue. The attacker's own
#: patients say which: little where an edit is exact, much where it is noisy (AUC 0.72 to 0.78).
RIDGES = (0.3, 1.0, 3.0, 10.0)
#: Most images of its own that an attacker chooses by.
MOST_TO_CHOOSE = 1000
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


@dataclass(frozen=True)
class Weights:
    """The closed form's linear maps ``(d, e)`` of centred features.

    Attributes
    ----------
    penalty
        Of the ridge map; None where there is none.
    """

    query: Array
    gallery: Array
    penalty: float | None = None


def closed_form(training: Training) -> Matcher:
    """Fit the closed form in the roles of `training` (see `weights`)."""
    found = weights(training)
    return Matcher(linear(found.query), linear(found.gallery))


def weights(training: Training, penalty: float | None = None) -> Weights:
    """The maps of the closed form in the roles of `training`.

    Original against original, and protected against protected of another release: whitening alone.
    Protected against original, either way round: a ridge map from protected to original features,
    then the originals' whitening. Of several maps, that which finds most of the attacker's own
    patients in parts that it was not fitted on.

    Parameters
    ----------
    penalty
        Of the ridge map, where it is known.
    """
    query = [centred(draw) for draw in training.query]
    gallery = [centred(draw) for draw in training.gallery]
    records, depths = list(training.records), training.depths
    query_protected, gallery_protected = (role != ORIGINAL for role in training.roles)
    if training.roles[0] == training.roles[1]:
        one = _whitening(query[0], records, depths)
        return Weights(one, one)
    if query_protected and gallery_protected:
        both = np.vstack([query[0], gallery[0]])
        one = _whitening(both, records * 2, depths)
        return Weights(one, one)
    protected, (original, *_) = (query, gallery) if query_protected else (gallery, query)
    straight = _whitening(original, records, depths)
    features, known = np.vstack(protected), original @ straight
    if penalty is None:
        found = _found_by_penalty(features, known, records)
        penalty = max(RIDGES, key=lambda one: found[one])
    # To whitened originals at once: the same map as to originals that are whitened then.
    through = ridge(features, np.vstack([known] * len(protected)), penalty)
    pair = (through, straight) if query_protected else (straight, through)
    return Weights(*pair, penalty)


def _whitening(features: Array, records: Sequence[Record], depths: Sequence[int]) -> Array:
    """The closed form's map ``(d, e)``, without components that are zero: images are few."""
    found = yardsticks.closed_form(features, records, depths).T
    held = found.any(axis=0)
    return found[:, held] if held.any() else found[:, :1]


def _found_by_penalty(
    features: Array, known: Array, records: Sequence[Record]
) -> dict[float, float]:
    """AUC on the attacker's own patients, each carried by a map that was fitted on others.

    Parameters
    ----------
    features
        Of protected images, ``(m n, d)``: m draws one below the other.
    known
        Their originals whitened, ``(n, e)``.
    """
    part = np.array([part_of(record) for record in records])
    draws = len(features) // len(records)
    parts, targets = np.tile(part, draws), np.vstack([known] * draws)
    carried = {penalty: np.zeros_like(known) for penalty in RIDGES}
    for number in np.unique(part):
        own, others = part == number, parts != number
        if others.any():
            maps = ridges(features[others], targets[others], RIDGES)
            for penalty, through in zip(RIDGES, maps, strict=True):
                carried[penalty][own] = features[: len(records)][own] @ through
    chosen = usable(records)[:MOST_TO_CHOOSE]
    some = [records[index] for index in chosen]
    return {
        penalty: _auc_of(known[chosen], embeddings[chosen], some)
        for penalty, embeddings in carried.items()
    }


def _auc_of(known: Array, carried: Array, records: Sequence[Record]) -> float:
    compared = pairs(known, records, queries=carried)
    found = auc(compared.mated, compared.impostor, compared.mated_weight, compared.impostor_weight)
    return -1.0 if np.isnan(found) else found


def ridge(features: Array, targets: Array, weight: float) -> Array:
    """The linear map ``(d, e)`` from rows `features` to rows `targets`, both centred.

    Parameters
    ----------
    weight
        Of the penalty, in units of the features' mean eigenvalue.
    """
    return next(ridges(features, targets, (weight,)))


def ridges(features: Array, targets: Array, weights: Sequence[float]) -> Iterator[Array]:
    """The maps of `ridge` for several weights, one after the other."""
    # Solved over images where there are fewer of them than features.
    images, width = features.shape
    wide = images < width
    gram = features @ features.T if wide else features.T @ features
    right = targets if wide else features.T @ targets
    for weight in weights:
        level = weight * float(gram.trace()) / max(min(images, width), 1) + 1e-12
        solved = np.linalg.solve(gram + level * np.eye(len(gram)), right)
        yield features.T @ solved if wide else solved


def part_of(record: Record) -> int:
    """The part of a patient, by a hash of the name alone: no later image moves anybody."""
    text = "/".join(("part", *record.person))
    return hashlib.sha256(text.encode()).digest()[0] % PARTS


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
