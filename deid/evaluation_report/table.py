"""The table of figures in words, as the console and the page show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mami_core.evaluation.report import ROWS


@dataclass(frozen=True)
class Line:
    """One row of one source: figures with their intervals."""

    row: str
    auc: str
    rank1: str
    people: str


def lines(figures: Mapping[str, Any]) -> list[Line]:
    """The encoder, what stands beside it, and chance."""
    beside = {name: figures[name] for name in ROWS if name in figures}
    return [
        *(_line(name, row) for name, row in {"encoder": figures, **beside}.items()),
        Line("chance", "0.500", f"{figures['rank1']['chance']:.3f}", ""),
    ]


def absences(sources: Mapping[str, Any]) -> list[str]:
    """A sentence for each reason why rows are missing."""
    absent: dict[str, list[tuple[str, str]]] = {}
    for source, figures in sources.items():
        for name, reason in figures["absent"].items():
            absent.setdefault(reason, []).append((name, source))
    told = []
    for reason, rows in absent.items():
        names, where = (", ".join(dict.fromkeys(column)) for column in zip(*rows, strict=True))
        told.append(f"{where}: no {names}, for {reason}.")
    return told


def beside_whiten(found: Mapping[str, Any]) -> list[str]:
    """A sentence on what the encoder finds more than the bundled `whiten`, where that is known."""
    if "beside_whiten" not in found:
        return []
    both = found["beside_whiten"]
    told = [f"{name} {_signed(both[key])}" for key, name in (("auc", "AUC"), ("rank1", "rank-1"))]
    return [f"Over bundled whiten: {', '.join(told)}"]


def interval(figure: Mapping[str, Any]) -> str:
    """A figure and its 95 % interval."""
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"


def _signed(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:+.3f} ({figure['low']:+.3f}, {figure['high']:+.3f})"


def _line(name: str, row: Mapping[str, Any]) -> Line:
    rank1 = row["rank1"]
    people = f"{rank1['patients']} of {rank1['gallery']}"
    return Line(name, interval(row["auc"]), interval(rank1), people)
