"""Training: one loop, and one file a network that says what its steps are."""

from __future__ import annotations

from mami_core.training.loop import Budget, Task, TrainingError, train

__all__ = ["Budget", "Task", "TrainingError", "train"]
