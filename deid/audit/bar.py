"""The bar that an attacker trained by gradient has to reach: the closed form, on its own patients.

One that does not reach it was trained too little, or has too few patients to learn from: what it
finds says nothing for the edit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any


def fits(source: Mapping[str, Any]) -> Iterator[str]:
    """Of each gradient-trained attacker, in words, which of the two went to work, and where."""
    where: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for linkage, linked in source["linkages"].items():
        for basis, found in linked.items():
            for attacker, figures in found["attackers"].items():
                if "fits" in figures:
                    roles = f"{linkage}, {basis}" if basis == "adaptive" else "learnt on originals"
                    where[attacker, _said(figures["fits"])][roles] = None
    for (attacker, said), roles_of in where.items():
        yield f"{attacker} ({'; '.join(roles_of)}): {said}"


def _said(told: list[Mapping[str, Any]]) -> str:
    patients = sum(one["patients"] for one in told)
    bar, gained = (
        100 * sum(one["patients"] * one[key] for one in told) / patients
        for key in ("closed_form", "gradient")
    )
    kept = sorted({one["kept"] for one in told})
    reached = all(one["reached"] for one in told)
    words = "" if reached else "under-trained, "
    cut = ", cut short by --budget" if any(one["cut"] for one in told) else ""
    return (
        f"{words}by gradient {gained:.0f} of 100 of {patients} own patients who were left out are "
        f"found{cut}, in closed form {bar:.0f}; {' and '.join(kept)} went to work"
    )
