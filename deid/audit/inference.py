"""The third criterion of Opinion 05/2014: attributes that a released record gives away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.bench import Bench
from deid.audit.exposure import age_band
from deid.audit.figures import Draws
from deid.audit.linkages import ORIGINAL, Linkage
from deid.audit.reading import readers, reading
from mami_core.data import Record
from mami_core.evaluation import patient_mean
from mami_core.evaluation.inference import UNKNOWN, Codes, Flags, added, guessed, read_off
from mami_core.evaluation.protocol import cosines, normalised, numbers, pooled, usable

Array = NDArray[np.float64]

#: Patients that a figure takes, and how many of them the majority must not speak for.
FEWEST, FEWEST_APART = 30, 10


def speaks_of(linkage: Linkage) -> bool:
    """Whether the query is an image that the attacker holds, and the gallery what is released."""
    return linkage.query == ORIGINAL and not linkage.copies


def inference(
    bench: Bench, name: str, linkage: Linkage, *, adaptive: bool, finds: bool, draws: Draws
) -> dict[str, Any]:
    """What one attacker learns by linking, beside a guess and what its own image says.

    Parameters
    ----------
    finds
        Whether it finds more people than a guess does, by its interval. Of one that does not, what
        is found first is anybody's, however far its attribute is from what reading an image says.

    Returns
    -------
    ``attacker``; ``read_by``, whose features the control reads by; ``attributes``, a list of
    ``attribute, main, naive, control`` (shares of patients with intervals), ``added`` (see
    `mami_core.evaluation.inference.added`), ``records``, the fewest that were searched, and
    ``weak``, whether linking was no better than a guess, of people or of the attribute; or of
    ``attribute, undecidable``.
    """
    by = readers(bench, name)
    folds = [
        fold
        for embedded in bench.embedded(name, linkage, adaptive=adaptive)
        if (fold := _searched(bench.records, *embedded))
    ]
    told = [
        {"attribute": attribute} | _figures(bench, folds, by, values, finds, draws)
        for attribute, values in attributes(bench.records)
    ]
    return {"attacker": name, "read_by": by, "attributes": told}


@dataclass(frozen=True)
class _Fold:
    """Records of one fit: rows of the source, scores, and which are of one person or of two."""

    rows: NDArray[np.intp]
    scores: Array
    mates: Flags
    others: Flags


def _searched(
    records: Sequence[Record],
    tested: NDArray[np.intp],
    query: NDArray[np.floating],
    gallery: NDArray[np.floating],
) -> _Fold | None:
    """A fit's records, each searched for among all; None where nobody has another."""
    rows = tested[usable([records[row] for row in tested])]
    if not rows.size:
        return None
    place = {id(records[row]): row for row in rows}
    part = np.isin(tested, rows)
    asked, kept = pooled(query[part], [records[row] for row in rows])
    held, _ = pooled(gallery[part], [records[row] for row in rows])
    patient = numbers([one.person for one in kept])
    subject = numbers([(one.person, one.subject) for one in kept])
    unit = numbers([(one.person, one.subject, one.unit) for one in kept])
    mates = (subject[:, None] == subject) & (unit[:, None] != unit)
    return _Fold(
        np.array([place[id(record)] for record in kept]),
        cosines(normalised(asked), normalised(held)),
        mates,
        patient[:, None] != patient,
    )


def attributes(records: Sequence[Record]) -> Iterator[tuple[str, Codes]]:
    """Attributes that images are known to have, with the code of each image's value, ``(n,)``.

    Sex, age band, and each finding that somebody has and somebody has not.
    """
    yield from _coded("sex", [one.sex or None for one in records])
    ages = [None if one.age is None else age_band(one.age) for one in records]
    yield from _coded("age band", ages)
    for finding in sorted({name for one in records for name in one.findings}):
        yield from _coded(finding, [one.findings.get(finding) for one in records])


def _coded(name: str, values: Sequence[object | None]) -> Iterator[tuple[str, Codes]]:
    kinds = sorted({str(value) for value in values if value is not None})
    if len(kinds) > 1:
        place = {kind: number for number, kind in enumerate(kinds)}
        codes = [UNKNOWN if value is None else place[str(value)] for value in values]
        yield name, np.array(codes, dtype=np.intp)


def _figures(
    bench: Bench,
    folds: Sequence[_Fold],
    by: Sequence[str],
    values: Codes,
    finds: bool,
    draws: Draws,
) -> dict[str, Any]:
    """Of one attribute; or why there are none."""
    if not folds:
        return {"undecidable": "nobody has another image"}
    rows = np.concatenate([fold.rows for fold in folds])
    main = np.concatenate(
        [read_off(fold.scores, fold.mates, fold.others, values[fold.rows]) for fold in folds]
    )
    decided = ~np.isnan(main)
    patients = np.array(["/".join(bench.records[row].person) for row in rows[decided]])
    names, whose = np.unique(patients, return_inverse=True)
    if names.size < FEWEST:
        return {"undecidable": f"it is known of {names.size} patients, and takes {FEWEST}"}
    known = values[rows[decided]]
    usual = np.bincount(known[known != UNKNOWN], minlength=1).argmax()
    if np.unique(patients[(known != usual) & (known != UNKNOWN)]).size < FEWEST_APART:
        return {"undecidable": f"fewer than {FEWEST_APART} patients differ from the majority"}
    if not bench.plan.trials or not by:
        return {"undecidable": "nobody could learn to read it from the image"}
    read = reading(bench, by, values)
    naive, control = (
        np.concatenate([guessed(guess[fold.rows], fold.mates, values[fold.rows]) for fold in folds])
        for guess in (read.naive, read.control)
    )
    shares = [part[decided] for part in (main, naive, control)]
    linked, majority, alone = (patient_mean(part, whose) for part in shares)
    each = [np.bincount(whose, part) / np.bincount(whose) for part in shares]
    value, low, high = added(each[0], each[2], resamples=draws.resamples, seed=draws.seed)
    if np.isnan(value):
        return {"undecidable": "the attacker's own image always says it"}
    searched = min(int(_known_others(fold, values).sum(axis=1).min()) for fold in folds) + 1
    return {
        "main": linked.as_dict(),
        "naive": majority.as_dict(),
        "control": alone.as_dict(),
        "added": {"value": value, "low": low, "high": high, "patients": int(names.size)},
        "records": searched,
        "weak": not finds or linked.value <= majority.value,
    }


def _known_others(fold: _Fold, values: Codes) -> Flags:
    return fold.others & (values[fold.rows] != UNKNOWN)
