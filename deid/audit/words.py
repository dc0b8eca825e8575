"""An audit in sentences: the first says what was found, the last what was not looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deid.audit.attackers.critic import NAME as CRITIC
from deid.audit.attackers.siamese import HIS
from deid.audit.attackers.siamese import PREFIX as WHOLE
from deid.audit.linkages import BY_RELEASE, COPY, LINKAGES, UNDO
from deid.audit.power import verdict
from deid.audit.removers.registry import WEIGHTS_FILE
from mami_core.evaluation.coverage import LEAST

#: What another image of a person is. Only the first two are a sentence about other visits.
MATES = {
    "visit": "another visit",
    "study": "another study",
    "same_eye": "another photo of the same eye",
    "bilateral": "the other eye",
    "place": "another place of the same scan",
    "slice": "another part of the same scan",
}

#: Stands behind an interval that is not to be relied on.
MARK = "*"
UNRELIABLE = (
    f"{MARK} the interval of this AUC is unreliable: simulated ones of its kind hold the truth in "
    f"fewer than {100 * LEAST:.0f} of 100 cases, or none was simulated"
)

OVERSTATES = "fixed only, overstates protection"


def first_sentence(record: Mapping[str, Any]) -> str:
    """What was found in the source where most was, or why nothing can be said."""
    said = {
        name: headline(source) for name, source in record["sources"].items() if source["linkages"]
    }
    decided = {name: found for name, found in said.items() if "value" in found}
    if not decided:
        reasons = [f"{name}: {found['undecidable']}" for name, found in said.items()]
        why = "; ".join(reasons) or "nobody has a mate"
        few = any(not source["decidable"] for source in record["sources"].values())
        part = record["options"]["split"]
        # Where a table names no splits, they are drawn: nobody knows of them.
        more = f" (in split '{part}'; --split all tests everybody)" if few and part != "all" else ""
        return f"Not decidable with this data: {why}{more}."
    name = max(decided, key=lambda one: decided[one]["value"])
    return sentence(record["sources"][name], name, decided[name])


def sentence(source: Mapping[str, Any], name: str, found: Mapping[str, Any]) -> str:
    """``At least X of 100 patients (a to b) were picked out of N people; a guess finds Y.``"""
    value, low, high = (_of_100(found[key]) for key in ("value", "low", "high"))
    mate = " or ".join(MATES.get(kind, kind) for kind in source["kind"].split("|"))
    weak = ""
    if "power" in source and found["linkage"] != "original":
        weak = f"; {verdict(source['power'])}"
    said = (
        f"At least {value} of 100 patients ({low} to {high}) were picked out of {found['n']} "
        f"people; a guess finds {_of_100(found['guess'])}. ({name}, by {mate}: "
        f"{found['linkage']}, {found['attacker']}{_caveat(source, found)}{weak})"
    )
    if source["useless"]:
        how = "private and useless" if found["low"] <= found["guess"] else "useless"
        said += f" The release is {how}: it shows everybody the same picture."
    return said


def headline(source: Mapping[str, Any]) -> dict[str, Any]:
    """The linkage that finds most people, adaptive where there is one; copies are no claim."""
    if not source["decidable"]:
        return {
            "undecidable": f"{source['patients']} patients have another image to be found by, "
            "and a claim takes 30"
        }
    candidates = []
    for name, linked in source["linkages"].items():
        if name == COPY or (name == "original" and len(source["linkages"]) > 1):
            continue
        for basis, found in linked.items():
            if found["largest"]:
                candidates.append({"linkage": name, "basis": basis, **found["largest"]})
    decided = [one for one in candidates if "value" in one]
    if decided:
        return max(decided, key=lambda one: one["value"])
    if not candidates and set(source["linkages"]) == {COPY}:
        return {"undecidable": "linkage copy alone was tried, and whoever holds the image finds it"}
    return candidates[0] if candidates else {"undecidable": "no attacker could be run"}


def not_tested(record: Mapping[str, Any]) -> list[str]:
    """What no figure of this audit speaks about."""
    linkages = {name for source in record["sources"].values() for name in source["linkages"]}
    adaptive = any(
        "adaptive" in linked
        for source in record["sources"].values()
        for linked in source["linkages"].values()
    )
    gaps = []
    if not linkages - {"original"}:
        gaps.append("any protection (no --remover, --protected or --pairs)")
    elif not adaptive:
        gaps.append(f"attackers that adapt to the edit ({OVERSTATES})")
    if adaptive and linkages - {"original"}:
        gaps += _power(record)
    missing: dict[str, list[str]] = {}
    for source in record["sources"].values():
        for name, reason in source["absent"].items():
            missing.setdefault(f"{name} ({reason})", [])
    gaps += list(missing)
    gaps += _by_gradient(record)
    gaps.append(_networks(record))
    gaps += _teachers(record)
    if linkages - {"original"}:
        attackers = record["options"]["attackers"]
        if "inverted" not in linkages and not (adaptive and UNDO in attackers):
            gaps.append("reversal of the edit (--adaptive --linkage inverted)")
        if record["options"]["remover"] == WEIGHTS_FILE and CRITIC not in attackers:
            gaps.append("the remover's own adversary (--attacker critic:CHECKPOINT)")
        if "pooled" not in linkages:
            gaps.append("galleries that mix originals with protected images (--linkage pooled)")
        if "reverse" not in linkages:
            gaps.append("whether a person is in the release (--linkage reverse)")
        if not any(LINKAGES[name].several for name in linkages):
            gaps.append("attackers who hold several releases of one image (--releases)")
        learns_by = {source["learns_by"] for source in record["sources"].values()}
        if adaptive and "own_key" not in linkages and learns_by != {BY_RELEASE}:
            gaps.append("attackers who know what the release made of others (--linkage own_key)")
    if inferred := _inference(record):
        gaps.append(inferred)
    if "header" not in record["options"]["attackers"]:
        gaps.append("what headers and kept attributes give away (--attacker header)")
    if not any(_pooled(source) for source in record["sources"].values()):
        gaps.append(
            "an attacker who pools several images of the query's person (too few have so many)"
        )
    return gaps


def pooled_in_words(source: Mapping[str, Any]) -> str:
    """What the attacker of the headline finds by several images; empty where nobody has them."""
    if not _pooled(source):
        return ""
    found = headline(source)
    told = ", ".join(
        f"not decidable by {point['images']}"
        if "undecidable" in point
        else f"{_of_100(point['linkability']['value'])} by {_several(point)}"
        for point in _points_of(source, found)
    )
    return (
        f"{found['attacker']} ({found['linkage']}) finds of 100 patients, by their images: {told}"
    )


def _several(point: Mapping[str, Any]) -> str:
    if point["images"] == "1":
        return "1"
    many = point["images"]
    if many == "all":
        many = f"all they have, {point['mean']:.1f} on average"
    return f"{many} (one by one {_of_100(point['alone'])})"


def _pooled(source: Mapping[str, Any]) -> bool:
    """Whether some number of images above 1 is decidable."""
    return any(
        point["images"] != "1" and point.get("mean", 1.0) > 1.0
        for point in _points_of(source, headline(source))
    )


def _points_of(source: Mapping[str, Any], found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "value" not in found:
        return []
    attackers = source["linkages"][found["linkage"]][found["basis"]]["attackers"]
    points: list[Mapping[str, Any]] = attackers[found["attacker"]]["by_images"]
    return points


def knowledge(record: Mapping[str, Any], linkage: str) -> str:
    """What the attackers of a linkage have that others have not; empty where that is nothing."""
    told = LINKAGES[linkage].knows.format(releases=record["options"]["releases"])
    return f"the attacker of {linkage} has {told}" if told else ""


def inferences(source: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Inference in the linkage and basis that say most of a release; None where there is none."""
    told = [
        found["inference"]
        for linkage in ("reverse", "original")
        for basis in ("adaptive", "fixed")
        if "inference" in (found := source["linkages"].get(linkage, {}).get(basis, {}))
    ]
    return next(iter(told), None)


def _inference(record: Mapping[str, Any]) -> str:
    """Whether nobody was asked what linking gives away of sex, age and findings."""
    told = [inferences(source) for source in record["sources"].values()]
    if not any(told):
        return "inference: what a found record gives away (--linkage reverse)"
    decided = any("main" in one for found in told if found for one in found["attributes"])
    return "" if decided else "inference (no attribute of the patients decides it)"


def _by_gradient(record: Mapping[str, Any]) -> list[str]:
    """Attackers who could have learnt by gradient and did not, and why."""
    chosen = {name: one["gradient"] for name, one in record["sources"].items() if "gradient" in one}
    if not chosen:
        learnt = any("fits" in figures for figures in _every_figure(record))
        return [] if learnt else ["attackers that learn by gradient (--attacker trained)"]
    idle = sorted({name for said in chosen.values() for name in said["others"]})
    told = ", ".join(f"{said['attacker'] or 'nobody'} in {name}" for name, said in chosen.items())
    return [
        f"by gradient {', '.join(idle)} (--attacker NAME; where nobody is named one a source "
        "learns so, a head on the network that in closed form finds most of its own patients: "
        f"{told})"
    ]


def _networks(record: Mapping[str, Any]) -> str:
    """Attackers whose network learns from images like these, beyond those that did."""
    reached = [
        all(fit["reached"] for fit in figures["fits"])
        for source in record["sources"].values()
        for linked in source["linkages"].values()
        for found in linked.values()
        for name, figures in found["attackers"].items()
        if name.startswith(WHOLE) and "fits" in figures
    ]
    # One that is under-trained anywhere leaves the question open.
    tried = bool(reached) and all(reached)
    which = (
        "is larger, or trained for longer, on more images like these"
        if tried
        else f"is trained on images like these (--attacker {WHOLE}{HIS})"
    )
    return f"attackers whose network {which}: every figure is a least"


def _every_figure(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Of every attacker in every linkage."""
    for source in record["sources"].values():
        for linked in source["linkages"].values():
            for found in linked.values():
                yield from found["attackers"].values()


def _teachers(record: Mapping[str, Any]) -> list[str]:
    """Attackers who have more to learn from than those had."""
    people = {
        name: source["teachers"]
        for name, source in record["sources"].items()
        if source["learns_by"]
    }
    told = ", ".join(f"{count:,} in {name}" for name, count in people.items())
    return [f"attackers who learn from more people (these: {told})"] if people else []


def _power(record: Mapping[str, Any]) -> list[str]:
    """What the power control leaves open, source by source."""
    gaps = []
    for name, source in record["sources"].items():
        if "power" not in source:
            gaps.append(f"whether the attackers of {name} are strong enough (no --control)")
        elif not any(one["passes"] for one in source["power"].values()):
            gaps.append(f"attackers of {name} that pass the power control")
    return gaps


def left_out_in_words(record: Mapping[str, Any]) -> str:
    """``Left out: 2 files (it is no image), ...``; empty where nothing is."""
    told = [
        f"{count:,} {'file' if count == 1 else 'files'} ({reason})"
        for reason, count in record["left_out"].items()
    ]
    return f"Left out: {', '.join(told)}." if told else ""


def unreliable(record: Mapping[str, Any]) -> bool:
    """Whether some interval is."""
    return any(not figures["auc"]["reliable"] for figures in _every_figure(record))


def last_line(record: Mapping[str, Any]) -> str:
    """``Not tested: ...``"""
    return f"Not tested: {'; '.join(record['not_tested'])}."


def _caveat(source: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Where nobody adapted. One who did and finds less than a fixed one overstates nothing."""
    adapted = source["linkages"][found["linkage"]].get("adaptive", {}).get("attackers")
    return "" if found["linkage"] == "original" or adapted else f"; {OVERSTATES}"


def _of_100(share: float) -> str:
    """A share as a number of 100, with a digit more where it is small."""
    return f"{100 * share:.0f}" if share >= 0.095 else f"{100 * share:.1f}"
