"""The one attacker that learns by gradient where nobody is named.

It starts from the closed form of a network's features and costs many times as much. So one network
a source is taken: that whose closed form finds most of the attacker's own patients on originals,
part after part of them, whom no map under it has met. Nobody who is tested is looked at for that.
(Where patients are cross-fitted, those who are tested by one fit teach the others, and take part in
the choice of the network, though never in what it learns.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deid.audit.attackers import ATTACKERS, trained
from deid.audit.bench import Bench
from deid.audit.linkages import ORIGINAL
from deid.audit.own_patients import AMONG


def send_one(bench: Bench) -> dict[str, Any]:
    """Put a head that learns by gradient on the bench.

    Returns
    -------
    ``attacker``, its name, None where own patients are too few to tell; ``found``, by network what
    the closed form finds of ``patients`` of its own ``among`` so many people; ``others``, who could
    have learnt by gradient and did not.
    """
    networks = [name for name in bench.attackers if name in ATTACKERS and ATTACKERS[name].network]
    told = {name: one for name in networks if (one := _found(bench, name))}
    found = {name: float(np.mean(list(one.values()))) for name, one in told.items()}
    sent, patients = None, 0
    if found:
        best = max(found, key=lambda name: found[name])
        sent, patients = trained.name_on(best), len(told[best])
        bench.join(sent, trained.head_on(bench.attackers[best], best))
    able = {trained.name_on(name) for name in networks}
    able |= {name for name, entry in ATTACKERS.items() if entry.gradient}
    return {
        "attacker": sent,
        "among": AMONG,
        "patients": patients,
        "found": found,
        "others": sorted(able - {sent}),
    }


def _found(bench: Bench, name: str) -> dict[str, float]:
    """Of each of the attacker's own patients what is found of them, over all fits."""
    from deid.audit.gradient import left_out

    found: dict[str, list[float]] = {}
    for trial in bench.plan.trials:
        by_person = left_out(bench.training(name, trial, (ORIGINAL, ORIGINAL)))
        for person, share in by_person.items():
            found.setdefault(person, []).append(share)
    return {person: float(np.mean(shares)) for person, shares in found.items()}


def choice_in_words(said: Mapping[str, Any]) -> str:
    """Who learnt by gradient and why, as a sentence."""
    if said["attacker"] is None:
        return "nobody learnt by gradient: too few patients of their own to leave any out"
    told = ", ".join(f"{name} {100 * share:.0f}" for name, share in said["found"].items())
    return (
        f"{said['attacker']} alone learnt by gradient: of 100 of {said['patients']} own patients "
        f"the closed form finds among {said['among']} people by {told}"
    )
