"""The list of removers, filled by one decorator, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deid.audit.trouble import AuditError
from mami_core.data import square

#: Side of the square that the simple edits work on, and their parameters are in its pixels; but for
#: those that leave all there is, which have to keep clear of being brought to size once more.
SIDE = 224

Picture = NDArray[np.float32]

#: What a remover is called that came from a file: a path stays out of every output.
WEIGHTS_FILE = "a weights file"

#: Edits a square ``(side, side, channels)`` in 0..1, channels 1 or 3, at full strength.
Change = Callable[[Picture, np.random.Generator], Picture]

#: (image ``(H, W)`` or ``(H, W, 3)`` in 0..1, modality, secret code, strength) -> image.
Edit = Callable[[Picture, str | None, bytes, float], Picture]


@dataclass(frozen=True)
class Donors:
    """Pictures that a remover is fitted on, none of whom is tested.

    Attributes
    ----------
    squares
        ``(n, SIDE, SIDE, channels)``.
    owner
        Number of each one's patient, ``(n,)``.
    """

    squares: NDArray[np.uint8]
    owner: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.squares)


#: Of a remover that is fitted on nobody.
NOBODY = Donors(np.empty((0, SIDE, SIDE, 1), dtype=np.uint8), np.empty(0, dtype=np.intp))


@dataclass(frozen=True)
class Remover:
    """A remover that is ready.

    Attributes
    ----------
    edit
        Equal codes give equal pictures.
    code_of_patient
        Whether all images of a patient share a code; else each has its own.
    marked
        Whether a digest of the person, which no key changes, stands before the code: for planted
        ones, which leave of a person what is known.
    """

    edit: Edit
    code_of_patient: bool = False
    marked: bool = False


#: The least parameter of those that are no whole number.
LEAST = 0.001


@dataclass(frozen=True)
class Entry:
    """One row of the list.

    Attributes
    ----------
    parameter
        What stands behind the colon where none is given; None where it takes none.
    least, most
        What the parameter may be: below it nothing is edited, and above it nothing more.
    fitted
        Whether it is made from pictures of other patients, the donors.
    planted
        Whether it is there to be broken, as a control of the attackers.
    build
        Makes it of its parameter and its donors.
    shared
        Whether the donors teach the attacker too, who holds them with the software; it edits each
        as if that patient were not among them. Else they are neither the attacker's nor tested.
    """

    name: str
    summary: str
    parameter: float | None
    fitted: bool
    planted: bool
    build: Callable[[float, Donors], Remover]
    shared: bool = False
    least: float = LEAST
    most: float = SIDE


REMOVERS: dict[str, Entry] = {}

#: A parameter, and donors where it is fitted, to an edit at full strength.
Build = Callable[[float, Donors], Change]


def remover(
    name: str,
    *,
    parameter: float | None = None,
    least: float = LEAST,
    most: float = SIDE,
    fitted: bool = False,
    planted: bool = False,
    shared: bool = False,
    side: int = SIDE,
) -> Callable[[Build], Build]:
    """Put a simple edit of squares of `side` on the list; the first line of its docstring says
    what it is.
    """

    def enter(build: Build) -> Build:
        summary = (build.__doc__ or "").strip().splitlines()[0].rstrip(".")

        def made(value: float, donors: Donors) -> Remover:
            return Remover(_blended(build(value, donors), side))

        REMOVERS[name] = Entry(name, summary, parameter, fitted, planted, made, shared, least, most)
        return build

    return enter


def called(text: str) -> tuple[Entry, float]:
    """The entry and parameter of ``NAME`` or ``NAME:PARAMETER``, or of a weights file.

    Raises
    ------
    AuditError
        Where there is no such remover, or the parameter is none that makes sense.
    """
    if text.endswith(".safetensors"):
        from deid.audit.removers.network import entry as of_weights

        return of_weights(text), 0.0
    name, _, behind = text.partition(":")
    if name not in REMOVERS:
        raise AuditError(f"--remover: no such remover; there are: {', '.join(REMOVERS)}")
    entry = REMOVERS[name]
    if behind and entry.parameter is None:
        raise AuditError(f"--remover: {name} takes no parameter; leave out what follows the colon")
    try:
        value = float(behind) if behind else (entry.parameter or 0.0)
    except ValueError:
        value = float("nan")
    if entry.parameter is not None and not entry.least <= value <= entry.most:
        raise AuditError(
            f"--remover: the parameter of {name} is a number from {entry.least:g} to "
            f"{entry.most:g}; give one"
        )
    return entry, value


def working(picture: Picture, side: int = SIDE) -> Picture:
    """The square that simple edits work on, ``(side, side, channels)``."""
    planes = square(picture, side)
    return planes[:1].transpose(1, 2, 0) if picture.ndim == 2 else planes.transpose(1, 2, 0)


def _blended(change: Change, side: int) -> Edit:
    """Strength is the share of the edit in the mix; 0 leaves every pixel as it is."""

    def edit(picture: Picture, modality: str | None, code: bytes, strength: float) -> Picture:
        if strength == 0.0:
            return picture
        before = working(picture, side)
        after = change(before, np.random.default_rng(int.from_bytes(code, "big")))
        mixed = np.clip((1.0 - strength) * before + strength * after, 0.0, 1.0).astype(np.float32)
        return mixed[..., 0] if picture.ndim == 2 else mixed

    return edit
