from __future__ import annotations

import pytest

from deid.audit.power import verdict, verdicts


def figures(**aucs: float) -> dict:
    return {
        "attackers": {
            name: {"auc": {"value": auc, "low": auc - 0.04}} for name, auc in aucs.items()
        }
    }


def control(shuffled: float, own: float = 0.94, best: float = 0.95) -> dict:
    originals = {"original": {"fixed": figures(mami=best), "adaptive": figures(whiten=own)}}
    planted = {
        "identity": {"outer": {"adaptive": figures(whiten=own)}},
        "shuffle": {
            "outer": {"adaptive": figures(whiten=0.93)},
            "inner": {"adaptive": figures(whiten=shuffled)},
        },
    }
    return verdicts(originals, planted)


def test_an_attacker_that_reaches_and_breaks_passes() -> None:
    said = control(shuffled=0.90)
    assert said["whiten"]["passes"]
    assert verdict(said) == "power control passed by whiten"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (control(shuffled=0.88), "finds 0.88 behind 'shuffle'"),
        (control(shuffled=0.93, own=0.91), "has AUC 0.91 on originals"),
        ({}, "none adapts"),
    ],
)
def test_one_that_does_not_is_too_weak_to_tell(said: dict, words: str) -> None:
    assert verdict(said).startswith("too weak to tell")
    assert words in verdict(said)
    assert "private" not in verdict(said)


def test_nobody_passes_who_finds_nobody_on_the_originals() -> None:
    """Behind a plant there is nothing left to lose."""
    chance = {"mami": 0.52, "outline": 0.58}
    originals = {basis: figures(**chance) for basis in ("fixed", "adaptive")}
    planted = {"shuffle": {"outer": {"adaptive": figures(**chance)}}}
    said = verdicts({"original": originals}, planted)
    assert not any(one["passes"] for one in said.values())
    assert "outline has AUC 0.58 on originals" in verdict(said)


def test_the_weak_do_not_pass_beside_the_weak() -> None:
    originals = {basis: figures(outline=0.68) for basis in ("fixed", "adaptive")}
    planted = {"identity": {"outer": {"adaptive": figures(outline=0.68)}}}
    said = verdicts({"original": originals}, planted)
    assert not said["outline"]["passes"]
    assert "outline has none of mami, judge beside it" in verdict(said)
