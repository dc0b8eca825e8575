"""What an attacker reads from its own image alone, by a classifier of its own patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deid.audit.bench import Bench
from deid.audit.closed_form import ridges
from deid.audit.linkages import ORIGINAL
from deid.audit.matching import part_of
from deid.audit.trials import Trial
from mami_core.data import Record
from mami_core.evaluation.inference import UNKNOWN, Codes

Array = NDArray[np.float64]

#: Penalties of the classifier, in units of the features' mean eigenvalue; the attacker's own
#: patients say which.
PENALTIES = (0.1, 1.0, 10.0, 100.0)
#: Whose features it reads by beside the attacker's own: a diagnosis is made to be read.
READERS = ("findings",)


@dataclass(frozen=True)
class Reading:
    """Values ``(n,)``, a row a record of the source: `UNKNOWN` where none is tested.

    Attributes
    ----------
    control
        Read from the image.
    naive
        The most frequent among the attacker's own patients.
    """

    control: Codes
    naive: Codes


def readers(bench: Bench, name: str) -> list[str]:
    """Whose features serve: the attacker's own and `READERS`, else those of all who learn."""
    learnt = [one for one, form in bench.own if form == ORIGINAL and one in bench.attackers]
    wanted = [one for one in (name, *READERS) if one in learnt]
    return list(dict.fromkeys(wanted or sorted(learnt)))


def reading(bench: Bench, names: Sequence[str], values: Codes) -> Reading:
    """Read every tested image by a classifier of other patients, whose values are known.

    Parameters
    ----------
    names
        Attackers whose features of originals it is read by.
    values
        The attribute of each record of the source, ``(n,)``.
    """
    control, naive = np.full(len(values), UNKNOWN), np.full(len(values), UNKNOWN)
    for trial in bench.plan.trials:
        own = trial.own[values[trial.own] != UNKNOWN]
        if not own.size:
            continue
        records = [bench.records[row] for row in own]
        share = _shares(records)
        naive[trial.tested] = np.bincount(values[own], share).argmax()
        mine, tested = _features(bench, names, Trial(own, trial.tested))
        control[trial.tested] = classified(mine, values[own], share, records, tested)
    return Reading(control, naive)


def classified(
    features: Array, values: Codes, share: Array, records: Sequence[Record], asked: Array
) -> Codes:
    """Values of the rows `asked`, by a ridge classifier of the rows `features`.

    Of several penalties that which is right most often on patients whom it was not fitted on.

    Parameters
    ----------
    share
        Weight of each row, ``(n,)``.
    records
        Of the rows: whose they are.
    """
    part = np.array([part_of(one) for one in records])

    right = dict.fromkeys(PENALTIES, 0.0)
    for number in np.unique(part):
        own, others = part == number, part != number
        if others.any():
            told = _said(features[others], values[others], share[others], features[own], PENALTIES)
            for penalty, said in zip(PENALTIES, told, strict=True):
                right[penalty] += float(share[own] @ (said == values[own]))
    best = max(PENALTIES, key=lambda one: right[one])
    return next(_said(features, values, share, asked, (best,)))


def _said(
    features: Array, values: Codes, share: Array, asked: Array, penalties: Sequence[float]
) -> Iterator[Codes]:
    """Values of the rows `asked` with each of the penalties."""
    kinds, place = np.unique(values, return_inverse=True)
    one_of = np.eye(len(kinds))[place]
    weight = (share / share.sum())[:, None]
    centre, usual = (weight * features).sum(axis=0), (weight * one_of).sum(axis=0)
    rooted = np.sqrt(weight)
    for by in ridges(rooted * (features - centre), rooted * (one_of - usual), penalties):
        yield np.asarray(kinds[((asked - centre) @ by + usual).argmax(axis=1)], dtype=np.intp)


def _shares(records: Sequence[Record]) -> Array:
    """Each image's part of its patient, so that every patient weighs the same."""
    _, whose = np.unique(["/".join(one.person) for one in records], return_inverse=True)
    return 1.0 / np.bincount(whose)[whose]


def _features(bench: Bench, names: Sequence[str], trial: Trial) -> tuple[Array, Array]:
    """Columns of several attackers side by side, each of spread 1 over the attacker's images."""
    blocks: tuple[list[Array], list[Array]] = ([], [])
    for name in names:
        seen = bench.attackers[name].seen
        mine, tested = (
            seen(table[name, ORIGINAL][rows], learnt=True).astype(np.float64)
            for table, rows in ((bench.own, trial.own), (bench.seen, trial.tested))
        )
        spread = mine.std(axis=0)
        spread = np.where(spread > 1e-9, spread, np.inf)
        for block, rows in zip(blocks, (mine, tested), strict=True):
            block.append((rows - mine.mean(axis=0)) / spread)
    return np.hstack(blocks[0]), np.hstack(blocks[1])
