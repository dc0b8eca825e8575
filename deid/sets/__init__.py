"""Sets of images that are compared: a data set with its table, or a folder as it lies."""

from __future__ import annotations

from deid.sets.opened import Opened, open_set

__all__ = ["Opened", "open_set"]
