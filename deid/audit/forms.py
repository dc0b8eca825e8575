"""Closed forms of other patients: on them learns what learns by gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from deid.audit.closed_form import Choice, Weights, weights
from deid.audit.linkages import ORIGINAL
from deid.audit.matching import Array, Training, centred
from deid.audit.own_patients import Mates, mates, owners
from mami_core.evaluation.protocol import normalised

#: Which rows are taken.
Some = Sequence[int] | NDArray[np.intp] | slice

#: Directions of a map that are weaker by so much, in variance, are rounding.
NOTHING = 1e-12


@dataclass(frozen=True)
class Read:
    """What a stage under the closed form reads of images, ``(n, t)``, and makes of it at first.

    Attributes
    ----------
    first
        The last k features of each image, ``(n, k)``.
    """

    inputs: Tensor
    first: Tensor

    def of(self, rows: Some) -> Read:
        """That of some of the images."""
        return Read(self.inputs[rows], self.first[rows])


@dataclass(frozen=True)
class Carried:
    """Images as closed forms carry them.

    Attributes
    ----------
    rows
        ``(n, e)``, of length one, or zero for those who are left out.
    length
        Which they had before, ``(n, 1)``; infinite where they are zero.
    form
        Which of `maps` carried each of them, ``(n,)``.
    maps
        Of the last k features, ``(f, k, e)``; k is 0 where no stage is under them.
    read
        None where no stage is under them.
    """

    rows: Tensor
    length: Tensor
    form: Tensor
    maps: Tensor
    read: Read | None = None

    def of(self, rows: Some) -> Carried:
        """Some of the images."""
        read = None if self.read is None else self.read.of(rows)
        return Carried(self.rows[rows], self.length[rows], self.form[rows], self.maps, read)

    def moved(self, last: Tensor) -> Tensor:
        """Rows ``(n, e)``, where the last k features are these ``(n, k)``."""
        assert self.read is not None
        more, gain = torch.zeros_like(self.rows), last - self.read.first
        for number in self.form.unique().tolist():
            own = torch.nonzero(self.form == number)[:, 0]
            more = more.index_add(0, own, gain[own] @ self.maps[number])
        return normalize(self.rows + more / self.length, dim=1)


@dataclass(frozen=True)
class Rows:
    """Images as closed forms of other patients carry them.

    Attributes
    ----------
    sides
        Of queries and of the gallery, one a draw.
    mates
        See `deid.audit.own_patients.mates`.
    owner
        Number of each row's person.
    own
        Which rows may be learnt from.
    """

    sides: tuple[list[Carried], list[Carried]]
    mates: Mates
    owner: NDArray[np.intp]
    own: NDArray[np.intp]


class Forms:
    """Closed forms that leave parts of the attacker's patients out, each fitted once.

    Parameters
    ----------
    choice
        How they map protected features; None where nothing is protected.
    reads
        Of queries and of the gallery what a stage reads, a draw each; empty where there is none.
    """

    def __init__(
        self,
        training: Training,
        choice: Choice | None,
        reads: Sequence[Sequence[Read | None]] = (),
    ) -> None:
        self._training, self._choice, self._parts = training, choice, training.parts
        self._draws = [
            [centred(draw) for draw in side] for side in (training.query, training.gallery)
        ]
        self._reads = reads or [[None] * len(side) for side in self._draws]
        self._owner = owners(training.records)
        self._mates = mates(training.records)
        self._known: dict[frozenset[int], Weights] = {}

    def without(self, *left_out: int) -> Rows:
        """All images but those of `left_out`, each carried by a form without these and its own."""
        taken = ~np.isin(self._parts, left_out)
        parts = np.unique(self._parts[taken])
        found = [self._fitted(frozenset((*left_out, int(part)))) for part in parts]
        # A row of nobody's part is carried by nobody.
        form = np.where(taken, np.searchsorted(parts, self._parts), -1)
        query, gallery = (
            [carried(draw, form, maps, read) for draw, read in zip(draws, reads, strict=True)]
            for draws, reads, maps in zip(
                self._draws,
                self._reads,
                ([one.query for one in found], [one.gallery for one in found]),
                strict=True,
            )
        )
        # A person's images are all of one part.
        several = [units for units in self._mates if taken[units[0][0]]]
        return Rows((query, gallery), several, self._owner, np.flatnonzero(taken))

    def _fitted(self, left_out: frozenset[int]) -> Weights:
        if left_out not in self._known:
            others = np.flatnonzero(~np.isin(self._parts, list(left_out)))
            found = weights(self._training.of(others), self._choice)
            self._known[left_out] = canonical(found, self._training.roles)
        return self._known[left_out]


def carried(
    features: Array, form: NDArray[np.intp], maps: Sequence[Array], read: Read | None
) -> Carried:
    """Centred features ``(n, d)``, each by the map ``(d, e)`` whose number `form` is."""
    rows = np.zeros((len(features), maps[0].shape[1]))
    for number, one in enumerate(maps):
        own = np.flatnonzero(form == number)
        rows[own] = features[own] @ one
    last = 0 if read is None else read.first.shape[1]
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return Carried(
        torch.from_numpy(normalised(rows)).float(),
        # What hardly leaves the centre ties with everything, whatever a stage makes of it.
        torch.from_numpy(np.where(length > 0, length, np.inf)).float(),
        torch.from_numpy(form),
        torch.from_numpy(np.stack([one[len(one) - last :] for one in maps])).float(),
        read,
    )


def canonical(found: Weights, roles: tuple[str, str]) -> Weights:
    """The same cosines in the coordinates of the features themselves.

    Whitening ends in its own principal axes, which turn from fit to fit; the symmetric root of the
    metric does not, so that what is learnt on one fit holds on another.
    """
    straight = found.query if roles[0] == ORIGINAL else found.gallery
    # The inverse root of its Gram matrix makes it orthogonal; that is small beside the map itself.
    values, axes = np.linalg.eigh(straight.T @ straight)
    kept = values > NOTHING * values[-1]
    turn = (axes[:, kept] / np.sqrt(values[kept])) @ (straight @ axes[:, kept]).T
    return replace(found, query=found.query @ turn, gallery=found.gallery @ turn)
