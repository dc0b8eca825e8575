"""One audit from a data set to a record of figures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import deid
from deid.audit.asked import Options, settled
from deid.audit.attackers import Attacker, Entry, usual
from deid.audit.attackers import named as attackers_named
from deid.audit.attackers.mami import taught_the_bundled
from deid.audit.bench import Bench
from deid.audit.by_gradient import send_one
from deid.audit.doubles import DIGESTS, LOOK, digests, doubles, thumbnails
from deid.audit.exposure import Exposed
from deid.audit.figures import FEWEST_PATIENTS, Draws
from deid.audit.kept import keeping
from deid.audit.linkages import ADAPTIVE, FIXED, LINKAGES, ORIGINAL, UNDO
from deid.audit.linked import linked
from deid.audit.matching import Effort
from deid.audit.pairing import Release
from deid.audit.patients_curve import patients_curve, strongest
from deid.audit.power import PLANTS, verdicts
from deid.audit.release import built, taken_by
from deid.audit.removers import REMOVERS, called
from deid.audit.removers.registry import Entry as RemoverEntry
from deid.audit.source import Source
from deid.audit.trials import Plan, in_split, plan
from deid.audit.trouble import AuditError
from deid.audit.undoing import SIDE, rows_of
from deid.audit.words import not_tested
from mami_core.data import Dataset, Record, known, no_images
from mami_core.evaluation.protocol import mated, usable
from mami_core.evaluation.yardsticks import AbsentError

#: Of the record that an audit gives; raised when fields come, go or change their meaning.
#: 2: ``d_sys`` and ``c_llr`` of each attacker, ``subgroups`` and ``inference`` of a linkage.
#: 3: ``by_images`` of each attacker and ``reliable`` of its AUC, ``modality`` of a source.
#: 4: ``releases`` of the options, whose ``linkages`` are named where they are the usual ones too.
#: 5: ``bootstrap`` of the options, ``gradient`` of a source.
SCHEMA = 6

#: Why images are searched for by nobody; said only of sets that have such.
ONE_VISIT = "several images of one visit and none of another (impostors only)"

#: What is being done, how much of it is done, and how much there is.
Told = Callable[[str, int, int], None]


def audit(
    dataset: Dataset,
    options: Options,
    release: Release | None = None,
    *,
    left_out: Mapping[str, int] = MappingProxyType({}),
    told: Told = lambda what, done, total: None,
    keep: Path | None = None,
    name_exposed: Callable[[Exposed], None] = lambda patient: None,
) -> dict[str, Any]:
    """Measure what attackers find in a data set.

    Parameters
    ----------
    dataset
        All its splits: `train` teaches, where it has one.
    release
        Protected images that were made from it; what is not among them is left out.
    left_out
        Files that are not in the data set, by why.
    told
        Is called with what is being done, and how much of it.
    keep
        Private folder for what attackers saw and what they learnt by gradient, so that the next
        audit need not do it again.
    name_exposed
        Is given the patients whom each linkage finds most, by name; no record holds these.

    Returns
    -------
    The record that ``deid audit --json`` prints: ``schema``, ``software``, ``options``,
    ``left_out``, ``sources``, ``not_tested``. By source: ``kind``, ``modality``, ``images``,
    ``people``, ``patients`` (with a mate), ``excluded``, what attackers learn from and by how many
    people at least (``teachers``), ``absent`` (by attacker, why), ``gradient`` (who alone learnt
    so, where none was named, see `deid.audit.by_gradient.send_one`), ``useless`` (the same picture
    for everybody), ``curve`` of the adaptive attacker that finds most, where the source is
    ``decidable`` (see `deid.audit.patients_curve.patients_curve`), and ``linkages``: by name, by
    `FIXED` or `ADAPTIVE`, ``attackers`` (see `deid.audit.figures.figures`; ``fewer`` than on
    originals are found, see `deid.audit.figures.difference`; ``fits`` by gradient, see
    `deid.audit.gradient.learnt`), ``largest``, and of that attacker ``subgroups`` (see
    `deid.audit.exposure.subgroups`) and, where the attacker holds the query, ``inference`` (see
    `deid.audit.inference.inference`).

    Raises
    ------
    AuditError, mami_core.data.DatasetError
        Where it can not be made.
    """
    entries = attackers_named(options.attackers) if options.attackers else usual()
    by_name, options = options.linkages, settled(options, release)
    entry, parameter = called(options.remover) if options.remover else (None, 0.0)
    originals = dataset if release is None else release.originals
    names = sorted({one.source for one in originals.records if in_split(one, options.split)})
    if not names:
        raise AuditError(f"the data set has {no_images(options.split, originals.records)}")
    ready, missing = _built(entries, options.device)
    if keep is not None:
        ready = {name: keeping(one, name, keep) for name, one in ready.items()}
    sources = {}
    plans = {name: plan(_of(originals, name), options.split, taken_by(entry)) for name in names}
    _learnable(by_name, plans.values())
    for name in names:
        data = _of(originals, name)
        source = Source(
            data,
            plans[name],
            built(entry, parameter, data) if entry is not None else None,
            _of(release.protected, name) if release is not None else None,
            donors_teach=entry is not None and entry.shared,
        )
        about = _about(told, name)
        sources[name], bench = _audited(
            source,
            ready,
            missing,
            options,
            about,
            keep,
            name_exposed,
            one_by_gradient=not options.attackers,
        )
        if best := strongest(sources[name]):
            (linkage,) = source.linkages(best[:1], adaptive=True)
            draws = Draws(options.seed, options.bootstrap)
            sources[name]["curve"] = patients_curve(bench, best[1], linkage, draws)
        if options.control:
            sources[name]["power"] = _power(
                source, bench.attackers, sources[name], options, about, keep
            )
    record = {
        "schema": SCHEMA,
        "software": f"mami-deid {deid.__version__}",
        "options": asdict(options)
        | {
            "attackers": [one.name for one in entries] + _sent(sources),
            "remover": _shown(entry, options.remover),
        },
        "left_out": {**left_out, **(release.left_out if release is not None else {})},
        "sources": sources,
    }
    return record | {"not_tested": not_tested(record)}


def _learnable(asked: Sequence[str], plans: Collection[Plan]) -> None:
    """Refuse a linkage that is asked for by name where no source teaches those whom it is of.

    Raises
    ------
    AuditError
        With what it takes.
    """
    learnt = [name for name in asked if LINKAGES[name].learns]
    if learnt and not any(one.trials for one in plans):
        why = "; ".join(dict.fromkeys(one.basis for one in plans))
        raise AuditError(f"--linkage {learnt[0]} is of attackers who learn, and {why}")


def check(options: Options, release: Release | None) -> None:
    """What can be known before any picture is read or an older report is put aside.

    Raises
    ------
    AuditError
        Where an attacker, a remover or a linkage is none, or they do not go together.
    """
    if options.attackers:
        attackers_named(options.attackers)
    asked = settled(options, release)
    if asked.remover:
        called(asked.remover)


def _sent(sources: Mapping[str, Any]) -> list[str]:
    """Those who alone learnt by gradient, where nobody was named."""
    sent = {source.get("gradient", {}).get("attacker") for source in sources.values()}
    return sorted(sent - {None})


def _about(told: Told, name: str) -> Told:
    """Tells what is being done of what it is done with."""
    return lambda doing, done, total: told(f"{doing} {name}", done, total)


def _shown(entry: RemoverEntry | None, asked: str | None) -> str | None:
    """The remover as it was called; of a weights file no path."""
    return asked if entry is None or entry.name in REMOVERS else entry.name


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
    missing: Mapping[str, str],
    options: Options,
    told: Told,
    keep: Path | None,
    name_exposed: Callable[[Exposed], None] = lambda patient: None,
    bases: Sequence[str] = (FIXED, ADAPTIVE),
    *,
    one_by_gradient: bool = False,
) -> tuple[dict[str, Any], Bench]:
    plan = source.plan
    learners = {name for name, one in attackers.items() if one.fit is not None}
    absent = dict(missing)
    if not plan.trials:
        absent.update(dict.fromkeys(learners, plan.basis))
        attackers = {name: one for name, one in attackers.items() if name not in learners}
    if not (options.adaptive and plan.trials):
        bases = [basis for basis in bases if basis == FIXED]
    if ADAPTIVE in bases or one_by_gradient:
        learners |= {name for name, one in attackers.items() if one.adapts}
    asked = source.linkages(options.linkages, adaptive=ADAPTIVE in bases)
    forms = source.forms(
        asked,
        options.seed,
        options.strength,
        releases=options.releases,
        adaptive=ADAPTIVE in bases,
    )
    learning = {name: one for name, one in attackers.items() if name in learners}
    looking = dict(attackers)
    if any(linkage.undone for linkage in asked):
        rows = Attacker(rows_of, SIDE)
        looking, learning = ({UNDO: rows, **those} for those in (looking, learning))
    seen, own, lost = source.seen(
        {LOOK: thumbnails(), DIGESTS: digests(), **looking},
        learning,
        forms,
        partial(told, "looking at"),
    )
    undecodable = Counter(lost[row] for row in plan.tested if row in lost)
    plan = plan.readable(lost)
    if not len(plan.tested):
        raise AuditError("no image of a source can be decoded; replace the files or drop them")
    plan, copies = _without_doubles(plan, source.data.records, seen[LOOK, ORIGINAL])
    tested = [source.data.records[index] for index in plan.tested]
    effort = Effort(options.restarts, options.budget, options.seed, keep)
    bench = Bench(source.data.records, plan, attackers, seen, own, effort)
    absent |= dict.fromkeys(bench.blank(), "it reads the same of every image")
    bench.attackers = {name: one for name, one in attackers.items() if name not in absent}
    sent = {"gradient": send_one(bench)} if one_by_gradient else {}
    linkages: dict[str, dict[str, Any]] = {linkage.name: {} for linkage in asked}
    rounds = [
        (linkage, basis)
        for linkage, basis in product(asked, bases)
        if basis == ADAPTIVE or not linkage.learns
    ]
    for number, (linkage, basis) in enumerate(rounds):
        told("searching", number, len(rounds))
        linkages[linkage.name][basis] = linked(
            bench,
            linkage,
            basis,
            gallery_size=options.gallery_size,
            draws=Draws(options.seed, options.bootstrap),
            name_exposed=name_exposed,
        )
    told("searching", len(rounds), len(rounds))
    patients = mated(tested)
    said = {
        "kind": "|".join(sorted({record.kind for record in tested})),
        "modality": "|".join(sorted({record.modality or "unknown" for record in tested})),
        "images": len(tested) + copies + undecodable.total(),
        "people": len({record.person for record in tested}),
        "patients": patients,
        "decidable": patients >= FEWEST_PATIENTS,
        "excluded": {
            **undecodable,
            "copies of another image": copies,
            "ids not reliable enough to match": len(tested) - len(usable(tested)),
            "one image of the person (impostors only)": _alone(tested),
            **({ONE_VISIT: one_visit} if (one_visit := _one_visit(tested)) else {}),
        },
        "taught_the_bundled": len({one.person for one in tested if taught_the_bundled(one)}),
        "learns_from": plan.basis,
        "teachers": min(
            (len({source.data.records[row].person for row in one.own}) for one in plan.trials),
            default=0,
        ),
        "learns_by": _learns_by(source, adaptive=ADAPTIVE in bases),
        "absent": absent,
        **sent,
        "useless": bench.same_for_everybody(),
        "linkages": linkages,
    }
    return said, bench


def _learns_by(source: Source, *, adaptive: bool) -> str:
    """Which images attackers learn by, in words; empty where they can not."""
    if not source.plan.trials:
        return ""
    return source.teaching if adaptive else "images as they are"


def _without_doubles(
    plan: Plan, records: Sequence[Record], thumbs: NDArray[np.float32]
) -> tuple[Plan, int]:
    """The plan less copies of one picture, and how many these are.

    Found on originals only. Neighbouring slices of a scan are alike and are no copies.
    """
    single = np.array(
        [not known(one.source, modality=one.modality).pooled for one in records], dtype=bool
    )
    tested = plan.tested[single[plan.tested]]
    copies = tested[doubles(thumbs[tested])]
    return plan.without(copies), len(copies)


def _alone(records: Sequence[Record]) -> int:
    images = Counter(record.person for record in records)
    return sum(count == 1 for count in images.values())


def _one_visit(records: Sequence[Record]) -> int:
    """Images of people who have several, none of which can be found by another.

    Ids that are not reliable enough are counted as that. A visit is what the set's kind names.
    """
    sure = [records[index] for index in usable(records)]
    units: dict[object, set[str]] = defaultdict(set)
    for one in sure:
        units[one.person, one.subject].add(one.unit)
    images = Counter(record.person for record in records)
    return sum(images[one.person] > 1 and len(units[one.person, one.subject]) == 1 for one in sure)


def _power(
    source: Source,
    attackers: Mapping[str, Attacker],
    audited: Mapping[str, Any],
    options: Options,
    told: Told,
    keep: Path | None,
) -> dict[str, Any]:
    """The same attackers against planted removers (see `deid.audit.power`).

    Those who look at no picture are not tried: no edit is anything to them.
    """
    looking = {name: one for name, one in attackers.items() if one.reads is None}
    own = audited["linkages"].get("original", {})
    if ADAPTIVE not in own or not any(name in own[ADAPTIVE]["attackers"] for name in looking):
        return {}
    planted = {}
    for plant in PLANTS:
        entry, parameter = called(plant)
        instead = replace(
            source,
            remover=built(entry, parameter, source.data),
            release=None,
            donors_teach=entry.shared,
        )
        only = replace(options, linkages=("outer", "inner"), strength=1.0)
        behind = _about(told, f"planted '{plant}' of")
        found, _ = _audited(instead, looking, {}, only, behind, keep, bases=(ADAPTIVE,))
        planted[plant] = found["linkages"]
    of_those = {
        basis: {
            "attackers": {
                name: found["attackers"][name] for name in looking if name in found["attackers"]
            }
        }
        for basis, found in own.items()
    }
    return verdicts({"original": of_those}, planted)
