"""The counts and means of a run, its first sentence and its last line, and what is worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from deid.report.words import number

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Tally:
    """What the rows add up to.

    Attributes
    ----------
    reasons
        Row numbers by reason, most frequent first.
    with_risk, with_utility
        How many released files the means speak about.
    risk_before, risk, utility
        Means over those; None where there are none.
    measured, exposed
        How many files were measured before the edit, withheld ones too, and their mean risk.
    """

    files: int
    done: int
    reasons: dict[str, list[int]]
    identity: int
    blanked: int
    unsearched: int
    with_risk: int
    risk_before: float | None
    risk: float | None
    with_utility: int
    utility: float | None
    measured: int
    exposed: float | None

    @property
    def withheld(self) -> int:
        """Files that were not released."""
        return self.files - self.done


def tally(rows: Rows) -> Tally:
    """Count rows. Means of risk are over files with a figure both before and after the edit."""
    done = [row for row in rows if row["status"] == "done"]
    reasons: dict[str, list[int]] = {}
    for row in rows:
        if row["status"] != "done":
            reasons.setdefault(str(row["reason"]), []).append(int(row["n"]))
    pairs = [(number(row["risk_before"]), number(row["risk"])) for row in done]
    known = [(before, after) for before, after in pairs if before is not None and after is not None]
    measured = [value for row in rows if (value := number(row["risk_before"])) is not None]
    utilities = [u for row in done if (u := number(row["utility"])) is not None]
    edits = Counter(part for row in done for part in str(row["edit"]).split("+"))
    return Tally(
        files=len(rows),
        done=len(done),
        reasons=dict(sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))),
        identity=edits["identity"],
        blanked=edits["text"],
        unsearched=sum(row["text"] == "not searched" for row in done),
        with_risk=len(known),
        risk_before=fmean(before for before, _ in known) if known else None,
        risk=fmean(after for _, after in known) if known else None,
        with_utility=len(utilities),
        utility=fmean(utilities) if utilities else None,
        measured=len(measured),
        exposed=fmean(measured) if measured else None,
    )


def first_sentence(total: Tally) -> str:
    """What was done and what was not, in one sentence."""
    done = total.done
    did = (
        f"Of {total.files:,} file{'' if total.files == 1 else 's'}, {done:,} released with a "
        f"cleaned header and {total.withheld:,} withheld; the pixels of {total.identity:,} were "
        f"changed against re-identification and text was blanked in {total.blanked:,}"
    )
    gaps = {
        "kept a picture that can be matched as before": done - total.identity,
        "were not searched for text": total.unsearched,
        "have no known risk": done - total.with_risk,
    }
    left = [f"{count:,} {what}" for what, count in gaps.items() if count]
    return f"{did}{'; of the released, ' if left else ''}{', '.join(left)}."


def last_line(summary: Mapping[str, Any]) -> str:
    """What no figure of this run speaks about."""
    gaps = summary["not_tested"]
    return "Not tested: " + ("; ".join(gaps) if gaps else "the run named no gap") + "."


def badness(row: Mapping[str, Any]) -> tuple[int, float, float, int]:
    """Sort key, worst first.

    What goes out comes before what does not: released files by risk, the highest first, then by
    utility, the lowest first; released files of unknown risk; withheld files last.
    """
    value, use = number(row["risk"]), number(row["utility"])
    group = 2 if row["status"] != "done" else int(value is None)
    return group, -(value or 0.0), 1.0 if use is None else use, int(row["n"])
