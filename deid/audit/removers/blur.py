"""Low-pass."""

from __future__ import annotations

import cv2
import numpy as np

from deid.audit.removers.registry import Change, Donors, Picture, remover


@remover("blur", parameter=4.0)
def blur(sigma: float, donors: Donors) -> Change:
    """Gaussian blur of so many pixels of 224."""
    return lambda picture, _: blurred(picture, sigma)


def blurred(picture: Picture, sigma: float) -> Picture:
    """A square less what is finer than `sigma` pixels."""
    smooth = cv2.GaussianBlur(picture, (0, 0), sigma)
    return np.asarray(smooth, dtype=np.float32).reshape(picture.shape)
