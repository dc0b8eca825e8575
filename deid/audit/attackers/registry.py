"""The list of attackers, filled by one decorator, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.trouble import AuditError
from mami_core.data import Record

if TYPE_CHECKING:
    from deid.audit.matching import Fit

#: Pictures ``(n, 3, size, size)`` uint8 -> features ``(n, d)``.
Look = Callable[[NDArray[np.uint8]], NDArray[Any]]
#: Rows of the table and their pictures at full size -> features ``(n, d)``.
Read = Callable[[Sequence[Record], Sequence[NDArray[np.float32]]], NDArray[Any]]


@dataclass(frozen=True)
class Attacker:
    """An attacker that is ready to look at pictures.

    Attributes
    ----------
    embed
        Pictures ``(n, 3, size, size)`` uint8 to features ``(n, d)``.
    size
        Side of the square pictures that it takes.
    fit
        How it learns from images of its own patients; None where it matches as it comes.
    adapts
        Whether it can be fitted again on protected images.
    depths
        Widths of the parts, at the end of the features, by which it learns; what stands before them
        is what it matches by as it comes. All features are for both where it is empty.
    weights
        What it sees by, where that did not come with the toolkit: a digest, by which features that
        were kept are told from those of other weights.
    eyes
        Name of the attacker that sees just what it sees; empty where none does. A picture is looked
        at once for both.
    behind
        Name and attacker who looks at what this one has turned back (see `deid.audit.undoing`).
    pictures
        Whether what it sees are the pictures themselves, which are never kept on disk.
    reads
        What it reads beside the picture; where this is given it looks at no picture, and `embed` is
        never asked.
    """

    embed: Look
    size: int
    fit: Fit | None = None
    adapts: bool = True
    depths: tuple[int, ...] = ()
    weights: str = ""
    eyes: str = ""
    behind: tuple[str, Attacker] | None = None
    pictures: bool = False
    reads: Read | None = None

    def seen(self, features: NDArray[np.floating], *, learnt: bool) -> NDArray[np.floating]:
        """The columns of ``(n, d)`` that it matches by."""
        before = features.shape[1] - sum(self.depths) if self.depths else 0
        if not before:
            return features
        return features[:, before:] if learnt else features[:, :before]


@dataclass(frozen=True)
class Entry:
    """One row of the list.

    Attributes
    ----------
    needs
        What has to be there beside the data.
    floor
        Whether it sees only what a picture must keep to be of use: no remover that keeps the
        diagnosis goes below what it finds.
    network
        Whether it looks by a network, on whose features a head can learn by gradient.
    gradient
        Whether it learns by gradient itself.
    build
        Makes it for ``auto``, ``cpu`` or ``cuda``.
    """

    name: str
    summary: str
    needs: str
    floor: bool
    build: Callable[[str], Attacker]
    network: bool = False
    gradient: bool = False


ATTACKERS: dict[str, Entry] = {}

Build = Callable[[str], Attacker]


def attacker(
    name: str,
    *,
    needs: str = "nothing",
    floor: bool = False,
    network: bool = False,
    gradient: bool = False,
) -> Callable[[Build], Build]:
    """Put an attacker on the list; the first line of its docstring says what it is."""

    def enter(build: Build) -> Build:
        summary = (build.__doc__ or "").strip().splitlines()[0].rstrip(".")
        ATTACKERS[name] = Entry(name, summary, needs, floor, build, network, gradient)
        return build

    return enter


def named(names: Sequence[str]) -> list[Entry]:
    """The entries of these names, each once, in the order given.

    Raises
    ------
    AuditError
        Where there is no such attacker, or one is asked for with two files.
    """
    entries = list(dict.fromkeys(_of(name) for name in dict.fromkeys(names)))
    if len({entry.name for entry in entries}) < len(entries):
        raise AuditError("--attacker: one network with two files; give each an audit of its own")
    return entries


def usual() -> list[Entry]:
    """The entries where nobody is named: all but those who learn by gradient."""
    return [entry for entry in ATTACKERS.values() if not entry.gradient]


def _of(name: str) -> Entry:
    from deid.audit.attackers import critic, of_timm, siamese, trained, whiten

    if name.startswith(of_timm.PREFIX):
        return of_timm.entry(name)
    if name.startswith(critic.PREFIX):
        return critic.entry(name.removeprefix(critic.PREFIX))
    if name.startswith(whiten.PREFIX):
        return whiten.entry(name.removeprefix(whiten.PREFIX))
    if name.startswith(siamese.PREFIX):
        return siamese.entry(name.removeprefix(siamese.PREFIX))
    head, _, behind = name.partition(":")
    if head == trained.NAME and behind:
        return trained.entry(_of(behind))
    if name not in ATTACKERS:
        raise AuditError(
            f"--attacker: no such attacker; there are: {', '.join(ATTACKERS)}, trained:NAME, "
            f"{of_timm.FORM}, {whiten.FORM}, {siamese.FORM}, critic:CHECKPOINT"
        )
    return ATTACKERS[name]


def is_floor(name: str) -> bool:
    """Whether an attacker sees only what every usable copy keeps."""
    return name in ATTACKERS and ATTACKERS[name].floor
