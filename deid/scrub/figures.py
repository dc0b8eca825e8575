"""Risk and utility of one file, from what the models said of it before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figures:
    """DESIGN section 5; None is `unknown`, never a number.

    Attributes
    ----------
    strength
        At which the remover worked; 0 where it did not.
    """

    strength: float = 0.0
    risk_before: float | None = None
    risk: float | None = None
    risk_basis: str = "unknown"
    utility: float | None = None
    findings: float | None = None
    fidelity: float | None = None

    def within(self, max_risk: float) -> bool:
        """Whether the risk is known and not above `max_risk`."""
        return self.risk is not None and self.risk <= max_risk

    def columns(self) -> dict[str, Any]:
        """As the report writes them."""
        names = ("risk_before", "risk", "utility", "findings", "fidelity")
        figures = {
            name: "unknown" if getattr(self, name) is None else round(getattr(self, name), 6)
            for name in names
        }
        return {**figures, "risk_basis": self.risk_basis}
