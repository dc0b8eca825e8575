"""Somebody in the middle of several people (k-Same: Newton et al., TKDE 2005)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from deid.audit.removers.registry import Change, Donors, Picture, remover

#: Side of the thumbnails by which they are alike, and how many times as many are drawn from.
THUMB, CHOICE = 16, 2


@remover("look-alikes", parameter=8.0, fitted=True)
def look_alikes(count: float, donors: Donors) -> Change:
    """The mean of so many other patients who look alike, drawn by the code."""
    number = min(round(count), len(donors))
    thumbs = np.stack([_thumb(one.astype(np.float32) / 255.0) for one in donors])

    def change(picture: Picture, code: np.random.Generator) -> Picture:
        distance = ((thumbs - _thumb(picture)) ** 2).sum(axis=1)
        near = np.argsort(distance, kind="stable")[: CHOICE * number]
        chosen = code.choice(near, size=number, replace=False)
        found: Picture = donors[chosen].mean(axis=0, dtype=np.float32) / np.float32(255.0)
        return found

    return change


def _thumb(picture: Picture) -> NDArray[np.float32]:
    small = cv2.resize(picture, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32).reshape(-1)
