"""Pictures that the cohort is fitted with: general edits of real images, and pictures of nobody."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]

#: Pictures ``(n, 3, s, s)`` -> pictures of the same shape.
Edit = Callable[[Pictures], Pictures]


def _blur(share: float) -> Edit:
    def edit(pictures: Pictures) -> Pictures:
        sigma = share * pictures.shape[2]
        planes = [
            [cv2.GaussianBlur(plane, (0, 0), sigma) for plane in picture] for picture in pictures
        ]
        return np.array(planes, dtype=np.uint8)

    return edit


def _noise(spread: float) -> Edit:
    def edit(pictures: Pictures) -> Pictures:
        generator = np.random.default_rng(0)
        shape = (len(pictures), 1, *pictures.shape[2:])
        return _bytes(pictures + spread * generator.standard_normal(shape))

    return edit


def _blend(share: float) -> Edit:
    """Mix each picture with that of the next in line, which is mostly another patient's."""

    def edit(pictures: Pictures) -> Pictures:
        step = max(1, len(pictures) // 3)
        return _bytes((1 - share) * pictures + share * np.roll(pictures, step, axis=0))

    return edit


#: From nearly untouched to nearly nobody, so that the regression spans the range of a remover.
EDITS: tuple[Edit, ...] = (
    *(_blur(share) for share in (0.01, 0.02, 0.04, 0.08)),
    *(_noise(spread) for spread in (15.0, 50.0)),
    *(_blend(share) for share in (0.3, 0.5, 0.7)),
)


def empty_pictures(size: int) -> Pictures:
    """Pictures without anybody, ``(k, 3, size, size)``: blanks, ramps, noise of several grains."""
    generator = np.random.default_rng(0)
    ramp = np.linspace(0.0, 255.0, size)
    planes = [np.full((size, size), level) for level in (0.0, 64.0, 128.0, 192.0, 255.0)]
    planes += [np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size))]
    for middle in (64.0, 128.0, 192.0):
        for spread in (2.0, 8.0, 32.0, 96.0):
            planes += [middle + spread * _grains(generator, size, grain) for grain in (1, 4, 16)]
    grey = np.repeat(np.stack(planes)[:, None], 3, axis=1)
    colour = 128.0 + 64.0 * generator.standard_normal((4, 3, size, size))
    return _bytes(np.concatenate([grey, colour]))


def _grains(generator: np.random.Generator, size: int, grain: int) -> NDArray[np.floating]:
    """Standard normal noise whose grains are `grain` pixels wide."""
    coarse = generator.standard_normal((-(-size // grain),) * 2)
    return np.kron(coarse, np.ones((grain, grain)))[:size, :size]


def _bytes(values: NDArray[np.floating]) -> Pictures:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
