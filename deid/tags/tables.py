"""The standard's tables as data.

``e1-1.csv``: PS3.15 table E.1-1 (2026d), Basic Profile. ``types.csv.gz``: the strictest type that an image IOD
of PS3.3 (2026b) gives an attribute within its parent. ``technical.toml``: ours.
"""

from __future__ import annotations

import csv
import gzip
import io
import tomllib
from functools import cache
from importlib.resources import files


def _read(name: str) -> bytes:
    return (files("deid.tags") / name).read_bytes()


@cache
def basic_profile() -> dict[int, str]:
    """Action by tag: X, Z, D, U, a compound such as X/Z/D, or ``shift``.

    Dates that the Retain Longitudinal Temporal Information With Modified Dates option cleans are
    shifted: that option is always applied.
    """
    rows = csv.DictReader(io.StringIO(_read("e1-1.csv").decode()))
    return {int(row["tag"], 16): "shift" if row["shifted"] else row["action"] for row in rows}


@cache
def attribute_types() -> dict[tuple[str, str], str]:
    """Type (1, 1C, 2, 2C) by (keyword of the parent sequence or "", keyword)."""
    text = gzip.decompress(_read("types.csv.gz")).decode()
    rows = csv.DictReader(io.StringIO(text))
    return {(row["parent"], row["keyword"]): row["type"] for row in rows}


@cache
def coded_concepts() -> dict[tuple[str, str], str]:
    """Meaning by (coding scheme, code value), of the concepts that PS3.16 uses."""
    from pydicom.sr._concepts_dict import concepts

    meanings = {}
    for scheme, names in concepts.items():
        for codes in names.values():
            meanings.update({(scheme, value): entry[0] for value, entry in codes.items()})
    return meanings


@cache
def technical() -> frozenset[str]:
    """Keywords of prose-capable attributes that are kept."""
    return frozenset(tomllib.loads(_read("technical.toml").decode())["keep"])
