"""What is to be done, decided from headers alone: whose each file is, where it goes, and which
files are
looked at together."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from deid.images.record import Found, Header
from deid.scrub.options import CannotStart
from deid.scrub.terms import Item
from deid.tags import Pseudonyms

#: A unit whose files decode to more than this is looked at in parts, so that memory stays bounded.
UNIT_BYTES = 384 * 1024**2

_SUFFIX = {"dicom": "dcm", "nifti": "nii", "png": "png", "jpeg": "jpg", "tiff": "tif"}


@dataclass(frozen=True)
class Patient:
    """The units of one person, in a fixed order."""

    pseudonym: str
    units: tuple[tuple[Item, ...], ...]


@dataclass(frozen=True)
class Plan:
    """All that will be released, person by person.

    Attributes
    ----------
    identities
        Old patient identifier and pseudonym of each person, for the private mapping.
    keyed_on_study
        Rows without a patient identifier, grouped by study, folder or file instead.
    """

    patients: tuple[Patient, ...]
    identities: tuple[tuple[str, str], ...]
    keyed_on_study: tuple[int, ...]


def manifest_patients(root: Path) -> dict[str, str]:
    """Column `patient` by column `file` of a ``manifest.csv`` at INPUT's root; empty without one,
    and where it is a link out of INPUT."""
    path = root / "manifest.csv"
    if not (path.is_file() and path.resolve().is_relative_to(root.resolve())):
        return {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            if not {"file", "patient"} <= set(rows.fieldnames or ()):
                return {}
            return {row["file"]: row["patient"] for row in rows if row["file"] and row["patient"]}
    except (UnicodeDecodeError, csv.Error) as error:
        raise CannotStart("manifest.csv in INPUT is not a readable CSV file in UTF-8") from error
    except OSError as error:
        words = f"manifest.csv in INPUT can not be read ({error.strerror}); it says whose a file is"
        raise CannotStart(words) from error


def whose(found: Found, header: Header, patients: dict[str, str]) -> tuple[str, str, bool]:
    """Issuer, value, and whether it is a patient identifier (else a stand-in), by DESIGN section
    9."""
    if header.patient.strip():
        return header.issuer, header.patient, True
    if found.relative in patients:
        return "", patients[found.relative], True
    if header.study:
        return "\0study", header.study, False
    folder, slash, _ = found.relative.partition("/")
    if slash:
        return "\0folder", folder, False
    return "\0file", found.relative, False


def plan(
    files: Iterable[tuple[int, Found, Header]], patients: dict[str, str], pseudonyms: Pseudonyms
) -> Plan:
    """Group files by person and stack and give each its name under OUTPUT."""
    owners: dict[str, list[Item]] = defaultdict(list)
    identities: set[tuple[str, str]] = set()  # two issuers may give one number
    stand_ins: list[int] = []
    relative: dict[int, str] = {}
    for n, found, header in files:
        issuer, value, real = whose(found, header, patients)
        pseudonym = pseudonyms.patient(issuer, value)
        if real:
            identities.add((value, pseudonym))
        else:
            stand_ins.append(n)
        relative[n] = found.relative
        owners[pseudonym].append(Item(n, found.path, header, pseudonym, real))
    people = []
    for pseudonym in sorted(owners):
        items = _named(owners[pseudonym], relative, pseudonyms)
        people.append(Patient(pseudonym, tuple(_units(items))))
    return Plan(tuple(people), tuple(sorted(identities)), tuple(stand_ins))


def _named(items: list[Item], relative: dict[int, str], pseudonyms: Pseudonyms) -> list[Item]:
    """The items with their target; copies of one instance get a number behind the name."""
    taken: dict[str, int] = defaultdict(int)
    # The order of the numbers must not tell the order of the input's names.
    ranked = sorted(items, key=lambda item: pseudonyms.name("file", relative[item.n]))
    number = 0
    named = []
    for item in ranked:
        header = item.header
        suffix = _SUFFIX[header.format]
        if header.format == "dicom":
            study, series = (
                pseudonyms.uid(uid) if uid else "0" for uid in (header.study, header.series)
            )
            instance = pseudonyms.instance_uid(header.instance) if header.instance else "0"
            stem = f"{item.patient}/{study}/{series}/{instance}"
        else:
            number += 1
            stem = f"{item.patient}/{number}"
            if header.format == "nifti" and header.compressed:
                suffix = "nii.gz"
        taken[stem] += 1
        copy = f"-{taken[stem]}" if taken[stem] > 1 else ""
        named.append(replace(item, target=f"{stem}{copy}.{suffix}"))
    return sorted(named, key=lambda item: item.n)


def _units(items: list[Item]) -> list[tuple[Item, ...]]:
    """Stacks together (in slice order, in parts that fit into memory), single images alone."""
    stacks: dict[str, list[Item]] = defaultdict(list)
    units: list[tuple[Item, ...]] = []
    for item in items:
        if item.header.stack is None:
            units.append((item,))
        else:
            stacks[item.header.stack].append(item)
    for stack in stacks.values():
        stack.sort(key=lambda item: (item.header.order, item.n))
        part: list[Item] = []
        held = 0
        for item in stack:
            if part and held + item.header.decoded_bytes > UNIT_BYTES:
                units.append(tuple(part))
                part, held = [], 0
            part.append(item)
            held += item.header.decoded_bytes
        units.append(tuple(part))
    return sorted(units, key=lambda unit: unit[0].n)
