"""Attackers that learn by gradient, started from the closed form.

The closed form fits its own patients almost without a fault (AUC 0.996 where it has 0.92 on
others), which leaves a gradient nothing to learn from. So a head learns on images that were each
carried by a closed form of other patients, and goes to work on the closed form of all. So does a
stage of the network below, whose features the same forms carry. How many steps are taken, which
restart is best, and whether it beats the closed form, is told by part after part of the attacker's
patients, whom neither head and stage nor any closed form of theirs has met. (Where closed forms had
met them, whitening alone looked like a gain of 0.05 to 0.1 that was not there.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deid.audit.closed_form import chosen, weights
from deid.audit.finished import Finished, finished
from deid.audit.forms import Carried, Forms, Read, Rows, canonical, carried
from deid.audit.learner import Learner, Recipe
from deid.audit.matching import Array, Map, Matcher, Training, centred, linear
from deid.audit.own_patients import (
    FEWEST_PATIENTS,
    beside_closed_form,
    drawn,
    found_by_person,
    scores,
)

#: Parts without more of whom nothing can be told.
FEWEST_PARTS = 2

CLOSED_FORM, GRADIENT = "closed form", "gradient"


def learnt(training: Training, recipe: Recipe) -> Matcher:
    """Learn a head, and what is below, in the roles of `training`.

    Returns
    -------
    A matcher whose ``told`` has ``kept`` (`CLOSED_FORM` or `GRADIENT`), what is found of left-out
    patients among `AMONG` people by ``closed_form`` and by ``gradient``, ``patients`` (how many
    these are), ``reached`` (whether the gradient's is not less by more than chance), ``restarts``
    (as many as were made), ``steps`` of the best, what the best restart ``found`` after so many
    ``steps`` (``by_steps``), and whether the budget ``cut`` it short.
    """
    found = finished(training, recipe, partial(_learnt, training, recipe))
    if found is None:
        start = weights(_by_features(training, recipe))
        return _linear(recipe, start.query, start.gallery)
    if found.told["kept"] == CLOSED_FORM:
        return _linear(recipe, found.query, found.gallery, found.told)
    learner = Learner(recipe, training, found.query.shape[1], seed=0)
    learner.take(found.head)

    def mapped(weight: Array, side: int) -> Map:
        return lambda rows: learner.embed(_seen(recipe, rows, weight), side)

    return Matcher(mapped(found.query, 0), mapped(found.gallery, 1), found.told)


def left_out(training: Training) -> dict[str, float]:
    """What the closed form finds of the attacker's own patients who are left out of it.

    Returns
    -------
    By person, the share of images by which the person is found first among `AMONG` people of the
    part that is left out; empty where they are too few to leave any out.
    """
    return _bar(training, Forms(training, chosen(training)))


def _bar(training: Training, forms: Forms) -> dict[str, float]:
    names = [int(part) for part in np.unique(training.parts)]
    if len(names) <= FEWEST_PARTS:
        return {}
    found = _measured(training, forms.without(), dict.fromkeys(names))
    return found if len(found) >= FEWEST_PATIENTS else {}


def _learnt(training: Training, recipe: Recipe) -> Finished | None:
    """None where the attacker's patients are too few to leave any out."""
    ends = time.monotonic() + 60.0 * training.effort.minutes
    features = _by_features(training, recipe)
    whole = weights(features)
    parts = training.parts
    sides = training.query, training.gallery
    forms = Forms(features, whole.choice, [[_read(recipe, one) for one in side] for side in sides])
    bar = _bar(features, forms)
    if not bar:
        return None
    names = [int(part) for part in np.unique(parts)]
    measure = partial(_measured, features, forms.without())
    best, told = _best(
        features, recipe, {part: forms.without(part) for part in names}, measure, ends
    )
    beside, more = beside_closed_form(best.found, bar)
    said = beside | told
    start = canonical(whole, training.roles)
    if recipe.falls_back and not more:
        return Finished(start.query, start.gallery, (), said | {"kept": CLOSED_FORM})
    fitting = _Fitting(recipe, features, forms.without(), best.restart, len(names))
    fitting.go_on(best.stop * recipe.every)
    head = fitting.learner.parameters
    return Finished(start.query, start.gallery, head, said | {"kept": GRADIENT})


def _by_features(training: Training, recipe: Recipe) -> Training:
    """What closed forms are fitted on."""
    return training if recipe.below is None else recipe.below.by_features(training)


def _features(recipe: Recipe, rows: NDArray[Any]) -> NDArray[Any]:
    return rows if recipe.below is None else recipe.below.features(rows)


def _read(recipe: Recipe, rows: NDArray[Any]) -> Read | None:
    return None if recipe.below is None else recipe.below.read(rows)


def _linear(
    recipe: Recipe,
    query: Array,
    gallery: Array,
    told: Mapping[str, Any] = MappingProxyType({}),
) -> Matcher:
    """The closed form alone, of rows that may hold what a stage reads as well."""

    def mapped(weight: Array) -> Map:
        form = linear(weight)
        return lambda rows: form(_features(recipe, rows))

    return Matcher(mapped(query), mapped(gallery), told)


def _seen(recipe: Recipe, rows: NDArray[np.floating], weight: Array) -> Carried:
    """Rows of new images, carried by one map."""
    form = np.zeros(len(rows), dtype=np.intp)
    return carried(centred(_features(recipe, rows)), form, [weight], _read(recipe, rows))


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
    by_steps = [
        {"steps": one.stop * recipe.every, "found": one.value}
        for one in tries
        if one.restart == best.restart
    ]
    said = {"restarts": restart, "steps": best.stop * recipe.every, "cut": cut}
    return best, said | {"by_steps": by_steps}


class _Fitting:
    """What learns, while it does."""

    def __init__(
        self, recipe: Recipe, training: Training, rows: Rows, restart: int, number: int
    ) -> None:
        self._rows, self._people = rows, recipe.people
        self._random = np.random.default_rng((training.effort.seed, restart, number))
        width = rows.sides[0][0].rows.shape[1]
        self.learner = Learner(recipe, training, width, seed=int(self._random.integers(2**31)))
        self._optimiser = torch.optim.AdamW(self.learner.groups, weight_decay=recipe.decay)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self._optimiser, recipe.stops * recipe.every
        )

    def go_on(self, steps: int) -> None:
        """Learn for so many steps more."""
        for _ in range(steps):
            loss = self.learner.loss(*self._batch())
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._schedule.step()

    def _batch(self) -> tuple[Carried, Carried, Tensor]:
        """Rows of either role, each side of one draw, and which are of one person."""
        first, second = drawn(self._random, self._rows.mates, self._rows.own, self._people)
        sides = [draws[int(self._random.integers(len(draws)))] for draws in self._rows.sides]
        owner = self._rows.owner
        same = torch.from_numpy(owner[first][:, None] == owner[second][None, :])
        return sides[0].of(first), sides[1].of(second), same


def _measured(
    training: Training, rows: Rows, fittings: Mapping[int, _Fitting | None]
) -> dict[str, float]:
    """By person, the share found among `AMONG` people of the own part, by that part's learner."""
    folds = []
    for part, fitting in fittings.items():
        own = np.flatnonzero(training.parts == part)
        seen = [draws[0].of(own) for draws in rows.sides]
        query, gallery = (
            one.rows.double().numpy() if fitting is None else fitting.learner.embed(one, side)
            for side, one in enumerate(seen)
        )
        of_them = [training.records[row] for row in own.tolist()]
        found = scores(query, gallery, of_them, training.roles)
        if found is not None:
            folds.append(found)
    return found_by_person(folds)
