"""What the attacker that finds most would find if it had fewer patients to learn from.

While that still rises, one with more patients finds more, and every figure is a least.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.bench import Bench
from deid.audit.figures import Draws, Scores, difference, found_first
from deid.audit.linkages import ORIGINAL, Linkage
from deid.audit.trials import Trial, several
from mami_core.data import Record
from mami_core.evaluation import patient_mean
from mami_core.evaluation.yardsticks import FEWEST
from mami_core.files import as_bytes

#: Of the attacker's patients.
SHARES = (0.25, 0.5, 1.0)


def patients_curve(bench: Bench, name: str, linkage: Linkage, draws: Draws) -> dict[str, Any]:
    """Fit an adaptive attacker on fewer and fewer of its patients.

    Returns
    -------
    ``attacker, linkage``; ``points``, of each share ``people`` (who teach, at least), and the share
    of patients who are found first among ``n``, with its interval, or why it is ``undecidable``;
    ``gain``, what the last step added, patient by patient, with its interval (``value, low,
    high``), and whether it ``rises``; both None where there is no last step.
    """
    folds = {
        share: _with(bench, share).of(linkage).tried(name, linkage, adaptive=True)
        for share in SHARES
    }
    people = min((fold.size for found in folds.values() for fold in found), default=0)
    points = [_point(bench, share, found, people) for share, found in folds.items()]
    fewer, all_of_them = (folds[share] for share in SHARES[-2:])
    gain = None
    if fewer and all_of_them:
        lost = difference(fewer, all_of_them, people, draws)
        gain = {"value": -lost["value"], "low": -lost["high"], "high": -lost["low"]}
    return {
        "attacker": name,
        "linkage": linkage.name,
        "points": points,
        "gain": gain,
        "rises": None if gain is None else gain["value"] > 0.0,
    }


def strongest(source: Mapping[str, Any]) -> tuple[str, str] | None:
    """Linkage and name of the adaptive attacker that finds most; copies are no claim.

    Originals count where nothing else was tried. None where too few patients have a mate for a
    sentence about them: a curve would be one.
    """
    if not source["decidable"]:
        return None
    linkages: Mapping[str, Any] = source["linkages"]
    protected = {name: one for name, one in linkages.items() if name not in (ORIGINAL, "copy")}
    found = {
        name: one["adaptive"]["largest"]
        for name, one in (protected or linkages).items()
        if "value" in (one.get("adaptive", {}).get("largest") or {})
    }
    if not found:
        return None
    linkage = max(found, key=lambda name: float(found[name]["value"]))
    return linkage, found[linkage]["attacker"]


def _with(bench: Bench, share: float) -> Bench:
    """The bench of an attacker with a share of its patients; with no trial where they are few."""
    if share == 1.0:
        return bench
    trials = tuple(
        Trial(_some(trial.own, bench.records, share), trial.tested) for trial in bench.plan.trials
    )
    enough = all(several([bench.records[row] for row in one.own]) >= FEWEST for one in trials)
    return replace(
        bench, plan=replace(bench.plan, trials=trials if enough else ()), _fits={}, _undoing=[]
    )


def _some(rows: NDArray[np.intp], records: Sequence[Record], share: float) -> NDArray[np.intp]:
    """Rows of the first people by a hash of the name: more people hold those of fewer."""
    people = sorted(
        {records[row].person for row in rows},
        key=lambda one: hashlib.sha256(as_bytes("/".join(("curve", *one)))).digest(),
    )
    taken = set(people[: math.ceil(share * len(people))])
    return rows[[records[row].person in taken for row in rows]]


def _point(bench: Bench, share: float, folds: Sequence[Scores], people: int) -> dict[str, Any]:
    teachers = [_some(trial.own, bench.records, share) for trial in bench.plan.trials]
    count = min((len({bench.records[row].person for row in rows}) for rows in teachers), default=0)
    if not folds:
        return {"share": share, "people": count, "undecidable": "too few people to learn from"}
    names = np.concatenate([fold.people for fold in folds])
    _, patient = np.unique(names, return_inverse=True)
    found = patient_mean(found_first(folds, people), patient).as_dict()
    return {"share": share, "people": count, "n": people, **found}


def curve_in_words(curve: Mapping[str, Any]) -> str:
    """The curve as a sentence."""
    told = ", ".join(
        f"{100 * point['value']:.0f} with {point['people']:,}"
        if "value" in point
        else f"not decidable with {point['people']:,}"
        for point in curve["points"]
    )
    said = f"{curve['attacker']} ({curve['linkage']}) finds of 100 patients, by people who teach it"
    if curve["rises"] is None:
        return f"{said}: {told}; whether it would find more with more is not decidable"
    if curve["rises"]:
        return f"{said}: {told}; that still rises, and every figure is at least so much"
    return f"{said}: {told}; that rises no more"
