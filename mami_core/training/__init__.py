"""Training: one loop, and one file a network that says what its steps are."""

from __future__ import annotations

from mami_core.training.loop import LOG, Budget, Task, TrainingError, train
from mami_core.training.mami import train_mami
from mami_core.training.mfm import train_mfm
from mami_core.training.unet import train_unet

__all__ = [
    "LOG",
    "Budget",
    "Task",
    "TrainingError",
    "train",
    "train_mami",
    "train_mfm",
    "train_unet",
]
