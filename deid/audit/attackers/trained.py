"""A network's features, and a head that is trained by gradient on top."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deid.audit.attackers import mami, of_timm, whiten
from deid.audit.attackers.registry import ATTACKERS, Attacker, Entry, attacker
from deid.audit.trouble import AuditError

if TYPE_CHECKING:
    from deid.audit.matching import Matcher, Training

NAME, ON = "trained", "mami"
SUMMARY = "The same head on the features of another attacker that looks by a network"


@attacker(NAME, needs=f"bundled weights {mami.WEIGHTS}", gradient=True)
def trained(device: str) -> Attacker:
    """A linear head on mami's features, trained by gradient from the closed form on."""
    return head_on(mami.mami(device), ON)


def name_on(network: str) -> str:
    """What the head on an attacker of that name is called."""
    return NAME if network == ON else f"{NAME}:{network}"


def head_on(network: Attacker, name: str) -> Attacker:
    """The head on the features of an attacker that looks by a network and has that name."""
    return replace(network, fit=fitted, eyes=name)


def entry(network: Entry) -> Entry:
    """The attacker ``trained:NAME``.

    Raises
    ------
    AuditError
        Where NAME does not look by a network, or learns by gradient already.
    """
    if not network.network:
        those = ", ".join(one.name for one in ATTACKERS.values() if one.network)
        raise AuditError(
            f"--attacker: {NAME}:NAME is a head on a network; NAME is one of {those}, "
            f"{of_timm.FORM}, {whiten.FORM}"
        )
    if network.name == ON:
        return ATTACKERS[NAME]

    def build(device: str) -> Attacker:
        return head_on(network.build(device), network.name)

    return replace(
        network,
        name=name_on(network.name),
        summary=SUMMARY,
        build=build,
        network=False,
        gradient=True,
    )


def fitted(training: Training) -> Matcher:
    """The closed form and what a gradient adds to it; the closed form alone where that is nothing.

    A matrix for each kind of role, zero at first, is added to the closed form's: InfoNCE over the
    attacker's own patients, both ways, in the very roles of the test. AdamW draws it back to zero.
    """
    from deid.audit.gradient import learnt
    from deid.audit.heads import Residual
    from deid.audit.learner import Recipe

    # Of nih's own patients most was found after 10 to 30 such steps, and less with larger ones.
    return learnt(training, Recipe(Residual, rate=3e-4, decay=1.0, stops=8, every=8))
