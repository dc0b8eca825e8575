"""A matching on the console: sentences and a table, and no name of a file or patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from deid.match.run import OTHERS
from deid.report.printing import add, plain_console, say, titled
from deid.sets.files import NO_IMAGE


def show(record: Mapping[str, Any]) -> None:
    """Print a matching's record."""
    console = plain_console(soft_wrap=True)
    for name, group in record["modalities"].items():
        say(console, sentence(name, group))
    console.print(_table(record["modalities"]))
    for line in _notes(record):
        say(console, line)


def sentence(name: str, group: Mapping[str, Any]) -> str:
    """What was found in one modality, or why nothing can be said."""
    if "undecidable" in group:
        return (
            f"{name}: not decidable with this data: {group['undecidable']}. Similarities only, "
            f"of {group['nearest']:,} nearest pairs: --report DIR lists them."
        )
    false = group["false_matches"]
    return (
        f"{name}: {group['matches']:,} of {group['pairs']:,} pairs of images match at a "
        f"false-match rate of {group['false_match_rate']:.2g}; {false['value']:,.0f} pairs of "
        f"different patients ({false['low']:,.0f} to {false['high']:,.0f}) are to be expected "
        "among them."
    )


def _table(groups: Mapping[str, Any]) -> Table:
    table = titled()
    for column in ("", "images", "matches", "one name", "two names", "no name", "false (95 %)"):
        table.add_column(column, no_wrap=True)
    for name, group in groups.items():
        images = " x ".join(f"{count:,}" for count in group["images"] if count)
        if "undecidable" in group:
            add(table, name, images, *("-",) * 5)
            continue
        false, named = group["false_matches"], group["named"]
        cells = [f"{count:,}" for count in (group["matches"], *named.values())]
        interval = f"{false['value']:,.0f} ({false['low']:,.0f}-{false['high']:,.0f})"
        add(table, name, images, *cells, interval)
    return table


def _notes(record: Mapping[str, Any]) -> Iterator[str]:
    for how, named in record["copies"].items():
        if total := sum(named.values()):
            told = ", ".join(f"{count:,} {word}" for word, count in named.items() if count)
            what = "of equal pictures" if how == "copy" else "of nearly equal pictures"
            yield f"Apart from these, {total:,} pairs {what} ({told})."
    for name, group in record["modalities"].items():
        if "undecidable" not in group:
            yield from _basis(name, group, record["calibrated_on"])
    for name, group in record["modalities"].items():
        if group["taught_the_encoder"]:
            yield (
                f"{name}: {group['taught_the_encoder']:,} images are of people whom the bundled "
                "networks were taught by: these are found too easily."
            )
    for letter, one in zip("AB", record["sets"], strict=False):
        for reason, count in one["left_out"].items():
            files = "file" if count == 1 else "files"
            yield f"{letter}: {count:,} {files} left out: {reason}."


def _basis(name: str, group: Mapping[str, Any], calibrated_on: str) -> Iterator[str]:
    known, prior = group["known"], group["prior"]
    yield (
        f"{name}: calibrated on {calibrated_on}: {known['people']:,} people, "
        f"{known['patients']:,} with another visit; no pair is judged by a fit that has seen "
        "either person."
    )
    basis = "as given" if prior["given"] else "estimated from the similarities"
    yield (
        f"{name}: {group['expected_pairs']:,.0f} pairs of one patient are to be expected (prior "
        f"{prior['value']:.2g}, {basis}); by their probabilities {group['expected_true']:,.0f} of "
        "the matches are."
    )
    if calibrated_on == OTHERS:
        yield (
            f"{name}: rate, expectation and probability hold as far as these images are like those "
            "calibrated on, which nothing here can tell (adults judged by children: 39 false "
            "matches where 13 were expected)."
        )


def is_whole(record: Mapping[str, Any]) -> bool:
    """Whether every image could be looked at."""
    return not any(set(one["left_out"]) - {NO_IMAGE} for one in record["sets"])
