"""What is fixed for each set that is known by name, and the words for modalities (`known.toml`)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Known:
    """How the images of one set are read and matched; the fields are explained in `known.toml`."""

    kind: str = "visit"
    subject: tuple[str, ...] = ("patient",)
    unit: tuple[str, ...] = ("visit",)
    rows: str = "reid"
    mirror: str = ""
    centre: float = 1.0
    pooled: bool = False
    findings: dict[str, str] = field(default_factory=dict)


@cache
def _table() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("known.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _sets() -> dict[str, Known]:
    sets = {}
    for name, row in _table()["sets"].items():
        lists = {key: tuple(row[key]) for key in ("subject", "unit") if key in row}
        sets[name] = Known(**{**row, **lists})
    return sets


@cache
def _modalities() -> dict[str, str]:
    return {word: name for name, words in _table()["modalities"].items() for word in words}


def known(source: str, *, modality: str | None = None) -> Known:
    """The row of the table for `source`.

    A set that is not listed gets the defaults; pictures of right eyes are mirrored there too, since
    the encoders have only seen them so, and the slices of a visit's CT are one scan.
    """
    found = _sets().get(source)
    return found or Known(mirror="R" if modality == "fundus" else "", pooled=modality == "ct")


def modality_of(word: str) -> str | None:
    """``xray``, ``ct`` or ``fundus`` for their DICOM words and synonyms.

    Other words come back in lower case, an empty one as None.
    """
    lower = word.strip().lower()
    return _modalities().get(lower, lower or None)
