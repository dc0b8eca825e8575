"""A whole network that learns who is who, from the pictures of the attacker's own patients.

Packhaeuser's recipe (Scientific Reports 2022): a pretrained network, one layer to 128 numbers, the
verifier on the difference of two images, binary cross-entropy over as many pairs of one person as
of two, Adam. Here a pair stands in the very roles of the test. One part of the patients is left
out; what is found of them says which state of which restart goes to work, and when no more is to be
had. The bar is the closed form on the same network's frozen features, fitted on the same others.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deid.audit.closed_form import closed_form
from deid.audit.finished import Finished, finished
from deid.audit.gradient import GRADIENT
from deid.audit.matching import Array, Matcher, Training
from deid.audit.own_patients import (
    FEWEST_PATIENTS,
    beside_closed_form,
    drawn,
    found_by_person,
    mates,
    owners,
    scores,
)
from deid.audit.undoing import pictures
from mami_core.evaluation.embed import BATCH
from mami_core.models.verifier import NUMBERS, Verifier
from mami_core.models.whiten import Depths, resized

#: Side of the pictures that he trains on.
HIS_SIDE = 256

Rows = NDArray[Any]


@dataclass(frozen=True)
class Recipe:
    """How it learns.

    Attributes
    ----------
    rate
        Of Adam (his).
    people
        Of a step: as many pairs of one person, and as many of two (his 32 pairs).
    stops, every
        How often at most it is measured, and steps in between.
    patience
        Stops without gain after which a restart ends (his 5 epochs).
    """

    rate: float = 1e-4
    people: int = 16
    stops: int = 40
    every: int = 100
    patience: int = 5


@dataclass(frozen=True)
class Start:
    """What it starts from.

    Attributes
    ----------
    frozen
        The pretrained network, where it will learn.
    side
        Of the pictures that are learnt from.
    sha256
        Of the network's weights.
    """

    frozen: Depths
    side: int
    sha256: str
    recipe: Recipe = Recipe()


def learnt(training: Training, start: Start) -> Matcher:
    """Learn in the roles of `training`, whose rows are pictures (`deid.audit.undoing.rows_of`).

    Returns
    -------
    A matcher that says of itself what `deid.audit.gradient.learnt` says. Where the attacker's
    patients are too few to leave any out, the closed form on the frozen features, which says
    nothing.
    """
    decides = (start.recipe, start.side, start.sha256)
    found = finished(training, decides, partial(_learnt, training, start))
    if found is None:
        form = _form(training, start)
        return Matcher(
            lambda rows: form.of_queries(_frozen(start, rows)),
            lambda rows: form.of_gallery(_frozen(start, rows)),
        )
    network = _Network(start, seed=0)
    held = zip(network.state_dict(), found.head, strict=True)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in held})
    embed = partial(_embedded, network)
    return Matcher(embed, embed, found.told)


def _learnt(training: Training, start: Start) -> Finished | None:
    """None where the attacker's patients are too few to leave any out."""
    ends = time.monotonic() + 60.0 * training.effort.minutes
    left_out, others = _divided(training)
    bar = _bar(training, start, left_out, others)
    if len(bar) < FEWEST_PATIENTS or not mates([training.records[row] for row in others]):
        return None
    best, told = _best(training.of(others), training.of(left_out), start, ends)
    beside, _ = beside_closed_form(best.found, bar)
    said = {**beside, "kept": GRADIENT, **told}
    nothing = np.zeros((0, 0))
    return Finished(nothing, nothing, best.state, said)


def _divided(training: Training) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the part of the patients that is left out, and of the others.

    It is the part in which most can be matched: it has to tell much, and they may be few (9 to 23
    on nih).
    """
    parts = training.parts
    matched = Counter(int(parts[units[0][0]]) for units in mates(training.records))
    left_out = parts == max(sorted(matched), key=lambda part: matched[part], default=-1)
    return np.flatnonzero(left_out), np.flatnonzero(~left_out)


def _bar(
    training: Training, start: Start, left_out: NDArray[np.intp], others: NDArray[np.intp]
) -> dict[str, float]:
    """By person who is left out, what the closed form on the frozen features finds."""
    if not len(left_out) or not len(others):
        return {}
    form, own = _form(training.of(others), start), training.of(left_out)
    return _found(
        own,
        form.of_queries(_frozen(start, own.query[0])),
        form.of_gallery(_frozen(start, own.gallery[0])),
    )


def _form(training: Training, start: Start) -> Matcher:
    query, gallery = (
        [_frozen(start, draw) for draw in draws] for draws in (training.query, training.gallery)
    )
    original = _frozen(start, training.original)
    return closed_form(replace(training, query=query, gallery=gallery, original=original))


def _found(own: Training, query: Array, gallery: Array) -> dict[str, float]:
    fold = scores(query, gallery, own.records, own.roles)
    return {} if fold is None else found_by_person([fold])


@dataclass(frozen=True)
class _State:
    """A network at one stop: by left-out person what share was found, and all that it holds."""

    found: Mapping[str, float]
    steps: int
    state: list[NDArray[Any]]

    @property
    def value(self) -> float:
        return float(np.mean(list(self.found.values())))


def _best(
    training: Training, left_out: Training, start: Start, ends: float
) -> tuple[_State, dict[str, Any]]:
    """The state that finds most of those who are left out; every restart has its own draws."""
    recipe, restarts = start.recipe, training.effort.restarts
    best: _State | None = None
    by_steps: list[dict[str, float]] = []
    restart, cut = 0, False
    while restart < restarts and not cut:
        fitting = _Fitting(training, start, restart)
        highest, idle, stop = -1.0, 0, 0
        walk: list[dict[str, float]] = []
        while stop < recipe.stops and idle < recipe.patience and not cut:
            in_time = fitting.go_on(recipe.every, ends)
            seen = (
                _embedded(fitting.network, one[0]) for one in (left_out.query, left_out.gallery)
            )
            found = _found(left_out, *seen)
            value = float(np.mean(list(found.values())))
            walk.append({"steps": fitting.steps, "found": value})
            stop, idle = stop + 1, 0 if value > highest else idle + 1
            highest = max(value, highest)
            if best is None or value > best.value:
                best = _State(found, fitting.steps, fitting.network.held())
                by_steps = walk
            over = stop == recipe.stops or idle == recipe.patience
            cut = not in_time and not (over and restart + 1 == restarts)
        restart += 1
    assert best is not None
    said = {"restarts": restart, "steps": best.steps, "cut": cut}
    return best, said | {"by_steps": by_steps}


class _Network(nn.Module):
    """A network of its own, its layer, and the verifier."""

    mean: Tensor
    std: Tensor

    def __init__(self, start: Start, seed: int) -> None:
        super().__init__()
        self.side = start.side
        self.trunk: Any = copy.deepcopy(start.frozen.trunk).requires_grad_(True)
        self.where = start.frozen.mean.device
        self.register_buffer("mean", start.frozen.mean.clone(), persistent=False)
        self.register_buffer("std", start.frozen.std.clone(), persistent=False)
        width = getattr(self.trunk, "head_hidden_size", None) or self.trunk.num_features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layer = nn.Linear(int(width), NUMBERS)
        self.verifier = Verifier()
        self.to(self.where)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in 0..1 to numbers ``(B, NUMBERS)``."""
        numbers: Tensor = self.layer(self.trunk((images - self.mean) / self.std))
        return numbers

    def held(self) -> list[NDArray[Any]]:
        """All that it holds, in order."""
        return [one.detach().cpu().numpy().copy() for one in self.state_dict().values()]


class _Fitting:
    """A network while it learns."""

    def __init__(self, training: Training, start: Start, restart: int) -> None:
        self._training, self._people = training, start.recipe.people
        self._random = np.random.default_rng((training.effort.seed, restart))
        self._several, self._owner = mates(training.records), owners(training.records)
        self._every_row = np.arange(len(training.records))
        self.network = _Network(start, seed=int(self._random.integers(2**31)))
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=start.recipe.rate)
        self.steps = 0

    def go_on(self, steps: int, ends: float) -> bool:
        """Learn for so many steps more, one at least; False where time was up."""
        self.network.train()
        for _ in range(steps):
            self._step()
            if time.monotonic() > ends:
                return False
        return True

    def _step(self) -> None:
        first, second = drawn(self._random, self._several, self._every_row, self._people)
        sides = (
            (draws[int(self._random.integers(len(draws)))], rows)
            for draws, rows in (
                (self._training.query, first),
                (self._training.gallery, second),
            )
        )
        # Both roles at once: one normalisation of the batch, as it will be at work.
        shown = np.concatenate([draw[rows] for draw, rows in sides])
        query, gallery = self.network(_images(self.network, shown)).split([len(first), len(second)])
        same = torch.from_numpy(self._owner[first][:, None] == self._owner[second][None, :])
        shift = int(self._random.integers(1, max(len(second), 2)))
        loss = self.network.verifier.loss(query, gallery, same.to(query.device), shift)
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        self.steps += 1


def _images(network: _Network, rows: Rows) -> Tensor:
    shown = torch.from_numpy(pictures(rows, network.side))
    return shown.to(network.where).float() / 255.0


def _embedded(network: _Network, rows: Rows) -> Array:
    """Rows ``(n, d)`` to codes."""
    network.eval()
    batch = BATCH[network.where.type]
    with torch.no_grad():
        parts = [
            network.verifier.code(network(_images(network, rows[low : low + batch]))).cpu().numpy()
            for low in range(0, len(rows), batch)
        ]
    return np.concatenate(parts).astype(np.float64)


def _frozen(start: Start, rows: Rows) -> Array:
    """Rows ``(n, d)`` to the frozen network's features of several depths."""
    frozen = start.frozen
    batch = BATCH[frozen.mean.device.type]

    def seen(low: int) -> Array:
        shown = torch.from_numpy(pictures(rows[low : low + batch], start.side))
        images = resized(shown.to(frozen.mean.device).float() / 255.0, frozen.side)
        with torch.no_grad():
            return frozen(images).double().cpu().numpy()

    return np.concatenate([seen(low) for low in range(0, len(rows), batch)])
