"""One audit from a data set to a record of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import deid
from deid.audit.attackers import ATTACKERS, Attacker, Entry
from deid.audit.attackers import named as attackers_named
from deid.audit.figures import Scores, by_patient, figures, found_first, largest, score
from deid.audit.linkages import LINKAGES, ORIGINAL, Linkage
from deid.audit.looking import look, unchanged
from deid.audit.matching import Matcher, Training, as_it_comes, closed_form
from deid.audit.trials import Plan, Trial, plan
from deid.audit.trouble import AuditError
from deid.audit.words import not_tested
from mami_core.data import Dataset, Record
from mami_core.evaluation.protocol import usable
from mami_core.evaluation.yardsticks import AbsentError

if TYPE_CHECKING:
    from deid.audit.looking import Form

#: Of the record that an audit gives; raised when a field changes its meaning.
SCHEMA = 1
#: Patients with a mate that a sentence about a data set takes.
FEWEST_PATIENTS = 30

FIXED, ADAPTIVE = "fixed", "adaptive"

Features = Mapping[tuple[str, str], NDArray[np.float32]]


@dataclass(frozen=True)
class Options:
    """What an audit is asked for; the fields are those of ``deid audit``."""

    attackers: tuple[str, ...] = tuple(ATTACKERS)
    split: str = "val"
    gallery_size: int | None = None
    seed: int = 0
    device: str = "auto"
    adaptive: bool = False
    linkages: tuple[str, ...] = ()
    remover: str | None = None
    strength: float = 1.0


@dataclass
class Source:
    """One source of the data set as it is tested."""

    name: str
    data: Dataset
    plan: Plan
    absent: dict[str, str] = field(default_factory=dict)


def audit(
    dataset: Dataset,
    options: Options,
    told: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """Measure what attackers find in a data set.

    Parameters
    ----------
    dataset
        All its splits: `train` teaches, where it has one.
    told
        Is called with what is being done, and how much of it.

    Returns
    -------
    The record that ``deid audit --json`` prints: ``schema``, ``software``, ``options``,
    ``sources``, ``not_tested``. By source: ``kind``, ``images``, ``people``, ``patients`` (with a
    mate), ``excluded``, ``learns_from``, ``absent`` (by attacker, why), and ``linkages``: by name,
    by `FIXED` or `ADAPTIVE`, ``attackers`` (see `deid.audit.figures.figures`) and ``largest``.

    Raises
    ------
    AuditError, mami_core.data.DatasetError
        Where it can not be made.
    """
    entries = attackers_named(options.attackers)
    judged = dataset.select(lambda record: record.split == options.split)
    if not len(judged):
        raise AuditError(f"the data set has no images in split '{options.split}'; see --split")
    ready, missing = _built(entries, options.device)
    sources = {}
    for name in sorted({record.source for record in judged.records}):
        data = _of(dataset, name)
        source = Source(name, data, plan(data, options.split), dict(missing))
        sources[name] = _audited(source, ready, options, told)
    record = {
        "schema": SCHEMA,
        "software": f"mami-deid {deid.__version__}",
        "options": asdict(options),
        "sources": sources,
    }
    return record | {"not_tested": not_tested(record)}


def _of(dataset: Dataset, source: str) -> Dataset:
    return dataset.select(lambda record: record.source == source)


def _built(entries: Sequence[Entry], device: str) -> tuple[dict[str, Attacker], dict[str, str]]:
    """The attackers that can be had, and why the others can not."""
    ready, missing = {}, {}
    for entry in entries:
        try:
            ready[entry.name] = entry.build(device)
        except AbsentError as reason:
            missing[entry.name] = str(reason)
    if not ready:
        raise AuditError(f"no attacker can be had: {'; '.join(missing.values())}")
    return ready, missing


def _audited(
    source: Source,
    attackers: Mapping[str, Attacker],
    options: Options,
    told: Callable[[str, int, int], None],
) -> dict[str, Any]:
    records = source.data.records
    tested = [records[index] for index in source.plan.tested]
    learners = {name: one for name, one in attackers.items() if one.fit is not None}
    if not source.plan.trials:
        source.absent.update(dict.fromkeys(learners, source.plan.basis))
        attackers = {name: one for name, one in attackers.items() if name not in learners}
        learners = {}
    forms: dict[str, Form] = {ORIGINAL: unchanged}
    seen = _seen(source, attackers, learners, forms, told)
    linkages = {}
    for linkage in _asked_for(options, forms):
        linkages[linkage.name] = {FIXED: _linked(source, attackers, seen, linkage, FIXED, options)}
    patients = max(
        (
            found["patients"]
            for linked in linkages.values()
            for basis in linked.values()
            for found in basis["attackers"].values()
        ),
        default=0,
    )
    return {
        "kind": "|".join(sorted({record.kind for record in tested})),
        "images": len(tested),
        "people": len({record.person for record in tested}),
        "patients": patients,
        "decidable": patients >= FEWEST_PATIENTS,
        "excluded": {"ids not reliable enough to match": len(tested) - len(usable(tested))},
        "learns_from": source.plan.basis,
        "absent": source.absent,
        "linkages": linkages,
    }


def _asked_for(options: Options, forms: Mapping[str, Form]) -> list[Linkage]:
    """The linkages whose forms there are."""
    names = options.linkages or tuple(LINKAGES)
    return [
        linkage
        for name, linkage in LINKAGES.items()
        if name in names and set(linkage.roles) <= set(forms)
    ]


def _seen(
    source: Source,
    attackers: Mapping[str, Attacker],
    learners: Mapping[str, Attacker],
    forms: Mapping[str, Form],
    told: Callable[[str, int, int], None],
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """Features by attacker and form, a row an image of the source; NaN where none are needed."""
    tested = source.plan.tested
    own = np.setdiff1d(np.concatenate([t.own for t in source.plan.trials] or [tested]), tested)
    total = len(tested) + (len(own) if learners else 0)
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        told(f"looking at {source.name}", done, total)

    table: dict[tuple[str, str], NDArray[np.float32]] = {}
    for rows, looking in ((tested, attackers), (own, learners)):
        if len(rows) and looking:
            for key, found in look(source.data, rows.tolist(), looking, forms, more).items():
                width = found.shape[1]
                empty = np.full((len(source.data), width), np.nan, dtype=np.float32)
                table.setdefault(key, empty)[rows] = found
    return table


def _linked(
    source: Source,
    attackers: Mapping[str, Attacker],
    seen: Features,
    linkage: Linkage,
    basis: str,
    options: Options,
) -> dict[str, Any]:
    """Every attacker on one linkage, and the largest of them."""
    found: dict[str, list[Scores]] = {}
    for name, attacker in attackers.items():
        folds = [
            scored
            for trial in _trials(source.plan, attacker, basis)
            if (scored := _tried(source.data.records, trial, name, attacker, seen, linkage, basis))
        ]
        if folds:
            found[name] = folds
    return {
        "attackers": {
            name: figures(folds, options.gallery_size, options.seed)
            for name, folds in found.items()
        },
        "largest": _largest(found, options) if found else None,
    }


def _trials(plan: Plan, attacker: Attacker, basis: str) -> tuple[Trial, ...]:
    """Those of a learner; an attacker that learns nothing is tested on everybody at once."""
    if basis == FIXED and attacker.fit is None:
        return (Trial(np.empty(0, dtype=np.intp), plan.tested),)
    return plan.trials


def _tried(
    records: Sequence[Record],
    trial: Trial,
    name: str,
    attacker: Attacker,
    seen: Features,
    linkage: Linkage,
    basis: str,
) -> Scores | None:
    matcher = _fitted(records, trial, name, attacker, seen, linkage, basis)
    query, reference = (seen[name, form][trial.tested] for form in linkage.roles)
    return score(
        matcher.of_queries(query),
        matcher.of_gallery(reference),
        [records[index] for index in trial.tested],
        linkage,
    )


def _fitted(
    records: Sequence[Record],
    trial: Trial,
    name: str,
    attacker: Attacker,
    seen: Features,
    linkage: Linkage,
    basis: str,
) -> Matcher:
    """Fixed: as fitted to originals. Adaptive: in the roles in which it is tested."""
    roles = linkage.roles if basis == ADAPTIVE else (ORIGINAL, ORIGINAL)
    fit = attacker.fit or (closed_form if basis == ADAPTIVE else as_it_comes)
    query, reference = (seen[name, form][trial.own] for form in roles)
    own = [records[index] for index in trial.own]
    return fit(Training(query.astype(np.float64), reference.astype(np.float64), roles, own))


def _largest(found: Mapping[str, Sequence[Scores]], options: Options) -> dict[str, Any]:
    """The attacker that finds most, at a number of people that all of them can be asked about."""
    size = min(fold.size for folds in found.values() for fold in folds)
    wanted = options.gallery_size or size
    if wanted > size:
        return {
            "n": wanted,
            "undecidable": f"the data holds {size} people to search among, "
            f"and {wanted} were asked for",
        }
    means = {
        name: by_patient(
            found_first(folds, wanted), np.concatenate([fold.people for fold in folds])
        )
        for name, folds in found.items()
    }
    common = sorted(set.intersection(*(set(values) for values in means.values())))
    table = {
        name: np.array([values[person] for person in common]) for name, values in means.items()
    }
    best = max(table, key=lambda name: float(table[name].mean()))
    floors = [values.mean() for name, values in table.items() if ATTACKERS[name].floor]
    main = largest(list(table.values()), seed=options.seed)
    control = float(max(floors)) if floors else None
    return {
        "n": wanted,
        "guess": 1.0 / wanted,
        "attacker": best,
        **main.as_dict(),
        "control": control,
        "added": None if control is None or control == 1.0 else _added(main.value, control),
    }


def _added(main: float, control: float) -> float:
    """What the images give beyond what their use alone gives away (Giomi et al., PETS 2023)."""
    return (main - control) / (1.0 - control)
