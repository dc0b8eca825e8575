"""The standard's tables as data.

``e1-1.csv``: PS3.15 table E.1-1 (2026d), Basic Profile. ``types.csv.gz``: the strictest type that
an image IOD of PS3.3 (2026b) gives an attribute within its parent. ``classes.csv``: the image
classes of PS3.3 (2026b), whether and how each asks for BurnedInAnnotation, and the type of the
attributes that table E.1-1 removes unless an IOD needs them, where IODs differ. ``derived.toml``:
what the standard asks of altered images. ``terms.toml``: the values that it defines for attributes.
``technical.toml``: ours.
"""

from __future__ import annotations

import csv
import gzip
import io
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


def _read(name: str) -> bytes:
    return (files("deid.tags") / name).read_bytes()


@cache
def basic_profile() -> dict[int, tuple[str, bool]]:
    """By tag the action, X, Z, D, U or a compound such as X/Z/D, and whether it has modified dates.

    The latter means that the option Retain Longitudinal Temporal Information With Modified Dates,
    which is always applied, cleans the attribute: a date or time is shifted.
    """
    rows = csv.DictReader(io.StringIO(_read("e1-1.csv").decode()))
    return {int(row["tag"], 16): (row["action"], bool(row["shifted"])) for row in rows}


@cache
def attribute_types() -> dict[tuple[str, str], str]:
    """Type (1, 1C, 2, 2C) by (keyword of the parent sequence or "", keyword): a union over IODs.

    The strictest counts, so that nothing that any IOD asks for is missing; what that keeps in
    objects of other IODs has a dummy value or none.
    """
    text = gzip.decompress(_read("types.csv.gz")).decode()
    rows = csv.DictReader(io.StringIO(text))
    return {(row["parent"], row["keyword"]): row["type"] for row in rows}


@cache
def image_classes() -> dict[str, dict[str, str]]:
    """By UID of an image's SOP class a row: ``burned_in`` and types by keyword ("" for 3).

    ``burned_in`` has the values that BurnedInAnnotation may have where the class asks for it.
    """
    rows = csv.DictReader(io.StringIO(_read("classes.csv").decode()))
    return {row["uid"]: row for row in rows}


def attribute_type(sop_class: str, parent: str, keyword: str) -> str:
    """Type of an attribute: of its class where that is known and matters, else of the union."""
    row = image_classes().get(sop_class, {})
    if not parent and keyword in row:
        return row[keyword] or "3"
    return attribute_types().get((parent, keyword), "3")


@cache
def only_original() -> frozenset[tuple[str, str]]:
    """(SOP class, keyword) of attributes that a DERIVED image may not have."""
    return frozenset(
        (uid, keyword)
        for entry in _derived()["only_original"]
        for uid in entry["classes"]
        for keyword in entry["keywords"]
    )


def more_image_type(sop_class: str) -> list[str]:
    """Values 3 and on of ImageType for a DERIVED image whose class asks for them."""
    for entry in _derived()["image_type"]:
        if sop_class in entry["classes"]:
            return list(entry["values"])
    return []


def needs_source_image(sop_class: str) -> bool:
    """Whether a DERIVED image of the class needs a SourceImageSequence."""
    return sop_class in _derived()["source_image"]["classes"]


@cache
def _derived() -> dict[str, Any]:
    return tomllib.loads(_read("derived.toml").decode())


@cache
def coded_concepts() -> dict[tuple[str, str], str]:
    """Meaning by (coding scheme, code value), of the concepts that PS3.16 uses."""
    from pydicom.sr import _concepts_dict, _snomed_dict

    concepts: Any = _concepts_dict.concepts
    meanings = {
        (scheme, value): str(entry[0])
        for scheme, names in concepts.items()
        for codes in names.values()
        for value, entry in codes.items()
    }
    # Retired SNOMED RT style codes, which older files use for the same concepts.
    retired: dict[str, str] = _snomed_dict.mapping["SRT"]
    for old, new in retired.items():
        if ("SCT", new) in meanings:
            for scheme in ("SRT", "SNM3", "99SDM"):
                meanings[scheme, old] = meanings["SCT", new]
    return meanings


@cache
def coding_schemes() -> frozenset[str]:
    """Designators of coding schemes that the standard uses; any other could be anything."""
    return frozenset(scheme for scheme, _ in coded_concepts())


@cache
def technical() -> frozenset[str]:
    """Keywords of prose-capable attributes that are kept."""
    return frozenset(tomllib.loads(_read("technical.toml").decode())["keep"])


@cache
def terms() -> dict[str, frozenset[str]]:
    """By keyword the values that the standard defines for an attribute."""
    return {
        keyword: frozenset(entry["terms"])
        for entry in tomllib.loads(_read("terms.toml").decode())["attribute"]
        for keyword in entry["keywords"]
    }


@cache
def terms_everywhere() -> frozenset[str]:
    """The values that the standard defines for many attributes, which say nothing by themselves."""
    return frozenset(tomllib.loads(_read("terms.toml").decode())["everywhere"])
