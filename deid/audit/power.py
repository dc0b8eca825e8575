"""The power control: an attacker that breaks nothing proves nothing.

The same recipe, patients and seeds, with a planted remover in place of the real one. An attacker
passes when it *reaches* (its AUC on originals is near the best attacker's, a bundled encoder among
them, and above chance by more than it may lose: else the weak would pass beside the weak) and
*breaks* every plant (its AUC there is near its own on originals).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Planted removers that hide nothing from an attacker who adapts.
PLANTS = ("identity", "warp", "tone", "shuffle")
#: One of these has to be among the attackers.
ENCODERS = ("mami", "judge")
#: How far below the best attacker, and below itself, an attacker may stay.
REACH, BREAK = 0.03, 0.05
CHANCE = 0.5

Linkages = Mapping[str, Any]


def verdicts(own: Linkages, planted: Mapping[str, Linkages]) -> dict[str, Any]:
    """What the control says of each attacker that adapts.

    Parameters
    ----------
    own
        ``original`` of the audited source, by basis.
    planted
        By planted remover, the linkages with it in place.

    Returns
    -------
    By attacker ``auc`` on originals, ``best`` there of any attacker (None where no bundled encoder
    is one), ``reaches``, ``planted`` (by plant and linkage the AUC) and ``passes``.
    """
    bases = own["original"]
    best = max(_auc(found) for basis in bases.values() for found in basis["attackers"].values())
    compared = any(name in bases["fixed"]["attackers"] for name in ENCODERS)
    said = {}
    for name, found in bases["adaptive"]["attackers"].items():
        alone = _auc(found)
        against = {
            plant: {
                linkage: _auc(linked["adaptive"]["attackers"][name])
                for linkage, linked in linkages.items()
                if name in linked["adaptive"]["attackers"]
            }
            for plant, linkages in planted.items()
        }
        lowest = min((auc for one in against.values() for auc in one.values()), default=0.0)
        above = float(found["auc"]["low"]) - BREAK > CHANCE
        reaches = compared and above and alone >= best - REACH
        said[name] = {
            "auc": alone,
            "best": best if compared else None,
            "reaches": reaches,
            "planted": against,
            "passes": reaches and lowest >= alone - BREAK,
        }
    return said


def verdict(said: Mapping[str, Any]) -> str:
    """The verdict in words."""
    strong = [name for name, one in said.items() if one["passes"]]
    if strong:
        return f"power control passed by {', '.join(strong)}"
    why = "; ".join(f"{name} {_failing(one)}" for name, one in said.items())
    return f"too weak to tell: no attacker passed the power control ({why or 'none adapts'})"


def _failing(one: Mapping[str, Any]) -> str:
    reasons = [] if one["reaches"] else [f"has AUC {one['auc']:.2f} on originals"]
    if one["best"] is None:
        reasons = [f"has none of {', '.join(ENCODERS)} beside it"]
    reasons += [
        f"finds {min(linkages.values()):.2f} behind '{plant}'"
        for plant, linkages in one["planted"].items()
        if linkages and min(linkages.values()) < one["auc"] - BREAK
    ]
    return " and ".join(reasons)


def _auc(figures: Mapping[str, Any]) -> float:
    return float(figures["auc"]["value"])
