"""The list of attackers, filled by one decorator, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deid.audit.trouble import AuditError

if TYPE_CHECKING:
    from deid.audit.matching import Fit
    from mami_core.evaluation.embed import Embed


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
    """

    embed: Embed
    size: int
    fit: Fit | None = None
    adapts: bool = True


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
    build
        Makes it for ``auto``, ``cpu`` or ``cuda``.
    """

    name: str
    summary: str
    needs: str
    floor: bool
    build: Callable[[str], Attacker]


ATTACKERS: dict[str, Entry] = {}

Build = Callable[[str], Attacker]


def attacker(name: str, *, needs: str = "nothing", floor: bool = False) -> Callable[[Build], Build]:
    """Put an attacker on the list; the first line of its docstring says what it is."""

    def enter(build: Build) -> Build:
        summary = (build.__doc__ or "").strip().splitlines()[0].rstrip(".")
        ATTACKERS[name] = Entry(name, summary, needs, floor, build)
        return build

    return enter


def named(names: Sequence[str]) -> list[Entry]:
    """The entries of these names, each once, in the order given.

    Raises
    ------
    AuditError
        Where there is no such attacker.
    """
    for name in names:
        if name not in ATTACKERS:
            raise AuditError(f"--attacker: no such attacker; there are: {', '.join(ATTACKERS)}")
    return [ATTACKERS[name] for name in dict.fromkeys(names)]
