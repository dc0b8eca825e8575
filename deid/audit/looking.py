"""One pass over the pictures: what every attacker sees in every form of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.registry import Attacker
from mami_core.data import Dataset, UndecodableError, square
from mami_core.evaluation.embed import HELD

Picture = NDArray[np.float32]

#: Row of the data set and its picture -> the picture in another form.
Form = Callable[[int, Picture], Picture]

#: Stands where an image can not be decoded.
NOTHING: Picture = np.zeros((8, 8), np.float32)

#: Pictures ``(n, 3, size, size)`` by their size.
Squares = Mapping[int, NDArray[np.uint8]]

#: What is told of the progress: how many more pictures are done.
Told = Callable[[int], None]


def look(
    dataset: Dataset,
    rows: Sequence[int],
    attackers: Mapping[str, Attacker],
    forms: Mapping[str, Form],
    told: Told = lambda _: None,
) -> tuple[dict[tuple[str, str], NDArray[Any]], dict[int, str]]:
    """Features by attacker and form, ``(rows, d)`` each; and rows that can not be decoded, why.

    Of these the features say nothing. A picture is decoded once, and few are held at a time: memory
    does not grow with the data set. Where an edit has no random draw, two releases hold the same
    pictures: these are looked at once.
    """
    lost: dict[int, str] = {}

    def tried(row: int, read: Callable[[], Picture]) -> Picture:
        try:
            return read()
        except UndecodableError as error:
            lost[row] = error.why
            return NOTHING

    parts: dict[tuple[str, str], list[NDArray[Any]]] = {
        (name, form): [] for name in attackers for form in forms
    }
    # One form under two names is made and looked at once.
    first: dict[Form, str] = {}
    names = {form: first.setdefault(change, form) for form, change in forms.items()}
    for start in range(0, len(rows), HELD):
        held = rows[start : start + HELD]
        pictures = [(row, tried(row, partial(dataset.picture, row))) for row in held]
        looked: list[tuple[Squares, dict[str, NDArray[Any]]]] = []
        for change, form in first.items():
            changed = [tried(row, partial(change, row, picture)) for row, picture in pictures]
            sizes = {one.size for one in attackers.values() if one.reads is None}
            squares = {size: _squares(changed, size) for size in sizes}
            found = next((seen for shown, seen in looked if _equal(shown, squares)), {})
            looked.append((squares, found))
            for name, attacker in attackers.items():
                eyes = attacker.eyes or name
                if attacker.reads is not None:
                    found[eyes] = attacker.reads([dataset.records[row] for row in held], changed)
                elif eyes not in found:
                    found[eyes] = attacker.embed(squares[attacker.size])
                parts[name, form].append(found[eyes])
        told(len(held))
    tables = {key: np.concatenate(part) for key, part in parts.items() if part}
    return {(name, form): tables[name, names[form]] for name, form in parts}, lost


def unchanged(row: int, picture: Picture) -> Picture:
    """The form of originals."""
    return picture


def _equal(one: Squares, other: Squares) -> bool:
    return all(np.array_equal(one[size], other[size]) for size in one)


def _squares(pictures: Sequence[Picture], size: int) -> NDArray[np.uint8]:
    return np.stack([np.rint(square(one, size) * 255.0).astype(np.uint8) for one in pictures])
