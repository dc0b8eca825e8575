"""Embeddings of a data set's images by an encoder's weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mami_core.data import Dataset, square
from mami_core.files import atomic
from mami_core.weights import ENCODERS

if TYPE_CHECKING:
    from torch import Tensor

#: Pictures ``(n, 3, size, size)`` uint8 -> embeddings ``(n, d)``.
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

#: Pictures a forward pass: large ones cost a CPU as much again in fresh memory (measured at 32).
BATCH = {"cpu": 4, "cuda": 64}

#: Pictures that `embeddings` decodes at a time, so that a large data set needs little memory.
HELD = 64


class OutputError(ValueError):
    """Embeddings can not be written: one line that says what to do."""


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


def embedder(
    weights: str | Path,
    device: str = "auto",
    *,
    feature: Literal["identity", "modality"] = "identity",
) -> Embedder:
    """Load an encoder for evaluation.

    Parameters
    ----------
    weights
        A bundled name or a file.
    device
        ``auto``, ``cpu`` or ``cuda``.
    feature
        Which of the network's outputs (`mami_core.models.encoder.Identity`) an embedding is.

    Raises
    ------
    mami_core.weights.WeightsError
        Where they can not be used, or are not those of an identity encoder that has the feature.
    mami_core.device.DeviceError
        Where there is no such device.
    """
    from mami_core.device import chosen
    from mami_core.weights import WeightsError, load

    loaded = load(weights)
    if loaded.kind not in ENCODERS:
        raise WeightsError("these weights are not an identity encoder's; give those of train-mami")
    if feature == "modality" and not loaded.facts.get("updates"):
        raise WeightsError("a network without ComPA has no representation of the modality")
    where = chosen(device)
    model: Any = loaded.model.to(where)
    embed = in_batches(lambda pictures: getattr(model(pictures), feature), where)
    return Embedder(embed, model.config.image, loaded.sha256)


def in_batches(network: Callable[[Tensor], Tensor], where: str) -> Embed:
    """A network on ``(B, 3, S, S)`` in 0..1 as a function of any number of pictures.

    Parameters
    ----------
    where
        ``cpu`` or ``cuda``: where the network lies.

    Raises
    ------
    mami_core.weights.WeightsError
        What the network says of a picture is no number; a figure made of it would be none.
    """
    import torch

    from mami_core.weights import WeightsError

    batch = BATCH[where]

    @torch.inference_mode()
    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [
            network(torch.from_numpy(pictures[start : start + batch]).to(where).float() / 255.0)
            .float()
            .cpu()
            .numpy()
            for start in range(0, len(pictures), batch)
        ]
        found = np.concatenate(parts)
        if not np.isfinite(found).all():
            raise WeightsError("these weights give no numbers; they are damaged, get them anew")
        return found

    return embed


def embeddings(encoder: Embedder, dataset: Dataset) -> NDArray[np.float32]:
    """One row an image, ``(n, d)``; pictures are decoded as they are needed, and not kept."""
    parts = []
    for start in range(0, len(dataset), HELD):
        held = range(start, min(start + HELD, len(dataset)))
        pictures = [np.rint(square(dataset.picture(i), encoder.size) * 255.0) for i in held]
        parts.append(encoder.embed(np.stack(pictures).astype(np.uint8)))
    return np.concatenate(parts)


def table(encoder: Embedder, dataset: Dataset) -> dict[str, NDArray[np.generic]]:
    """One row an image.

    Returns
    -------
    ``embedding`` ``(n, d)`` float32, and as text ``name`` (of the image within its set) and
    ``patient`` (``source/patient``).
    """
    return {
        "embedding": embeddings(encoder, dataset).astype(np.float32),
        "name": np.array([record.name for record in dataset.records]),
        "patient": np.array(["/".join(record.person) for record in dataset.records]),
    }


def write_table(
    path: Path,
    make: Callable[[], dict[str, NDArray[np.generic]]],
    *,
    overwrite: bool = False,
) -> dict[str, NDArray[np.generic]]:
    """Make a table and write it as npz: whole or not at all, for its owner alone.

    That the file can be written is found out before the table is made, which may take hours.

    Raises
    ------
    OutputError
        Where there is a file already, or none can be written.
    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise OutputError("the output exists already; name a new file, or give --overwrite")
    try:
        with atomic(path) as stream:
            found = make()
            arrays: Any = found
            np.savez(stream, **arrays)
    except OSError as error:
        raise OutputError(
            f"the output can not be written ({error.strerror}); name another"
        ) from None
    return found
