"""Which state of a training is kept: the one that finds most on `val`, where that can be told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors.torch import load_file, save
from torch import nn

#: Shares of the budget after which the network is put aside; its last state is tried beside them.
MARKS = (0.6, 0.8)


@runtime_checkable
class Scored(Protocol):
    """A task that can say how good its network is."""

    def score(self) -> float | None:
        """The higher the better, on `val`; None where nothing can tell, and the last is kept."""


def mark(before: float, spent: float) -> float | None:
    """The mark that a step passed, whose share of the budget ran from `before` to `spent`."""
    return max((one for one in MARKS if before < one <= spent), default=None)


def put_aside(model: nn.Module, output: Path, at: float) -> None:
    """Keep the state of `model` at a mark; one of an earlier attempt is written over."""
    plain = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    partial = output / f".{_name(at)}.new"
    partial.write_bytes(save(plain))
    os.replace(partial, output / _name(at))


def best(task: Scored, model: nn.Module, output: Path) -> dict[str, Any]:
    """Bring `model` to the state that scores highest, and say how it was chosen.

    Returns
    -------
    ``chosen``: ``at``, the share of the budget, and ``scores`` by share, those of the last state
    under 1; empty where no state could be told from another.
    """
    last = {name: value.clone() for name, value in model.state_dict().items()}
    scores = {"1": task.score()}
    states = {"1": last}
    for at in MARKS:
        path = output / _name(at)
        if path.is_file() and scores["1"] is not None:
            states[f"{at:g}"] = load_file(path)
            model.load_state_dict(states[f"{at:g}"])
            scores[f"{at:g}"] = task.score()
    known = {at: score for at, score in scores.items() if score is not None}
    # Of equal ones the one that was trained longest.
    chosen = max(known, key=lambda at: (known[at], float(at)), default="1")
    model.load_state_dict(states[chosen])
    if len(known) < 2:
        return {}
    told = {at: round(known[at], 4) for at in sorted(known, key=float)}
    return {"chosen": {"at": float(chosen), "scores": told}}


def _name(at: float) -> str:
    return f"at-{at:g}.safetensors"
