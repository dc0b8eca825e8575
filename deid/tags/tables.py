"""The standard's tables as data.

``e1-1.csv``: PS3.15 table E.1-1 (2026d), Basic Profile. ``types.csv.gz``: the strictest type that
an image IOD of PS3.3 (2026b) gives an attribute within its parent. ``technical.toml``: ours.
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
    """Type (1, 1C, 2, 2C) by (keyword of the parent sequence or "", keyword)."""
    text = gzip.decompress(_read("types.csv.gz")).decode()
    rows = csv.DictReader(io.StringIO(text))
    return {(row["parent"], row["keyword"]): row["type"] for row in rows}


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
