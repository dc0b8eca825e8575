"""More patients to learn from, and an attacker that has too few of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deid.audit import Options, audit, power
from deid.audit.patients_curve import curve_in_words
from deid.audit.words import first_sentence
from mami_core.data import open_dataset

People = Callable[..., Path]
LEARNS = ("pixels", "outline")


def run(folder: Path, **options: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"attackers": LEARNS, "adaptive": True}
    asked |= {"linkages": ("original", "outer")} | options
    return audit(open_dataset(folder), Options(**asked))


def test_an_attacker_that_has_learnt_all_there_is_rises_no_more(people: People) -> None:
    curve = run(people(val=32, train=60), remover="identity")["sources"]["demo"]["curve"]
    assert [point["people"] for point in curve["points"]] == [15, 30, 60]
    assert curve["points"][-1]["value"] == 1.0
    assert not curve["rises"]
    assert "rises no more" in curve_in_words(curve)


def test_while_it_rises_every_figure_is_at_least_so_much(people: People) -> None:
    folder = people(val=32, train=60, noise=70.0)
    curve = run(folder, remover="shuffle", attackers=("outline",))["sources"]["demo"]["curve"]
    values = [point["value"] for point in curve["points"]]
    assert values[0] < values[-1]
    assert curve["rises"]
    assert curve["gain"]["value"] == pytest.approx(values[-1] - values[-2])
    assert "still rises, and every figure is at least so much" in curve_in_words(curve)


def test_of_too_few_patients_a_share_is_not_decidable(people: People) -> None:
    curve = run(people(val=32, train=24), remover="identity")["sources"]["demo"]["curve"]
    assert "undecidable" in curve["points"][0]
    assert "not decidable with 6, 100 with 12" in curve_in_words(curve)
    curve = run(people(val=32, train=12), remover="identity")["sources"]["demo"]["curve"]
    assert curve["rises"] is None
    assert "private" not in curve_in_words(curve)


def test_where_too_few_patients_decide_anything_no_curve_is_a_claim(people: People) -> None:
    record = run(people(val=12, train=24), remover="identity")
    demo = record["sources"]["demo"]
    assert demo["linkages"]["outer"]["adaptive"]["attackers"]
    assert first_sentence(record).startswith("Not decidable")
    assert "curve" not in demo


@pytest.mark.parametrize(("teachers", "weak"), [(90, False), (10, True)])
def test_an_attacker_with_too_few_patients_is_too_weak_and_its_finding_nobody_no_privacy(
    people: People, monkeypatch: pytest.MonkeyPatch, teachers: int, weak: bool
) -> None:
    """Pixels stand for the encoder that has to be among the attackers."""
    monkeypatch.setattr(power, "ENCODERS", ("pixels",))
    folder = people(val=32, train=teachers, noise=70.0)
    record = run(folder, remover="blur:8", control=True)
    assert ("too weak to tell" in first_sentence(record)) is weak
    assert ("power control passed by outline" in first_sentence(record)) is not weak
    assert "private" not in first_sentence(record)
