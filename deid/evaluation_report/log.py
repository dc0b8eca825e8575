"""The log of a training, where one lies beside the weights that it made."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Steps and values of one curve.
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class TrainingLog:
    """Curves over the steps.

    Attributes
    ----------
    loss
        Of each step.
    val
        What was measured on `val` along the way, by name; empty where nothing was.
    """

    loss: Curve = field(default_factory=list)
    val: dict[str, Curve] = field(default_factory=dict)


def training_log(weights: Path) -> TrainingLog | None:
    """Read the log beside a weights file; None where there is none, or none with a loss.

    Lines that are no objects with a step are left out: a training that goes on may be writing one.
    """
    from mami_core.training.loop import LOG

    try:
        lines = (weights.parent / LOG).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    log = TrainingLog()
    for line in lines:
        try:
            entry = json.loads(line)
            step = int(entry["step"])
        except (ValueError, TypeError, KeyError):
            continue
        for key, value in entry.items():
            if key == "loss":
                log.loss.extend((step, number) for _, number in _numbers(key, value))
            elif key.startswith("val"):
                for name, number in _numbers(key, value):
                    log.val.setdefault(name, []).append((step, number))
    return log if log.loss else None


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """The figures under a key: itself one, or one for each source."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name} {key}", inner)
    elif isinstance(value, int | float) and math.isfinite(value):
        yield name, float(value)
