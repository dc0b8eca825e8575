"""Embeddings of a data set's images by an encoder's weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Pictures ``(n, 3, size, size)`` uint8 -> embeddings ``(n, d)``.
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

BATCH = 32


def embedder(weights: str | Path, device: str = "auto") -> tuple[Embed, int]:
    """The encoder's embedding as a function of square pictures, and the side that it expects.

    Parameters
    ----------
    weights
        A file that `mami_core.weights.load` opens as an encoder.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    ValueError
        Where the weights are not those of an encoder.
    """
    import torch

    from mami_core import weights as store

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    model = store.load(Path(weights)).to(chosen).eval()
    size = getattr(model, "size", None)
    if not isinstance(size, int):
        raise ValueError("these weights are not an identity encoder's; give the encoder's file")

    @torch.inference_mode()
    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(pictures), BATCH):
            batch = torch.from_numpy(pictures[start : start + BATCH]).to(chosen)
            parts.append(model(batch.float() / 255.0).identity.float().cpu().numpy())
        return np.concatenate(parts)

    return embed, size
