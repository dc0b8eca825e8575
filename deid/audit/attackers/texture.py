"""What is left where everything coarse is taken away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.registry import Attacker, attacker
from deid.audit.attackers.whiten import NEEDS

#: Standard deviation of what is subtracted, as a share of the side (four pixels of 224).
SIGMA = 4 / 224


@attacker("texture", needs=NEEDS, network=True)
def texture(device: str) -> Attacker:
    """The same network and whitening on the high-pass of the picture: grain, vessels, edges."""
    from deid.audit.attackers.whiten import whiten

    network = whiten(device)
    return replace(network, embed=lambda pictures: network.embed(_high_pass(pictures)))


def _high_pass(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from cv2 import GaussianBlur

    sigma = SIGMA * pictures.shape[2]
    planes = pictures.astype(np.float32)
    coarse = [[GaussianBlur(plane, (0, 0), sigma) for plane in picture] for picture in planes]
    # Fine structure covers a few grey levels: stretched, so that rounding does not eat it.
    fine = 128.0 + 4.0 * (planes - np.stack(coarse))
    return np.clip(np.rint(fine), 0, 255).astype(np.uint8)
