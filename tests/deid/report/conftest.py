"""Rows as a run makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Row = dict[str, Any]

_UNKNOWN = dict.fromkeys(
    ("risk_before", "risk", "risk_basis", "utility", "findings", "fidelity"), "unknown"
)


@pytest.fixture
def row() -> Callable[..., Row]:
    """Builds the row of a released and edited X-ray; any column may be given."""

    def build(n: int, **values: Any) -> Row:
        whole = {
            "n": n,
            "input": f"ward/{n}.dcm",
            "output": f"P/S/R/2.25.{n}.dcm",
            "status": "done",
            "reason": "",
            "modality": "xray",
            "region": "chest",
            "edit": "identity",
            "text": "none found",
            "risk_before": 0.8,
            "risk": 0.2,
            "risk_basis": "visit",
            "utility": 0.95,
            "findings": 0.97,
            "fidelity": 0.99,
            "detail": "",
        }
        return {**whole, **values}

    return build


@pytest.fixture
def unproven(row: Callable[..., Row]) -> Callable[..., Row]:
    """Builds the row of a file that was released without a figure."""

    def build(n: int, **values: Any) -> Row:
        return row(n, **{**_UNKNOWN, "edit": "none", "modality": "ct", **values})

    return build


@pytest.fixture
def withheld(row: Callable[..., Row]) -> Callable[..., Row]:
    """Builds the row of a file that was not released."""

    def build(n: int, reason: str, **values: Any) -> Row:
        gone = {**_UNKNOWN, "status": "withheld", "output": "", "edit": "none", "reason": reason}
        return row(n, **{**gone, "text": "not searched", "detail": "static words", **values})

    return build


@pytest.fixture
def summary() -> dict[str, Any]:
    """A run's summary."""
    return {
        "options": {"text": "blank", "strength": None},
        "versions": {"mami-deid": "0.1.0"},
        "warnings": ["a fresh key was made in the run folder"],
        "seconds": 10.0,
        "images_per_second": 3.25,
        "gallery_size": 1000,
        "not_tested": ["attackers that adapt to the edit", "handwriting"],
    }
