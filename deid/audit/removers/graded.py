"""Removers that leave so much of a person and no more."""

from __future__ import annotations

import numpy as np

from deid.audit.removers.blur import blurred
from deid.audit.removers.registry import (
    REMOVERS,
    SIDE,
    Change,
    Donors,
    Entry,
    Picture,
    Remover,
    remover,
    working,
)

#: A mark is so many cells to a side, each a shade brighter or darker than the middle.
CELLS, SHADE = 8, 0.05
#: Share of the bits that flip, and high-pass in pixels of 224, where nothing else is asked.
FLIPS, SIGMA = 0.3, 4.0
DIGEST = 32


@remover("blend", parameter=0.3, most=1.0, fitted=True, planted=True)
def blend(share: float, donors: Donors) -> Change:
    """Somebody else's picture, with such a share of the own high-pass."""

    def change(picture: Picture, code: np.random.Generator) -> Picture:
        other = donors.squares[code.integers(len(donors))].astype(np.float32) / np.float32(255.0)
        return other + np.float32(share) * (picture - blurred(picture, SIGMA))

    return change


def mark(flips: float, _: Donors) -> Remover:
    """See `bayes_auc` for what is left to find."""

    def edit(picture: Picture, modality: str | None, code: bytes, strength: float) -> Picture:
        if strength == 0.0:
            return picture
        person, drawn = (
            np.random.default_rng(int.from_bytes(part, "big"))
            for part in (code[:DIGEST], code[DIGEST:])
        )
        bits = person.random((CELLS, CELLS)) < 0.5
        seen = bits ^ (drawn.random((CELLS, CELLS)) < flips)
        shades = np.float32(0.5) + np.float32(SHADE) * np.where(seen, 1, -1).astype(np.float32)
        plane = np.kron(shades, np.ones((SIDE // CELLS, SIDE // CELLS), dtype=np.float32))
        before = working(picture)
        after = before + np.float32(strength) * (plane[..., None] - before)
        return after[..., 0] if picture.ndim == 2 else after

    return Remover(edit, marked=True)


def bayes_auc(flips: float) -> float:
    """The AUC of pairs of two releases that nobody can surpass, with ties as half.

    Two marks of a person agree in a bit with probability ``(1 - p)^2 + p^2``, those of two people
    with 1/2; the number of bits that agree says all.
    """
    from scipy.stats import binom

    counts = np.arange(CELLS * CELLS + 1)
    mates = binom.pmf(counts, CELLS * CELLS, (1.0 - flips) ** 2 + flips**2)
    others = binom(CELLS * CELLS, 0.5)
    return float((mates * (others.cdf(counts) - others.pmf(counts) / 2.0)).sum())


REMOVERS["mark"] = Entry(
    "mark",
    "A grey picture with a faint mark of the person, whose bits flip with such a probability",
    FLIPS,
    fitted=False,
    planted=True,
    build=mark,
    most=1.0,
)
