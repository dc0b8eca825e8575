"""Embeddings of a data set's images by an encoder's weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Pictures ``(n, 3, size, size)`` uint8 -> embeddings ``(n, d)``.
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

#: Pictures a forward pass: large ones cost a CPU as much again in fresh memory (measured at 32).
BATCH = {"cpu": 4, "cuda": 64}


@dataclass(frozen=True)
class Embedder:
    """An identity encoder as a function of square pictures.

    Attributes
    ----------
    size
        Side of the pictures that it expects.
    sha256
        Of its weights.
    """

    embed: Embed
    size: int
    sha256: str


def embedder(weights: str | Path, device: str = "auto") -> Embedder:
    """Load an encoder for evaluation.

    Parameters
    ----------
    weights
        A bundled name or a file.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    mami_core.weights.WeightsError
        Where they can not be used, or are not those of an identity encoder.
    mami_core.device.DeviceError
        Where there is no such device.
    """
    import torch

    from mami_core.device import chosen
    from mami_core.weights import WeightsError, load

    loaded = load(weights)
    if loaded.kind != "mami":
        raise WeightsError("these weights are not an identity encoder's; give those of train-mami")
    where = chosen(device)
    model, batch = loaded.model.to(where), BATCH[where]

    @torch.inference_mode()
    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [
            model(torch.from_numpy(pictures[start : start + batch]).to(where).float() / 255.0)
            .identity.float()
            .cpu()
            .numpy()
            for start in range(0, len(pictures), batch)
        ]
        return np.concatenate(parts)

    return Embedder(embed, int(loaded.facts["image"]), loaded.sha256)
