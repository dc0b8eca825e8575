"""What no learning reaches: the floor beside every figure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mami_core.data.dataset import Dataset

SIDE = 32


def pixel_floor(dataset: Dataset) -> NDArray[np.float64]:
    """Embeddings whose cosine is the correlation of 32 x 32 grey thumbnails: ``(n, 1024)``."""
    grey = dataset.squares(SIDE).astype(np.float64).mean(axis=1)
    flat = grey.reshape(len(dataset), -1)
    return flat - flat.mean(axis=1, keepdims=True)
