"""``audit.html``: one page, complete in itself, that reads without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deid.audit.exposure import FEWEST
from deid.audit.figures import FEWEST_PATIENTS
from deid.audit.linkages import COPY, LINKAGES, ORIGINAL
from deid.audit.patients_curve import curve_in_words
from deid.audit.power import verdict
from deid.audit.report import effort, plots, table
from deid.audit.words import (
    OVERSTATES,
    UNRELIABLE,
    first_sentence,
    headline,
    inferences,
    knowledge,
    last_line,
    left_out_in_words,
    pooled_in_words,
    sentence,
    unreliable,
)
from deid.evaluation_report.figures import Figure
from deid.report.frame import render
from deid.report.words import visible

#: Why a figure is not drawn.
FEW_PEOPLE = "too few people to draw it over"
FEW_IMAGES = f"fewer than {FEWEST_PATIENTS} patients have several images beside another visit"
FEW_PAIRS = "not more than ten pairs of distinct patients"
ALL_ALIKE = "all pairs look equally alike"


@dataclass(frozen=True)
class Section:
    """What is drawn of one linkage, and by figure why it can not be."""

    name: str
    question: str
    knowledge: str
    caveat: str
    figures: list[Figure]
    missing: dict[str, str]


def pieces(record: Mapping[str, Any]) -> Iterator[str]:
    """The page, piece by piece.

    Parameters
    ----------
    record
        What `deid.audit.run.audit` returned.
    """
    sources = record["sources"]
    found = {name: headline(source) for name, source in sources.items()}
    groups = {name: _subgroups(sources[name], one) for name, one in found.items()}
    return render(
        "deid",
        "audit/report/audit.html.j2",
        styles=["evaluation_report/evaluate.css", "audit/report/audit.css"],
        script="report/page.js",
        record=record,
        first=first_sentence(record),
        last=last_line(record),
        unreliable=UNRELIABLE if unreliable(record) else "",
        left_out=left_out_in_words(record),
        tables=_tables(record, groups),
        headlines=found,
        sentences={
            name: sentence(sources[name], name, one)
            for name, one in found.items()
            if "value" in one
        },
        curves={
            name: curve_in_words(one["curve"]) for name, one in sources.items() if "curve" in one
        },
        pooled={name: pooled_in_words(one) for name, one in sources.items()},
        verdicts={name: verdict(one["power"]) for name, one in sources.items() if "power" in one},
        subgroups=groups,
        fewest=FEWEST,
        inferred={name: inferences(source) for name, source in sources.items()},
        sections={name: list(_sections(record, name)) for name in sources},
    )


def _tables(
    record: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, Any]:
    numbered = list(enumerate(record["sources"].items(), start=1))
    return {
        "figures": table.figures_table(record),
        "changes": table.changes_table(record),
        "power": {
            name: table.power_table(number, source["power"])
            for number, (name, source) in numbered
            if "power" in source
        },
        "subgroups": {
            name: table.subgroups_table(number, told)
            for number, (name, _) in numbered
            if (told := groups[name])
        },
        "inference": {
            name: table.inference_table(number, told)
            for number, (name, source) in numbered
            if (told := inferences(source))
        },
    }


def _subgroups(source: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Those of the headline; None where none is told."""
    if "value" not in found:
        return None
    told: Mapping[str, Any] = source["linkages"][found["linkage"]][found["basis"]]["subgroups"]
    return told if told["groups"] else None


def _sections(record: Mapping[str, Any], source: str) -> Iterator[Section]:
    for name, linked in record["sources"][source]["linkages"].items():
        attackers = {
            attacker: figures
            for found in linked.values()
            for attacker, figures in found["attackers"].items()
        }
        if not attackers:
            continue
        leader = max(attackers, key=lambda one: float(attackers[one]["rank1"]["value"]))
        order = record["options"]["attackers"]
        drawn = plots.Drawn(f"{visible(source)}, {name}", attackers, leader, order)
        people = f"among {attackers[leader]['rank1']['gallery']:,} people"
        figures = {
            "linkability": plots.over(
                drawn,
                "linkability",
                "people searched",
                "share of patients found",
                "Linkability: the picture finds its person first among so many people.",
            ),
            "singling out": plots.over(
                drawn,
                "singling_out",
                "people searched",
                "share singled out",
                "Singling out: what the picture says is true of exactly one of so many people.",
            ),
            "linkability by images": plots.over_images(
                drawn,
                "linkability",
                "share of patients found",
                f"Several images of a person pooled find it first {people}, by visits that none "
                "of them is of: the more are pooled, the fewer are left to be found by.",
            ),
            "singling out by images": plots.over_images(
                drawn,
                "singling_out",
                "share singled out",
                "Several images of a person pooled are true of exactly one.",
            ),
            "CMC": plots.over(
                drawn,
                "cmc",
                f"rank, {people}",
                "share found within the rank",
                f"CMC: the person is among so many first {people}.",
            ),
            "ROC": plots.roc(drawn),
            "similarity": plots.similarity(drawn),
            "before and after": plots.before_after(drawn),
            "people who teach": _taught(record["sources"][source], name, drawn),
            "steps of gradient": effort.by_steps(drawn),
        }
        why = {
            "linkability": FEW_PEOPLE,
            "singling out": FEW_PEOPLE,
            "ROC": FEW_PAIRS,
            "similarity": ALL_ALIKE,
        }
        if name != COPY:
            why["linkability by images"] = FEW_IMAGES
        yield Section(
            name,
            LINKAGES[name].question,
            knowledge(record, name),
            "" if name == ORIGINAL or linked.get("adaptive", {}).get("attackers") else OVERSTATES,
            [one for one in figures.values() if one],
            {figure: reason for figure, reason in why.items() if not figures[figure]},
        )


def _taught(source: Mapping[str, Any], linkage: str, drawn: plots.Drawn) -> Figure | None:
    """The curve over the people who teach, at the linkage at which it was made."""
    curve = source.get("curve")
    if not curve or curve["linkage"] != linkage:
        return None
    first = source["linkages"][linkage]["adaptive"]["largest"]
    people = {point["n"] for point in curve["points"] if "n" in point}
    floor = first["control"] if people == {first["n"]} else None
    return effort.by_people(replace(drawn, leader=curve["attacker"]), curve, floor)
