"""Whether the interval of an AUC can be relied on: interpolated between simulations.

To simulate a world a figure takes seconds; the coverage changes so little from one simulated world
to the next that a table serves (`coverage.toml`).
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from mami_core.evaluation.intervals import Estimate

#: Below it an interval that says 95 % is not to be relied on.
LEAST = 0.90


@dataclass(frozen=True)
class Coverage:
    """How often such an interval holds the truth.

    Attributes
    ----------
    value
        None where nothing like it was simulated: with fewer patients, or nearer to 1.
    """

    value: float | None

    @property
    def reliable(self) -> bool:
        """Whether it is known to be `LEAST` or more."""
        return self.value is not None and self.value >= LEAST

    def as_dict(self) -> dict[str, Any]:
        """``coverage`` and ``reliable``."""
        return {"coverage": self.value, "reliable": self.reliable}


def coverage_of_auc(auc: Estimate) -> Coverage:
    """Interpolated over the logit of AUC and the logarithm of the number of patients.

    More patients than were simulated count as the most of these, an AUC nearer to 1/2 as the least.
    """
    table = _table()
    patients, known = np.log(table["patients"]), [_logit(one) for one in table["auc"]]
    apart = max(auc.value, 1.0 - auc.value)
    if auc.patients < table["patients"][0] or not apart <= table["auc"][-1]:
        return Coverage(None)
    rows = [np.interp(math.log(auc.patients), patients, row) for row in table["coverage"]]
    return Coverage(round(float(np.interp(_logit(apart), known, rows)), 3))


@cache
def _table() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("coverage.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))
