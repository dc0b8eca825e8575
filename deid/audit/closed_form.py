"""The closed form: from features of the attacker's own patients to two linear maps.

It needs no gradient step (research note: WCCN, the heart of LDA and PLDA in speaker recognition).
Features are centred by form and whitened by the within-patient covariance. Protected ones are
carried to their whitened originals by a ridge map, where they meet originals; where they meet
protected ones too, if that finds more: what an edit laid over a picture is no part of its original.
(Measured between two releases of children's chest X-rays: AUC 0.743 in place of 0.615 behind smooth
noise, 0.779 in place of 0.695 behind 30 principal components.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from deid.audit.figures import Scores
from deid.audit.linkages import ORIGINAL
from deid.audit.matching import Array, Matcher, Training, centred, linear
from deid.audit.own_patients import found_by_person, scores
from mami_core.closed_form import principal
from mami_core.data import Record
from mami_core.evaluation import yardsticks
from mami_core.evaluation.protocol import mated

#: Penalties of the ridge map, in units of the features' mean eigenvalue. The attacker's own
#: patients say which: little where an edit is exact, much where it is noisy (AUC 0.72 to 0.78).
RIDGES = (0.3, 1.0, 3.0, 10.0)
#: Patients with a mate by whom it chooses: so many who were left out say enough.
ENOUGH = 100
#: Rows that tell how long rows are.
FEW = 500


@dataclass(frozen=True)
class Choice:
    """How protected features are mapped.

    Attributes
    ----------
    penalty
        Of the ridge map to whitened originals; None for no such map.
    whitened
        Whether they are whitened by themselves; beside the map, where there is one.
    """

    penalty: float | None
    whitened: bool = False

    @property
    def parts(self) -> tuple[float | None, ...]:
        """What it consists of: its penalty, and None where they are whitened."""
        both = self.whitened and self.penalty is not None
        return (self.penalty, None) if both else (self.penalty,)

    def joined(self, of: Mapping[float | None, Array]) -> Array:
        """What there is of its parts, side by side."""
        return np.hstack([of[part] for part in self.parts])


TO_ORIGINALS = tuple(map(Choice, RIDGES))
BETWEEN_RELEASES = (
    *(Choice(penalty, whitened=True) for penalty in (None, *RIDGES)),
    *TO_ORIGINALS,
)


@dataclass(frozen=True)
class Weights:
    """The closed form's linear maps ``(d, e)`` of centred features.

    Attributes
    ----------
    choice
        None where nothing is protected.
    """

    query: Array
    gallery: Array
    choice: Choice | None = None


def closed_form(training: Training) -> Matcher:
    """Fit the closed form in the roles of `training` (see `weights`)."""
    found = weights(training)
    return Matcher(linear(found.query), linear(found.gallery))


def weights(training: Training, choice: Choice | None = None) -> Weights:
    """The maps of the closed form in the roles of `training`.

    Parameters
    ----------
    choice
        How protected features are mapped, where it is known; else as finds most of the attacker's
        own patients in parts that nothing was fitted on.
    """
    known = _Known(training)
    everybody = np.ones(len(training.records), dtype=bool)
    if not known.draws:
        one = known.straight(everybody)
        return Weights(one, one)
    choice = choice or known.chosen()
    straight = known.straight(everybody)
    mapped = choice.joined(known.maps(everybody, straight, (choice,)))
    query, gallery = (straight if role == ORIGINAL else mapped for role in training.roles)
    return Weights(query, gallery, choice)


def chosen(training: Training) -> Choice | None:
    """What `weights` chooses; None where nothing is protected."""
    known = _Known(training)
    return known.chosen() if known.draws else None


class _Known:
    """Features of the attacker's own images, centred: originals, and the draws of the edit."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._original = centred(training.original)
        same = training.roles[0] == training.roles[1]
        draws = training.protected[: len(training.query)] if same else training.protected
        #: Each ``(n, d)``.
        self.draws = [centred(draw) for draw in draws]

    def straight(self, taken: NDArray[np.bool_]) -> Array:
        """The map that whitens originals, by those who are `taken`, ``(n,)``."""
        return self._originals.whitening(taken)

    def maps(
        self, taken: NDArray[np.bool_], straight: Array, choices: Sequence[Choice]
    ) -> dict[float | None, Array]:
        """What `choices` consist of, fitted on those who are `taken`: by penalty the ridge map to
        originals that `straight` whitens, under None the whitening of protected features.
        """
        features = self._stacked[np.tile(taken, len(self.draws))]
        # To whitened originals at once: the same map as to originals that are whitened then.
        target = np.tile(self._original[taken] @ straight, (len(self.draws), 1))
        asked = {part for one in choices for part in one.parts}
        penalties = sorted(part for part in asked if part is not None)
        found: dict[float | None, Array] = dict(
            zip(penalties, ridges(features, target, penalties), strict=True)
        )
        if None in asked:
            found[None] = self._protected.whitening(taken)
        return {part: _scaled(one, features) for part, one in found.items()}

    def chosen(self) -> Choice:
        """By which most of the patients of one part after the other are found, left out."""
        both = ORIGINAL not in self._training.roles
        choices = BETWEEN_RELEASES if both else TO_ORIGINALS
        parts = self._training.parts
        folds: dict[Choice, list[Scores]] = {one: [] for one in choices}
        tried = 0
        for part in np.unique(parts):
            own, others = np.flatnonzero(parts == part), parts != part
            records = [self._training.records[row] for row in own.tolist()]
            if tried >= ENOUGH or not others.any():
                break
            tried += mated(records)
            straight = self.straight(others)
            maps = self.maps(others, straight, choices)
            query = {part: self.draws[0][own] @ one for part, one in maps.items()}
            second = {part: self.draws[-1][own] @ one for part, one in maps.items() if both}
            known = self._original[own] @ straight
            for one in choices:
                gallery = one.joined(second) if both else known
                fold = scores(one.joined(query), gallery, records, self._training.roles)
                folds[one] += [] if fold is None else [fold]
        # AUC alone would take a map that finds fewer people first (0.46 in place of 0.54 between
        # two releases of the bundled remover, at one AUC).
        found = {one: [*found_by_person(some).values()] or [0.0] for one, some in folds.items()}
        return max(choices, key=lambda one: float(np.mean(found[one])))

    @cached_property
    def _stacked(self) -> Array:
        return np.vstack(self.draws)

    @cached_property
    def _originals(self) -> _Reduced:
        return _Reduced(self._original, self._training.records, self._training.depths)

    @cached_property
    def _protected(self) -> _Reduced:
        return _Reduced(self._stacked, self._training.records, self._training.depths)


class _Reduced:
    """Rows ``(m n, d)``, m draws of n images, on the principal axes of the first draw.

    These know nobody, and cost more than all whitening on them.
    """

    def __init__(self, features: Array, records: Sequence[Record], depths: Sequence[int]) -> None:
        self._records, self._draws = records, len(features) // len(records)
        sources = [record.source for record in records]
        blocks = depths or (features.shape[1],)
        found = principal(features[: len(records)], sources, blocks, yardsticks.COMPONENTS)
        held = found.weight.any(axis=1)
        self._axes = (found.weight[held] if held.any() else found.weight[:1]).T
        self._rows = features @ self._axes

    def whitening(self, taken: NDArray[np.bool_]) -> Array:
        """The map ``(d, e)``, fitted on the images that are `taken`, ``(n,)``.

        Components that are zero are left out: images are few.
        """
        records = [self._records[row] for row in np.flatnonzero(taken).tolist()] * self._draws
        rows = self._rows[np.tile(taken, self._draws)]
        found = self._axes @ yardsticks.closed_form(rows, records).T
        held = found.any(axis=0)
        return found[:, held] if held.any() else found[:, :1]


def _scaled(through: Array, features: Array) -> Array:
    """The map, by which rows are of length one on average; a few hundred tell that."""
    mean = float(np.linalg.norm(features[:FEW] @ through, axis=1).mean())
    return through / max(mean, 1e-12)


def ridges(features: Array, targets: Array, weights: Sequence[float]) -> Iterator[Array]:
    """Linear maps ``(d, e)`` from rows `features` to rows `targets`, both centred, one a weight.

    Parameters
    ----------
    weights
        Of the penalty, in units of the features' mean eigenvalue.
    """
    if not weights:
        return
    # Solved over images where there are fewer of them than features.
    images, width = features.shape
    wide = images < width
    gram = features @ features.T if wide else features.T @ features
    right = targets if wide else features.T @ targets
    for weight in weights:
        level = weight * float(gram.trace()) / max(min(images, width), 1) + 1e-12
        solved = cho_solve(cho_factor(gram + level * np.eye(len(gram))), right)
        yield features.T @ solved if wide else solved
