"""The U-Net with its secret code: the remover of `deid scrub`."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from deid.audit.removers.registry import (
    REMOVERS,
    WEIGHTS_FILE,
    Donors,
    Entry,
    Picture,
    Remover,
)
from deid.audit.trouble import AuditError
from mami_core.data import square

BUNDLED = "remover"


def network(weights: str, _: float, donors: Donors) -> Remover:
    """The remover of a bundled name or a weights file; every patient has a code.

    Raises
    ------
    mami_core.weights.WeightsError
        Where they can not be used.
    """
    import torch

    from deid.scrub.edit import add_residual
    from mami_core.weights import WeightsError, load

    loaded = load(weights)
    if loaded.kind != "remover":
        raise WeightsError("these weights are not a remover's; give those of train-unet")
    model: Any = loaded.model
    size = int(loaded.facts["image"])
    modalities = {modality for modality, _ in loaded.facts.get("pairs", [])}

    def edit(picture: Picture, modality: str | None, code: bytes, strength: float) -> Picture:
        if modality not in modalities:
            raise AuditError(
                f"--remover: it edits {', '.join(sorted(modalities)) or 'nothing'} alone; "
                "leave images of other modalities out of the data set"
            )
        if strength == 0.0:
            return picture
        drawn = np.random.default_rng(int.from_bytes(code, "big")).standard_normal(
            int(loaded.facts["code"])
        )
        with torch.inference_mode():
            residual = strength * model.residual(
                torch.from_numpy(square(picture, size))[None],
                torch.from_numpy(drawn.astype(np.float32))[None],
            )
        frame = picture[None]
        edited = add_residual(frame, frame, residual.numpy(), limits=(0.0, 1.0), padding=None)
        return np.asarray(edited[0], dtype=np.float32)

    return Remover(edit, code_of_patient=True)


def entry(weights: str) -> Entry:
    """A row of the list for weights that are not on it."""
    return Entry(
        BUNDLED if weights == BUNDLED else WEIGHTS_FILE,
        "The U-Net of `deid scrub`, with a secret code a patient",
        None,
        fitted=False,
        planted=False,
        build=partial(network, weights),
    )


REMOVERS[BUNDLED] = entry(BUNDLED)
