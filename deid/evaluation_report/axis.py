"""An axis: from values to places, and where its ticks are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: About so many ticks.
TICKS = 5
#: Over this many powers of ten and more, a logarithmic axis names only these.
WIDE = 2.4


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`; with `log`, both positive."""

    label: str
    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, label: str, values: Array) -> Axis:
        """An axis that holds all values, with some air."""
        low, high = float(values.min()), float(values.max())
        air = 0.05 * (high - low) or 0.5
        return cls(label, low - air, high + air)

    def place(self, values: Array) -> Array:
        """Where values lie, 0 at `low` and 1 at `high`."""
        scale = np.log10 if self.log else np.asarray
        low, high = scale(self.low), scale(self.high)
        return np.asarray((scale(np.asarray(values, dtype=np.float64)) - low) / (high - low))

    def ticks(self) -> list[tuple[float, str]]:
        """Round values within the axis, and their texts."""
        candidates = self._powers() if self.log else self._steps()
        slack = 1e-9 * (self.high - self.low)
        return [
            (value, text)
            for value, text in candidates
            if self.low - slack <= value <= self.high + slack
        ]

    def _powers(self) -> list[tuple[float, str]]:
        first, last = math.log10(self.low), math.log10(self.high)
        values = [
            factor * 10.0**power
            for power in range(math.floor(first), math.ceil(last) + 1)
            for factor in ((1,) if last - first > WIDE else (1, 2, 5))
        ]
        return [(value, np.format_float_positional(value, 6, trim="-")) for value in values]

    def _steps(self) -> list[tuple[float, str]]:
        rough = (self.high - self.low) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.floor(self.low / step), math.ceil(self.high / step)
        # The sum takes the sign from a zero.
        values = [count * step + 0.0 for count in range(first, last + 1)]
        return [(value, f"{value:,.{digits}f}".replace("-", "−")) for value in values]
