"""Somebody in the middle of several people (k-Same: Newton et al., TKDE 2005)."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.removers.registry import Change, Donors, Picture, remover
from mami_core.data import square

#: How many times as many are drawn from.
CHOICE = 2
#: Cosine of a picture with itself, but for rounding.
SAME = 0.9999

MEDICAL = "mfm_tiny"


@remover("look-alikes", parameter=8.0, least=1.0, most=1000.0, fitted=True, shared=True)
def look_alikes(count: float, donors: Donors) -> Change:
    """The mean of so many pictures of other patients who look alike to the medical encoder."""
    look = _medical()
    seen = np.stack([look(one) for one in donors.squares])
    centre = seen.mean(axis=0)
    directions = _unit(seen - centre)

    def change(picture: Picture, code: np.random.Generator) -> Picture:
        alike = directions @ _unit(look(np.rint(picture * 255.0).astype(np.uint8)) - centre)
        # A donor's own picture is edited as a stranger's is: without that patient.
        others = np.flatnonzero(~np.isin(donors.owner, donors.owner[alike > SAME]))
        near = others[np.argsort(-alike[others], kind="stable")[: CHOICE * round(count)]]
        chosen = code.choice(near, size=min(round(count), len(near)), replace=False)
        found: Picture = donors.squares[chosen].mean(axis=0, dtype=np.float32) / np.float32(255.0)
        return found

    return change


def _medical() -> Any:
    """Squares ``(S, S, channels)`` uint8 to the mean of their local features, each looked at once
    however often it is edited.
    """
    from mami_core.evaluation.embed import in_batches
    from mami_core.weights import load

    loaded = load(MEDICAL)
    model: Any = loaded.model
    size = int(loaded.facts["image"])
    embed = in_batches(lambda pictures: model(pictures).tokens.mean(dim=1), "cpu")
    known: dict[bytes, NDArray[np.float32]] = {}

    def look(shown: NDArray[np.uint8]) -> NDArray[np.float32]:
        name = hashlib.sha256(shown.tobytes()).digest()
        if name not in known:
            grey = shown[..., 0] if shown.shape[2] == 1 else shown
            planes = square(grey.astype(np.float32) / np.float32(255.0), size)
            known[name] = embed(np.rint(planes * 255.0).astype(np.uint8)[None])[0]
        return known[name]

    return look


def _unit(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    unit: NDArray[np.floating] = rows / np.linalg.norm(rows, axis=-1, keepdims=True).clip(1e-12)
    return unit
