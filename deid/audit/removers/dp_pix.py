"""Pixelisation with noise (Fan, DBSec 2018)."""

from __future__ import annotations

import cv2
import numpy as np

from deid.audit.removers.registry import SIDE, Change, Donors, Picture, remover

#: Privacy budget; neighbouring pictures differ in one pixel, so the scale is 1 / (b^2 epsilon).
EPSILON = 0.5


@remover("dp-pix", parameter=8.0, least=1.0)
def dp_pix(block: float, donors: Donors) -> Change:
    """Means of blocks of so many pixels, with Laplace noise of epsilon 0.5 (DP-Pix)."""
    cells = max(1, round(SIDE / block))
    scale = 1.0 / (block**2 * EPSILON)

    def change(picture: Picture, code: np.random.Generator) -> Picture:
        means = cv2.resize(picture, (cells, cells), interpolation=cv2.INTER_AREA)
        means = means.reshape(cells, cells, -1)
        means = np.clip(means + code.laplace(0.0, scale, means.shape), 0.0, 1.0)
        large = cv2.resize(means, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        return np.asarray(large, dtype=np.float32).reshape(picture.shape)

    return change
