"""What an audit is asked for, and whether it can be asked so."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deid.audit.linkages import DEFAULT, LINKAGES
from deid.audit.matching import Effort
from deid.audit.pairing import Release
from deid.audit.trouble import AuditError

#: Resamples below which an interval is a matter of luck, and above which nothing is gained.
FEWEST_RESAMPLES, MOST_RESAMPLES = 100, 100_000


@dataclass(frozen=True)
class Options:
    """What an audit is asked for; the fields are those of ``deid audit``.

    Attributes
    ----------
    attackers
        Names. Where there are none, everybody on the list who does not learn by gradient, and by
        source one who does (see `deid.audit.by_gradient`).
    bootstrap
        Resamples of patients behind an interval.
    """

    attackers: tuple[str, ...] = ()
    split: str = "val"
    gallery_size: int | None = None
    bootstrap: int = 1000
    seed: int = 0
    device: str = "auto"
    adaptive: bool = False
    linkages: tuple[str, ...] = ()
    releases: int = 1
    remover: str | None = None
    strength: float = 1.0
    control: bool = False
    restarts: int = 1
    budget: float = Effort.minutes


def settled(options: Options, release: Release | None) -> Options:
    """The options with what a release says of itself, and with the linkages by name.

    Raises
    ------
    AuditError
        Where they do not go together.
    """
    if not FEWEST_RESAMPLES <= options.bootstrap <= MOST_RESAMPLES:
        raise AuditError(
            f"--bootstrap: {FEWEST_RESAMPLES:,} to {MOST_RESAMPLES:,} resamples; "
            "give a number between these"
        )
    if release is not None and options.remover is None and options.adaptive:
        # The one that the run names, at its strength.
        options = replace(options, remover=release.remover, strength=release.strength)
    if options.control and not (options.adaptive and (options.remover or release)):
        raise AuditError("--control tries adaptive attackers on a release; give --adaptive and one")
    return replace(options, linkages=_linkages(options, released=release is not None))


def _linkages(options: Options, *, released: bool) -> tuple[str, ...]:
    """The linkages that are asked for; those with several releases also by their number.

    Raises
    ------
    AuditError
        Where one is not known, or lacks what it takes.
    """
    for name in options.linkages:
        if name not in LINKAGES:
            raise AuditError(f"--linkage: no such linkage; there are: {', '.join(LINKAGES)}")
    names, several = options.linkages, [name for name, one in LINKAGES.items() if one.several]
    if not names:
        names = (*DEFAULT, *(several if options.releases > 1 else ()))
    if (options.releases > 1) != any(name in several for name in names):
        raise AuditError(
            f"--linkage {' or '.join(several)} and --releases 2 or more go together; give both"
        )
    if options.releases > 1 and not options.remover:
        raise AuditError("--releases are made by the audit itself; give a --remover")
    for name in names:
        if LINKAGES[name].undone and not (options.adaptive and options.remover):
            raise AuditError(
                f"--linkage {name} is of attackers who learn to turn an edit back; "
                "give --adaptive and a --remover"
            )
        if LINKAGES[name].own_key and not (options.adaptive and (options.remover or released)):
            raise AuditError(
                f"--linkage {name} is of attackers who learn by what a release made of others; "
                "give --adaptive and a release"
            )
    for name in options.linkages:  # of the usual ones those are tried that there are
        if LINKAGES[name].released and not (options.remover or released):
            raise AuditError(
                f"--linkage {name} is of a release; give a --remover, or --protected or --pairs"
            )
    return names
