"""``audit.html``: one page, complete in itself, that reads without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deid.audit.linkages import LINKAGES
from deid.audit.power import verdict
from deid.audit.report import plots, table
from deid.audit.words import first_sentence, headline, last_line
from deid.evaluation_report.figures import Figure
from deid.report.frame import render
from deid.report.words import visible


@dataclass(frozen=True)
class Section:
    """What is drawn of one linkage, and what can not be.

    Attributes
    ----------
    basis
        Of the attackers that are drawn: adaptive ones where there are any.
    missing
        By figure, why there is none.
    """

    name: str
    question: str
    basis: str
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
    return render(
        "deid",
        "audit/report/audit.html.j2",
        styles=["evaluation_report/evaluate.css", "audit/report/audit.css"],
        script="report/page.js",
        record=record,
        first=first_sentence(record),
        last=last_line(record),
        headings={**{name: name for name in table.NAMES}, **table.FIGURES},
        numeric=tuple(table.FIGURES),
        lines=list(table.lines(record)),
        changes=table.changes(record),
        headlines={name: headline(source) for name, source in sources.items()},
        verdicts={name: verdict(one["power"]) for name, one in sources.items() if "power" in one},
        sections={name: list(_sections(record, name)) for name in sources},
    )


def _sections(record: Mapping[str, Any], source: str) -> Iterator[Section]:
    for name, linked in record["sources"][source]["linkages"].items():
        basis = next((one for one in reversed(linked) if linked[one]["attackers"]), None)
        if basis is None:
            continue
        found = linked[basis]
        drawn = plots.Drawn(
            f"{visible(source)}, {name}",
            found["attackers"],
            found["largest"].get("attacker", ""),
            record["options"]["attackers"],
        )
        figures = {
            "linkability": plots.over_people(
                drawn,
                "linkability",
                "share of patients found",
                "Linkability: the picture finds its person first among so many people.",
            ),
            "singling out": plots.over_people(
                drawn,
                "singling_out",
                "share singled out",
                "Singling out: what the picture says is true of exactly one of so many people.",
            ),
            "before and after": plots.before_after(drawn),
        }
        missing = {"linkability": _FEW, "singling out": _FEW}
        yield Section(
            name,
            LINKAGES[name].question,
            basis,
            [one for one in figures.values() if one],
            {name: why for name, why in missing.items() if not figures[name]},
        )


_FEW = "too few people to draw it over"
