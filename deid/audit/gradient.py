"""Attackers that learn by gradient, started from the closed form.

The closed form fits its own patients almost without a fault (AUC 0.996 where it has 0.92 on
others), which leaves a gradient nothing to learn from. So a head learns on images that were each
carried by a closed form of other patients, and goes to work on the closed form of all. How many
steps it takes, which restart is best, and whether it beats the closed form, is told by part after
part of the attacker's patients, whom neither the head nor any closed form under it has met. (Where
closed forms had met them, whitening alone looked like a gain of 0.05 to 0.1 that was not there.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deid.audit.finished import Finished, finished
from deid.audit.linkages import ORIGINAL
from deid.audit.matching import (
    Map,
    Matcher,
    Training,
    Weights,
    centred,
    closed_form,
    linear,
    weights,
)
from deid.audit.own_patients import (
    FEWEST_PATIENTS,
    Mates,
    beside_closed_form,
    drawn,
    found_by_person,
    mates,
    owners,
    scores,
)
from mami_core.evaluation.protocol import normalised

Array = NDArray[np.float64]

#: Most people of a step; as many images of other people are beside them.
PEOPLE = 256

#: Parts without more of whom nothing can be told.
FEWEST_PARTS = 2

#: Directions of a map that are weaker by so much, in variance, are rounding.
NOTHING = 1e-12

CLOSED_FORM, GRADIENT = "closed form", "gradient"


class Head(Protocol):
    """What is learnt on top of the closed form."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What an optimiser moves; all that it learns is in them."""
        ...

    def loss(self, query: Tensor, gallery: Tensor, same: Tensor) -> Tensor:
        """Of one step.

        Parameters
        ----------
        query, gallery
            Rows ``(m, d)`` and ``(k, d)``, k at least m: the mate of query i is row i.
        same
            Which are of one person, ``(m, k)`` bool.
        """
        ...

    def embed(self, rows: Tensor, side: int) -> Tensor:
        """Rows ``(n, d)`` of queries (side 0) or of the gallery (1) to embeddings ``(n, e)``."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How a head is learnt.

    Attributes
    ----------
    build
        A new head: of width d, and whether both roles are of one kind.
    rate, decay
        Of AdamW; the rate falls along half a cosine. A head decays to what it was built as.
    stops, every
        How often it is measured, and steps in between.
    falls_back
        Whether the closed form is kept where it is not beaten.
    """

    build: Callable[[int, bool], Head]
    rate: float
    decay: float
    stops: int
    every: int
    falls_back: bool = True


#: Rows ``(n, d)`` of queries and of the gallery, a table a draw.
Sides = tuple[list[Tensor], list[Tensor]]


@dataclass(frozen=True)
class Rows:
    """Images as closed forms of other patients carry them; those who are left out are zero.

    Attributes
    ----------
    mates
        See `deid.audit.own_patients.mates`.
    owner
        Number of each row's person.
    own
        Which rows may be learnt from.
    """

    sides: Sides
    mates: Mates
    owner: NDArray[np.intp]
    own: NDArray[np.intp]


def learnt(training: Training, recipe: Recipe) -> Matcher:
    """Learn a head in the roles of `training`.

    Returns
    -------
    A matcher whose ``told`` has ``kept`` (`CLOSED_FORM` or `GRADIENT`), what is found of left-out
    patients among `AMONG` people by ``closed_form`` and by ``gradient``, ``patients`` (how many
    these are), ``reached`` (whether the gradient's
    is not less by more than chance), ``restarts`` (as many as were
    made), ``steps`` of the best, and whether the budget ``cut`` it short.
    """
    found = finished(training, recipe, partial(_learnt, training, recipe))
    return closed_form(training) if found is None else _matcher(training, recipe, found)


def left_out(training: Training) -> dict[str, float]:
    """What the closed form finds of the attacker's own patients who are left out of it.

    Returns
    -------
    By person, the share of images by which the person is found first among `AMONG` people of the
    part that is left out; empty where they are too few to leave any out.
    """
    return _bar(training, _Forms(training, None))


def _bar(training: Training, forms: _Forms) -> dict[str, float]:
    names = [int(part) for part in np.unique(training.parts)]
    if len(names) <= FEWEST_PARTS:
        return {}
    found = _measured(training, forms.without(), dict.fromkeys(names))
    return found if len(found) >= FEWEST_PATIENTS else {}


def _learnt(training: Training, recipe: Recipe) -> Finished | None:
    """None where the attacker's patients are too few to leave any out."""
    ends = time.monotonic() + 60.0 * training.effort.minutes
    whole = weights(training)
    parts = training.parts
    forms = _Forms(training, whole.penalty)
    names = [int(part) for part in np.unique(parts)]
    measure = partial(_measured, training, forms.without())
    bar = _bar(training, forms)
    if not bar:
        return None
    best, told = _best(
        training, recipe, {part: forms.without(part) for part in names}, measure, ends
    )
    beside, more = beside_closed_form(best.found, bar)
    said = beside | told
    start = _canonical(whole, training.roles)
    if recipe.falls_back and not more:
        return Finished(start.query, start.gallery, (), said | {"kept": CLOSED_FORM})
    fitting = _Fitting(recipe, training, forms.without(), best.restart, len(names))
    fitting.go_on(best.stop * recipe.every)
    return Finished(start.query, start.gallery, fitting.parameters, said | {"kept": GRADIENT})


def _matcher(training: Training, recipe: Recipe, found: Finished) -> Matcher:
    """The maps of features: the closed form, and the head where one went to work."""
    if found.told["kept"] == CLOSED_FORM:
        return Matcher(linear(found.query), linear(found.gallery), found.told)
    head = _built(recipe, training, found.query.shape[1], seed=0)
    with torch.no_grad():
        for parameter, values in zip(head.parameters(), found.head, strict=True):
            parameter.copy_(torch.from_numpy(values))

    def mapped(weight: Array, side: int) -> Map:
        return lambda features: _embedded(head, _rows(centred(features) @ weight), side)

    return Matcher(mapped(found.query, 0), mapped(found.gallery, 1), found.told)


@dataclass(frozen=True)
class _Try:
    """One restart, measured at one stop: by left-out person, what share was found."""

    restart: int
    stop: int
    found: Mapping[str, float]

    @property
    def value(self) -> float:
        return float(np.mean(list(self.found.values())))


def _best(
    training: Training,
    recipe: Recipe,
    rows: Mapping[int, Rows],
    measure: Callable[[Mapping[int, _Fitting | None]], dict[str, float]],
    ends: float,
) -> tuple[_Try, dict[str, Any]]:
    """The try that finds most of left-out patients; every restart has its own draws."""
    tries: list[_Try] = []
    restart, cut = 0, False
    while restart < training.effort.restarts and not cut:
        heads = {
            part: _Fitting(recipe, training, rows[part], restart, number)
            for number, part in enumerate(rows)
        }
        for stop in range(1, recipe.stops + 1):
            for head in heads.values():
                head.go_on(recipe.every)
            tries.append(_Try(restart, stop, measure(heads)))
            cut = time.monotonic() > ends and (
                stop < recipe.stops or restart + 1 < training.effort.restarts
            )
            if cut:
                break
        restart += 1
    best = max(tries, key=lambda one: one.value)
    return best, {"restarts": restart, "steps": best.stop * recipe.every, "cut": cut}


class _Fitting:
    """A head while it learns."""

    def __init__(
        self, recipe: Recipe, training: Training, rows: Rows, restart: int, number: int
    ) -> None:
        self._rows = rows
        self._random = np.random.default_rng((training.effort.seed, restart, number))
        width = rows.sides[0][0].shape[1]
        self._head = _built(recipe, training, width, seed=int(self._random.integers(2**31)))
        self._steps, self._done = recipe.stops * recipe.every, 0
        self._optimiser = torch.optim.AdamW(
            self._head.parameters(), lr=recipe.rate, weight_decay=recipe.decay
        )
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimiser, self._steps)

    def go_on(self, steps: int) -> None:
        """Learn for so many steps more."""
        for _ in range(steps):
            loss = self._head.loss(*self._batch())
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._schedule.step()

    def embed(self, rows: Tensor, side: int) -> Array:
        """Rows ``(n, d)`` to embeddings."""
        return _embedded(self._head, rows, side)

    @property
    def parameters(self) -> list[NDArray[np.float32]]:
        """Those of the head as they are now."""
        return [one.detach().numpy().copy() for one in self._head.parameters()]

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of either role, each side of one draw, and which are of one person."""
        first, second = drawn(self._random, self._rows.mates, self._rows.own, PEOPLE)
        sides = [draws[int(self._random.integers(len(draws)))] for draws in self._rows.sides]
        owner = self._rows.owner
        same = torch.from_numpy(owner[first][:, None] == owner[second][None, :])
        return sides[0][first], sides[1][second], same


def _built(recipe: Recipe, training: Training, width: int, *, seed: int) -> Head:
    """A new head; nobody else's draws change."""
    one_kind = (training.roles[0] == ORIGINAL) == (training.roles[1] == ORIGINAL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return recipe.build(width, one_kind)


def _embedded(head: Head, rows: Tensor, side: int) -> Array:
    with torch.no_grad():
        return head.embed(rows, side).double().numpy()


class _Forms:
    """Closed forms that leave parts of the attacker's patients out, each fitted once."""

    def __init__(self, training: Training, penalty: float | None) -> None:
        self._training, self._penalty, self._parts = training, penalty, training.parts
        self._draws = [
            [centred(draw) for draw in side] for side in (training.query, training.gallery)
        ]
        self._owner = owners(training.records)
        self._mates = mates(training.records)
        self._known: dict[frozenset[int], Weights] = {}

    def without(self, *left_out: int) -> Rows:
        """All images but those of `left_out`, each carried by a form without these and its own."""
        carried = [[np.zeros_like(draw) for draw in side] for side in self._draws]
        taken = ~np.isin(self._parts, left_out)
        for part in np.unique(self._parts[taken]):
            own = np.flatnonzero(self._parts == part)
            found = self._fitted(frozenset((*left_out, int(part))))
            for side, weight in enumerate((found.query, found.gallery)):
                for number, draw in enumerate(self._draws[side]):
                    carried[side][number][own] = draw[own] @ weight
        query, gallery = ([_rows(draw) for draw in side] for side in carried)
        # A person's images are all of one part.
        several = [units for units in self._mates if taken[units[0][0]]]
        return Rows((query, gallery), several, self._owner, np.flatnonzero(taken))

    def _fitted(self, left_out: frozenset[int]) -> Weights:
        if left_out not in self._known:
            others = np.flatnonzero(~np.isin(self._parts, list(left_out)))
            found = weights(self._training.of(others), self._penalty)
            self._known[left_out] = _canonical(found, self._training.roles)
        return self._known[left_out]


def _canonical(found: Weights, roles: tuple[str, str]) -> Weights:
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


def _measured(
    training: Training, rows: Rows, heads: Mapping[int, _Fitting | None]
) -> dict[str, float]:
    """By person, the share found among `AMONG` people of the own part, by that part's head."""
    folds = []
    for part, head in heads.items():
        own = np.flatnonzero(training.parts == part)
        seen = [draws[0][own] for draws in rows.sides]
        query, gallery = (
            one.double().numpy() if head is None else head.embed(one, side)
            for side, one in enumerate(seen)
        )
        of_them = [training.records[row] for row in own.tolist()]
        found = scores(query, gallery, of_them, training.roles)
        if found is not None:
            folds.append(found)
    return found_by_person(folds)


def _rows(carried: Array) -> Tensor:
    return torch.from_numpy(normalised(carried)).float()
