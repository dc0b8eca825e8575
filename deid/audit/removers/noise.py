"""Blur, then smooth noise."""

from __future__ import annotations

import numpy as np

from deid.audit.removers.blur import blurred
from deid.audit.removers.registry import Change, Donors, Picture, remover


@remover("noise", parameter=20.0, most=255.0)
def noise(spread: float, donors: Donors) -> Change:
    """Smooth noise of so many grey levels of 255, on a blur of a fifth as many pixels."""
    sigma = spread / 5.0

    def change(picture: Picture, code: np.random.Generator) -> Picture:
        rough = code.standard_normal((*picture.shape[:2], 1)).astype(np.float32)
        smooth = blurred(rough, sigma)
        # All channels alike: a grey picture stays grey.
        return blurred(picture, sigma) + spread / 255.0 * smooth / max(float(smooth.std()), 1e-9)

    return change
