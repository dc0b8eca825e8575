"""An audit on the console: a sentence, a table a source, and what was not tested."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from deid.audit import table4
from deid.audit.bar import fits
from deid.audit.by_gradient import choice_in_words
from deid.audit.patients_curve import curve_in_words
from deid.audit.power import verdict
from deid.audit.words import (
    MARK,
    UNRELIABLE,
    first_sentence,
    headline,
    inferences,
    knowledge,
    last_line,
    left_out_in_words,
    pooled_in_words,
    unreliable,
)
from deid.report.printing import add, plain_console, say, titled
from deid.report.words import visible

#: Columns of a line that holds a whole table of the paper, at most.
WIDEST = 1000


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for as long as the audit runs, with the time that is left."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    tasks: dict[str, Any] = {}

    def told(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(visible(what), total=total)
        bar.update(tasks[what], completed=done, total=total)

    with bar:
        yield told


def show(record: Mapping[str, Any], *, paper: bool = False) -> None:
    """Print an audit's record.

    Parameters
    ----------
    paper
        Figures as table 4 of the paper has them, in place of a table a source.
    """
    console = plain_console(soft_wrap=True)
    say(console, first_sentence(record))
    if left_out := left_out_in_words(record):
        say(console, left_out)
    if paper:
        _print_whole(console, _as_in_the_paper(record))
    for name, source in record["sources"].items():
        if not paper:
            console.print(_table(name, source))
        for line in _notes(name, source):
            say(console, line)
        for linkage in source["linkages"]:
            if known := knowledge(record, linkage):
                say(console, f"{name}: {known}.")
    if unreliable(record) and not paper:
        say(console, f"{UNRELIABLE}.")
    say(console, last_line(record))


def _table(name: str, source: Mapping[str, Any]) -> Table:
    title = f"{name} ({source['kind']}): figure (95 % interval over patients)"
    table = titled(title, title_justify="left")
    for column in ("linkage", "attacker", "AUC", "rank-1", "patients"):
        table.add_column(column, no_wrap=True)
    for linkage, linked in source["linkages"].items():
        for basis, found in linked.items():
            labels = iter((linkage, "" if (linkage, basis) == ("original", "fixed") else basis))
            for attacker, figures in found["attackers"].items():
                rank1 = figures["rank1"]
                people = f"{figures['patients']} of {rank1['gallery']}"
                texts = (_text(figures["auc"]), _text(rank1), people)
                add(table, next(labels, ""), attacker, *texts)
                chance = f"{rank1['chance']:.3f}"
            if found["attackers"]:
                add(table, next(labels, ""), "chance", "0.500", chance, end_section=True)
    return table


def _as_in_the_paper(record: Mapping[str, Any]) -> Table:
    title = "Table 4: rank-1 in % (95 % interval over patients); of the paper, on Chest-X"
    table = titled(title, title_justify="left")
    table.add_column("attacker", no_wrap=True)
    for name, source in record["sources"].items():
        for number, (_, _, column) in enumerate(table4.COLUMNS):
            said = visible(f"{name}, {source['modality']}") if not number else ""
            table.add_column(f"{said}\n{column}", no_wrap=True)
    for number, column in enumerate(("original", "protected")):
        table.add_column(f"{'' if number else 'paper'}\n{column}", no_wrap=True)
    for row in table4.rows(record):
        cells = [_percent(cell) for source in row.cells.values() for cell in source]
        theirs = [f"{figure:.2f}" for figure in row.paper or ()] or ["", ""]
        add(table, row.name, *cells, *theirs)
    people = [
        sorted(
            {
                str(cell["gallery"])
                for row in table4.rows(record)
                for cell in row.cells[name]
                if cell
            }
        )
        for name in record["sources"]
    ]
    among = [text for one in people for text in ("/".join(one), "", "")]
    add(table, "among people", *among, "", "")
    return table


def _percent(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
    return f"{value:.1f} ({low:.0f}-{high:.0f})"


def _print_whole(console: Console, table: Table) -> None:
    """At its full width, which a line of the terminal may not hold."""
    wide = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
    plain_console(width=max(wide, console.width)).print(table)


def _notes(name: str, source: Mapping[str, Any]) -> Iterator[str]:
    found = headline(source)
    if "undecidable" in found:
        yield f"{name}: not decidable with this data: {found['undecidable']}."
    elif found["linkage"] != "original":
        yield f"{name}: {_fewer(source, found)}."
    if found.get("control") is not None:
        yield (
            f"{name}: the strongest floor alone (header, findings, outline) finds "
            f"{100 * found['control']:.1f} of 100; of 100 whom it does not find, the images give "
            f"away {100 * (found['added'] or 0.0):.1f}."
        )
    if several := pooled_in_words(source):
        yield f"{name}: {several}."
    if inferred := inferences(source):
        yield from (f"{name}: {line}." for line in _inferred(inferred))
    for reason, count in source["excluded"].items():
        if count:
            yield f"{name}: {count} of {source['images']} images: {reason}."
    if "power" in source:
        yield f"{name}: {verdict(source['power'])}."
    if "curve" in source:
        yield f"{name}: {curve_in_words(source['curve'])}."
    if "gradient" in source:
        yield f"{name}: {choice_in_words(source['gradient'])}."
    for line in fits(source):
        yield f"{name}: {line}."
    if source["taught_the_bundled"]:
        yield (
            f"{name}: {source['taught_the_bundled']} of the tested people taught the bundled "
            "networks: what these find here says nothing of other people."
        )
    if source["learns_by"]:
        yield f"{name}: attackers learn from {source['learns_from']}: {source['learns_by']}."
    else:
        yield f"{name}: no attacker could learn: {source['learns_from']}."


def _fewer(source: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What the edit takes from the attacker that finds most."""
    attackers = source["linkages"][found["linkage"]][found["basis"]]["attackers"]
    fewer = attackers[found["attacker"]]["fewer"]
    value, low, high = (f"{100 * fewer[key]:.0f}" for key in ("value", "low", "high"))
    told = f"({low} to {high}) among {fewer['n']} people"
    if fewer["low"] <= 0.0:
        return f"the edit takes nothing that can be told from {found['attacker']}: {value} {told}"
    return f"{found['attacker']} finds {value} of 100 fewer {told} than on the originals"


def _inferred(found: Mapping[str, Any]) -> Iterator[str]:
    """What linking says of a person, beside what the attacker's own image says."""
    decided = [one for one in found["attributes"] if "main" in one]
    told = [_told(one) for one in decided if not one["weak"] and one["added"]["low"] > 0.0]
    if told:
        yield f"the record that is found first gives away the {', '.join(told)}"
    elif decided and all(one["weak"] for one in decided):
        yield (
            "linking is no better than a guess, and gives nothing away that can be told: "
            f"the record that is found first has the {', '.join(map(_told, decided))}"
        )
    elif decided:
        names = ", ".join(one["attribute"] for one in decided)
        yield f"of {names} the record found first tells no more than the attacker's own image"


def _told(one: Mapping[str, Any]) -> str:
    """Of one attribute, with the control."""
    return (
        f"{one['attribute']} of {100 * one['main']['value']:.0f} of 100 patients "
        f"(own image alone: {100 * one['control']['value']:.0f})"
    )


def _text(figure: Mapping[str, Any]) -> str:
    mark = "" if figure.get("reliable", True) else MARK
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f}){mark}"
