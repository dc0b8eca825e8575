"""How an attacker learns to match: from features of its own patients to two linear maps.

The closed form (research note: WCCN, the heart of LDA and PLDA in speaker recognition) needs no
gradient step: features are centred by form, protected ones are carried to originals by a ridge map
where the two are compared, and both are whitened by the within-patient covariance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deid.audit.linkages import ORIGINAL
from mami_core.data import Record
from mami_core.evaluation import yardsticks

Array = NDArray[np.float64]

#: Weight of the ridge map's penalty, in units of the features' mean eigenvalue.
RIDGE = 0.3
#: What a network's rounding leaves of two equal pictures, as a share of their features.
NOTHING = 1e-5
#: Parts of the attacker's patients; each part's images are carried by a map that has not seen them.
PARTS = 5


@dataclass(frozen=True)
class Training:
    """Features of the attacker's own images, in the roles in which it will be tested.

    Attributes
    ----------
    query, gallery
        ``(n, d)`` each, one row a record: the same images in the two forms.
    roles
        The names of the two forms.
    """

    query: Array
    gallery: Array
    roles: tuple[str, str]
    records: Sequence[Record]


@dataclass(frozen=True)
class Matcher:
    """Linear maps ``(d, e)`` of centred features of either role; None leaves them as they are."""

    query: Array | None = None
    gallery: Array | None = None

    def of_queries(self, features: NDArray[np.floating]) -> Array:
        """Embeddings of queries."""
        return _mapped(features, self.query)

    def of_gallery(self, features: NDArray[np.floating]) -> Array:
        """Embeddings of the gallery's images."""
        return _mapped(features, self.gallery)


#: Learns a matcher.
Fit = Callable[[Training], Matcher]


def as_it_comes(training: Training) -> Matcher:
    """What an attacker matches with that learns nothing."""
    return Matcher()


def closed_form(training: Training) -> Matcher:
    """Fit the closed form in the roles of `training`.

    Original against original, and protected against protected of another release: whitening alone.
    Protected against original, either way round: a ridge map from protected to original features
    first, as both forms of an image are the attacker's own.
    """
    query, gallery = _centred(training.query), _centred(training.gallery)
    records = list(training.records)
    query_protected, gallery_protected = (role != ORIGINAL for role in training.roles)
    if training.roles[0] == training.roles[1]:
        weight = yardsticks.closed_form(query, records).T
        return Matcher(weight, weight)
    if query_protected and gallery_protected:
        weight = yardsticks.closed_form(np.vstack([query, gallery]), records * 2).T
        return Matcher(weight, weight)
    protected, original = (query, gallery) if query_protected else (gallery, query)
    carried = _carried(protected, original, records)
    weight = yardsticks.closed_form(np.vstack([carried, original]), records * 2).T
    through = ridge(protected, original) @ weight
    return Matcher(through, weight) if query_protected else Matcher(weight, through)


def ridge(features: Array, targets: Array) -> Array:
    """The linear map ``(d, e)`` from rows `features` to rows `targets`, both centred.

    Solved over images where there are fewer of them than features.
    """
    images, width = features.shape
    penalty = RIDGE * float((features**2).sum()) / max(min(images, width), 1) + 1e-12
    if images < width:
        gram = features @ features.T
        gram.flat[:: images + 1] += penalty
        weights: Array = np.linalg.solve(gram, targets)
        return features.T @ weights
    gram = features.T @ features
    gram.flat[:: width + 1] += penalty
    found: Array = np.linalg.solve(gram, features.T @ targets)
    return found


def _carried(protected: Array, original: Array, records: Sequence[Record]) -> Array:
    """Each protected row by a ridge map that was fitted on other patients.

    A map comes too close to the images that it was fitted on: whitening by their covariance would
    trust it too much.
    """
    part = np.array([part_of(record) for record in records])
    carried = np.zeros_like(original)
    for number in range(PARTS):
        own, others = part == number, part != number
        if own.any() and others.any():
            carried[own] = protected[own] @ ridge(protected[others], original[others])
    return carried


def part_of(record: Record) -> int:
    """The part of a patient, by a hash of the name alone: no later image moves anybody."""
    text = "/".join(("part", *record.person))
    return hashlib.sha256(text.encode()).digest()[0] % PARTS


def _centred(features: NDArray[np.floating]) -> Array:
    """No identity enters the centre: it is the mean of all images of the form.

    A row that hardly leaves it becomes zero, which ties with everything: where all pictures are the
    same, what rounding left of them would have a direction.
    """
    rows = np.asarray(features, dtype=np.float64)
    centre = rows.mean(axis=0)
    apart = rows - centre
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    settled: Array = np.where(length > NOTHING * np.linalg.norm(centre), apart, 0.0)
    return settled


def _mapped(features: NDArray[np.floating], weight: Array | None) -> Array:
    return np.asarray(features, dtype=np.float64) if weight is None else _centred(features) @ weight
