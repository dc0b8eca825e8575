"""Removers with a known answer: an attacker that does not break these proves nothing."""

from __future__ import annotations

import cv2
import numpy as np

from deid.audit.removers.registry import SIDE, Change, Donors, Picture, remover
from mami_core.data.square import MASTER

#: Side of the blocks that are shuffled; in no augmentation of a bundled training.
BLOCK = 4
#: How far a warp pulls, in pixels of 224, at so many knots to a side.
PULL, KNOTS = 4.0, 5


@remover("identity", planted=True, side=MASTER)
def identity(_: float, donors: Donors) -> Change:
    """Nothing is changed: every linkage finds what it finds in the originals."""
    return lambda picture, code: picture


@remover("tone", planted=True, side=MASTER)
def tone(_: float, donors: Donors) -> Change:
    """One tone curve with offset and gain for everybody: hides nothing."""
    return lambda picture, code: np.float32(0.1) + np.float32(0.75) * picture ** np.float32(1.8)


@remover("warp", planted=True)
def warp(_: float, donors: Donors) -> Change:
    """A small smooth warp, drawn by the code: moves everything and hides nothing."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)

    def change(picture: Picture, code: np.random.Generator) -> Picture:
        coarse = code.uniform(-PULL, PULL, (2, KNOTS, KNOTS)).astype(np.float32)
        down, right = (
            cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for one in coarse
        )
        moved = cv2.remap(
            picture, columns + right, rows + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        return np.asarray(moved, dtype=np.float32).reshape(picture.shape)

    return change


@remover("shuffle", planted=True, side=MASTER)
def shuffle(_: float, donors: Donors) -> Change:
    """One shuffle of 4 x 4 blocks for everybody: fools the eye, and attackers that do not adapt."""
    cells = MASTER // BLOCK
    order = np.random.default_rng(0).permutation(cells * cells)

    def change(picture: Picture, code: np.random.Generator) -> Picture:
        blocks = picture.reshape(cells, BLOCK, cells, BLOCK, -1).swapaxes(1, 2)
        mixed = blocks.reshape(cells * cells, BLOCK, BLOCK, -1)[order]
        rows = mixed.reshape(cells, cells, BLOCK, BLOCK, -1).swapaxes(1, 2)
        return rows.reshape(picture.shape)

    return change


@remover("constant", planted=True)
def constant(_: float, donors: Donors) -> Change:
    """The same grey picture for everybody: private, and useless."""
    return lambda picture, code: np.full_like(picture, 0.5)
