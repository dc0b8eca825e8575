"""Who teaches an attacker, and whom it is tested on: never the same patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deid.audit.matching import PARTS, part_of
from mami_core.data import Dataset, Record
from mami_core.evaluation.protocol import usable
from mami_core.evaluation.yardsticks import FEWEST, AbsentError, fit_on


@dataclass(frozen=True)
class Trial:
    """Rows of one source: of the attacker's own images, and of the tested ones."""

    own: NDArray[np.intp]
    tested: NDArray[np.intp]


@dataclass(frozen=True)
class Plan:
    """How a source is tested.

    Attributes
    ----------
    tested
        Rows of the split.
    trials
        Of an attacker that learns; none where too few patients could teach it.
    basis
        What it learns from, or why it can not, in words.
    """

    tested: NDArray[np.intp]
    trials: tuple[Trial, ...]
    basis: str

    def without(self, rows: NDArray[np.intp]) -> Plan:
        """The same plan, in which `rows` are not tested."""
        return Plan(
            np.setdiff1d(self.tested, rows),
            tuple(Trial(trial.own, np.setdiff1d(trial.tested, rows)) for trial in self.trials),
            self.basis,
        )

    def readable(self, lost: Collection[int]) -> Plan:
        """The same plan, in which the rows `lost` neither teach nor are tested."""
        gone = np.array(sorted(lost), dtype=np.intp)
        trials = tuple(replace(trial, own=np.setdiff1d(trial.own, gone)) for trial in self.trials)
        return replace(self, trials=trials).without(gone)


def in_split(record: Record, split: str) -> bool:
    """Whether an image is tested; ``all`` is every split."""
    return split in ("all", record.split)


def nobody(record: Record) -> bool:
    """The patients of a remover that is fitted on nobody."""
    return False


def plan(source: Dataset, split: str, taken: Callable[[Record], bool] = nobody) -> Plan:
    """Divide one source: `train` teaches, else the split itself over five parts of its patients.

    Parameters
    ----------
    source
        All splits of it.
    taken
        Images of patients who are neither tested nor the attacker's: the remover's own.
    """
    records = source.records
    tested = rows_where([in_split(record, split) and not taken(record) for record in records])
    if split in ("val", "test"):
        try:
            free = fit_on(source.select(lambda record: not taken(record)))
        except AbsentError:
            pass
        else:
            teachers = {record.person for record in free.records}
            own = rows_where([r.split == "train" and r.person in teachers for r in records])
            return Plan(tested, (Trial(own, tested),), f"{len(teachers)} people of 'train'")
    part = np.array([part_of(records[index]) for index in tested])
    trials = tuple(
        Trial(tested[part != number], tested[part == number])
        for number in range(PARTS)
        if (part == number).any()
    )
    fewest = min((several([records[i] for i in t.own]) for t in trials), default=0)
    if fewest < FEWEST:
        return Plan(
            tested,
            (),
            f"{fewest} people with several images could teach it, and it takes {FEWEST}",
        )
    return Plan(tested, trials, f"the tested patients, in {len(trials)} parts, each by the others")


def rows_where(chosen: Sequence[bool]) -> NDArray[np.intp]:
    """Numbers of the rows that are chosen."""
    return np.flatnonzero(np.array(chosen, dtype=bool))


def several(records: Sequence[Record]) -> int:
    """People with several images, whose names are sure."""
    sure = Counter(records[index].person for index in usable(records))
    return sum(count > 1 for count in sure.values())
