"""What no learning reaches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.registry import Attacker, attacker

SIDE = 32


@attacker("pixels")
def pixels(device: str) -> Attacker:
    """Correlation of 32 x 32 grey thumbnails: learns nothing, the least of all attackers."""
    return Attacker(centred_grey, SIDE, adapts=False)


def centred_grey(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey values less their mean, ``(n, side * side)``: their cosine is the correlation."""
    flat = pictures.astype(np.float32).mean(axis=1).reshape(len(pictures), -1)
    return flat - flat.mean(axis=1, keepdims=True)
