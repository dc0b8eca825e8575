"""Removers with a known answer, through the whole audit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from deid.audit import Options, audit
from deid.audit.console import show
from deid.audit.removers.graded import bayes_auc
from deid.audit.words import first_sentence, headline, last_line
from mami_core.data import open_dataset

People = Callable[..., Path]
PLAIN = ("original", "outer")
LINKED = ("outer", "reverse", "inner")
#: All but that in which the edit is undone first, which takes long.
LINKAGES = ("original", *LINKED, "pooled", "copy")


@functools.cache
def run(folder: Path, remover: str, **options: object) -> dict:
    asked = {"attackers": ("pixels", "outline"), "remover": remover, "adaptive": True}
    asked |= {"linkages": LINKAGES} | options
    return audit(open_dataset(folder), Options(**asked))  # type: ignore[arg-type]


def rank1(record: dict, linkage: str, basis: str, attacker: str = "outline") -> float:
    found = record["sources"]["demo"]["linkages"][linkage][basis]["attackers"]
    return found[attacker]["rank1"]["value"]


@pytest.fixture(scope="module")
def folder(people: People) -> Path:
    """People whom a coarse thumbnail finds often, but not always."""
    return people(val=32, train=60, noise=60.0)


def test_a_remover_that_changes_nothing_protects_nobody_in_any_linkage(folder: Path) -> None:
    record = run(folder, "identity")
    original = rank1(record, "original", "fixed")
    assert original > 0.5
    for linkage in LINKED:
        assert rank1(record, linkage, "fixed") == pytest.approx(original, abs=0.02)
        assert rank1(record, linkage, "adaptive") > original - 0.1
    assert rank1(record, "copy", "fixed") == 1.0


def test_a_shuffle_fools_the_fixed_attacker_and_not_the_one_that_adapts(people: People) -> None:
    record = run(people(val=32, train=200, noise=40.0), "shuffle")
    original = rank1(record, "original", "fixed")
    assert rank1(record, "outer", "fixed") < original / 2
    assert rank1(record, "inner", "adaptive") > original - 0.3
    assert rank1(record, "inner", "adaptive") > 2 * rank1(record, "outer", "fixed")


def test_one_picture_for_everybody_is_found_at_chance_and_called_useless(folder: Path) -> None:
    record = run(folder, "constant")
    for linkage in (*LINKED, "copy"):
        for basis in ("fixed", "adaptive"):
            assert rank1(record, linkage, basis) == pytest.approx(1 / 32)
    assert record["sources"]["demo"]["useless"]
    assert "useless" in first_sentence(record)


def test_other_removers_are_not_called_useless(folder: Path) -> None:
    record = run(folder, "blur", attackers=("pixels",))
    assert not record["sources"]["demo"]["useless"]
    assert "useless" not in first_sentence(record)


def test_a_fixed_attacker_alone_is_said_to_overstate_protection(folder: Path) -> None:
    record = run(folder, "blur", attackers=("outline",), adaptive=False)
    assert "fixed only, overstates protection" in first_sentence(record)
    assert "attackers that adapt" in last_line(record)
    adaptive = run(folder, "blur", attackers=("outline",))
    assert "overstates" not in first_sentence(adaptive)


def test_a_fixed_attacker_that_finds_as_much_as_those_who_adapted_overstates_nothing(
    folder: Path,
) -> None:
    record = run(folder, "identity", attackers=("pixels", "outline"))
    assert headline(record["sources"]["demo"])["basis"] == "fixed"
    assert "overstates" not in first_sentence(record)
    # Who can not adapt leaves the linkage to fixed attackers, whatever was asked for.
    alone = run(folder, "identity", attackers=("pixels",))
    assert "fixed only, overstates protection" in first_sentence(alone)


def test_keys_of_the_attacker_are_not_those_of_the_release(people: People) -> None:
    """With noise alone in the pictures two releases share nothing, and one release all."""
    record = run(people(val=32, train=40, noise=60.0), "noise:200", attackers=("pixels",))
    assert rank1(record, "inner", "fixed", "pixels") < 0.3


@pytest.mark.parametrize("flips", [0.2, 0.3, 0.4])
def test_of_a_mark_attackers_find_what_can_be_found(people: People, flips: float) -> None:
    record = run(people(val=80, train=4), f"mark:{flips}", attackers=("pixels",))
    linkages = record["sources"]["demo"]["linkages"]
    found = linkages["inner"]["fixed"]["attackers"]["pixels"]["auc"]
    assert found["value"] == pytest.approx(bayes_auc(flips), abs=0.05)
    assert linkages["outer"]["fixed"]["attackers"]["pixels"]["auc"]["low"] < 0.5


def test_an_archive_that_took_releases_in_finds_as_much_as_its_releases_do(folder: Path) -> None:
    record = run(folder, "blur:8", attackers=("pixels",), linkages=("outer", "inner", "pooled"))
    of = {name: rank1(record, name, "fixed", "pixels") for name in ("outer", "inner", "pooled")}
    assert of["pooled"] >= min(of.values())
    auc = record["sources"]["demo"]["linkages"]["pooled"]["fixed"]["attackers"]["pixels"]["auc"]
    assert auc["value"] > 0.6


def test_donors_of_a_fitted_remover_are_not_the_attackers(folder: Path) -> None:
    all_of_train = run(folder, "blur", attackers=("outline",))["sources"]["demo"]["learns_from"]
    some = run(folder, "pca:3", attackers=("outline",))["sources"]["demo"]["learns_from"]
    assert all_of_train == "60 people of 'train'"
    assert 30 < int(some.split()[0]) < 57


def test_the_record_says_where_a_removers_donors_teach_the_attacker(folder: Path) -> None:
    taught = {
        name: run(folder, name, attackers=("outline",))["sources"]["demo"]["learns_by"]
        for name in ("pca:3", "look-alikes:8")
    }
    assert "donors" not in taught["pca:3"]
    assert taught["look-alikes:8"].endswith("the remover's own donors among them")


def test_the_console_says_that_an_edit_which_changes_nothing_takes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show(run(folder, "identity"))
    lines = capsys.readouterr().out.splitlines()
    assert any("the edit takes nothing that can be told" in line for line in lines)
    assert any(line.startswith("  copy ") for line in lines)
    assert max(len(line) for line in lines if "(0." in line and "demo" not in line) <= 80
    assert lines[-1].startswith("Not tested: ")


def test_without_a_control_the_last_line_says_that_strength_is_not_known(folder: Path) -> None:
    record = run(folder, "blur", attackers=("outline",))
    assert "strong enough (no --control)" in last_line(record)
