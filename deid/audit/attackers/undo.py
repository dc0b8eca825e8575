"""The edit is turned back before anybody looks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.mami import WEIGHTS, encoder
from deid.audit.attackers.registry import Attacker, attacker
from deid.audit.linkages import ORIGINAL

if TYPE_CHECKING:
    from torch import Tensor

    from deid.audit.matching import Map, Matcher, Training

#: Side of the grey picture that is turned back, and of the two of its colours.
SIDE, COLOUR_SIDE = 112, 56
GREY, COLOUR = SIDE**2, COLOUR_SIDE**2

Rows = NDArray[np.floating]


@attacker("undo", needs=f"bundled weights {WEIGHTS}")
def undo(device: str) -> Attacker:
    """Learns to turn the edit back, pixel by pixel; then looks with the bundled encoder."""
    network = encoder(WEIGHTS, device)
    # One fit meets the same pictures in several linkages.
    seen: dict[bytes, NDArray[np.float64]] = {}

    def look(rows: Rows) -> NDArray[np.float64]:
        pictures = _pictures(rows, network.size)
        digest = hashlib.sha256(pictures.tobytes()).digest()
        if digest not in seen:
            features = network.seen(network.embed(pictures), learnt=True)
            seen[digest] = features.astype(np.float64)
        return seen[digest]

    def fit(training: Training) -> Matcher:
        return _fitted(training, look, network.depths)

    return Attacker(_rows, SIDE, fit=fit)


def _fitted(training: Training, look: Map, depths: tuple[int, ...]) -> Matcher:
    """The closed form on what `look` sees of pictures that were turned back."""
    from deid.audit.matching import Matcher, closed_form

    restored, back = _turned(training)
    original, draws = look(training.original), iter([look(rows) for rows in restored])
    sides = [
        [original if role == ORIGINAL else next(draws) for _ in forms]
        for role, forms in zip(training.roles, (training.query, training.gallery), strict=True)
    ]
    query, gallery = sides
    known = closed_form(
        replace(training, query=query, gallery=gallery, original=original, depths=depths)
    )
    query_eyes, gallery_eyes = (
        look if role == ORIGINAL else lambda rows: look(back(rows)) for role in training.roles
    )
    return Matcher(
        lambda rows: known.of_queries(query_eyes(rows)),
        lambda rows: known.of_gallery(gallery_eyes(rows)),
    )


def _turned(training: Training) -> tuple[list[Rows], Map]:
    """The attacker's protected pictures, each turned back by other patients'; and what turns back
    those of whom it is tested on.
    """
    import torch

    from deid.audit.matching import part_of
    from deid.audit.turning_back import learnt, out_of_fold

    draws = len(training.protected)
    if not draws:
        return [], lambda rows: np.asarray(rows, dtype=np.float64)
    edited = torch.from_numpy(np.concatenate(training.protected)).float()
    original = torch.from_numpy(np.concatenate([training.original] * draws)).float()
    half = torch.tensor([part_of(record) % 2 == 0 for record in training.records] * draws)
    back = learnt(edited, original)
    restored = out_of_fold(edited, original, half).chunk(draws)
    return [
        one.numpy() for one in restored
    ], lambda rows: back(torch.from_numpy(np.asarray(rows)).float()).numpy().astype(np.float64)


def _rows(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures ``(n, 3, SIDE, SIDE)`` as rows of grey values and, coarser, of red and blue."""
    red, _, blue = planes = pictures.astype(np.float32).transpose(1, 0, 2, 3)
    grey = planes.mean(axis=0)
    colours = [_halved(128.0 + (colour - grey) / 2.0) for colour in (red, blue)]
    rows = [part.reshape(len(pictures), -1) for part in (grey, *colours)]
    return np.rint(np.concatenate(rows, axis=1)).astype(np.uint8)


def _pictures(rows: Rows, size: int) -> NDArray[np.uint8]:
    """Such rows as pictures ``(n, 3, size, size)``."""
    import torch
    from torch.nn.functional import interpolate

    def plane(low: int, side: int) -> Tensor:
        square = np.asarray(rows[:, low : low + side * side], dtype=np.float32)
        given = torch.from_numpy(square).view(-1, 1, side, side)
        return interpolate(given, size=(size, size), mode="bilinear", align_corners=False)

    grey = plane(0, SIDE)
    red, blue = (2.0 * (plane(low, COLOUR_SIDE) - 128.0) for low in (GREY, GREY + COLOUR))
    planes = torch.cat([grey + red, grey - red - blue, grey + blue], dim=1)
    return planes.round().clamp(0, 255).byte().numpy()


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    cells = plane.reshape(len(plane), COLOUR_SIDE, 2, COLOUR_SIDE, 2)
    return cells.mean(axis=(2, 4))
