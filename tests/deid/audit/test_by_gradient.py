"""Who learns by gradient where nobody is named, and who does not and is said not to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deid.audit import AuditError, Options, audit
from deid.audit.attackers import named, trained
from deid.audit.attackers.pixels import centred_grey
from deid.audit.attackers.registry import ATTACKERS, Attacker, Entry
from deid.audit.console import show
from deid.audit.gradient import learnt
from deid.audit.heads import Residual
from deid.audit.learner import Recipe
from deid.audit.words import last_line
from mami_core.data import open_dataset

People = Callable[..., Path]
Record = dict[str, Any]


def blurry(pictures: np.ndarray) -> np.ndarray:
    """A quarter of what the other sees."""
    return centred_grey(pictures[:, :, ::4, ::4])


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The list holds two attackers that stand for networks, beside those who cost nothing; a head
    learns for a few steps.
    """
    recipe = Recipe(Residual, rate=1e-3, decay=1.0, stops=2, every=2)
    monkeypatch.setattr(trained, "fitted", lambda training: learnt(training, recipe))
    whole = dict(ATTACKERS)
    for name in ("findings", "judge", "mami", "texture", "undo", "whiten"):
        del ATTACKERS[name]
    for name, look in (("blurry", blurry), ("sharp", centred_grey)):
        made = Attacker(look, 8)
        entry = Entry(name, name, "nothing", False, lambda device, made=made: made, network=True)
        ATTACKERS[name] = entry
    yield
    # As it was, in order too.
    ATTACKERS.clear()
    ATTACKERS.update(whole)


def run(folder: Path, keep: Path | None = None, **options: Any) -> Record:
    asked = {"remover": "blur:8", "adaptive": True, "linkages": ("outer",), "bootstrap": 100}
    asked |= options
    return audit(open_dataset(folder), Options(**asked), keep=keep)


def learners(record: Record) -> set[tuple[str, str, str]]:
    """Linkage, basis and name of whoever learnt by gradient."""
    linkages = record["sources"]["demo"]["linkages"]
    return {
        (linkage, basis, name)
        for linkage, linked in linkages.items()
        for basis, found in linked.items()
        for name, figures in found["attackers"].items()
        if "fits" in figures
    }


def test_where_nobody_is_named_one_learns_by_gradient_and_the_others_are_said_not_to(
    people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run(people(val=6, train=20, noise=60.0))
    demo = record["sources"]["demo"]
    said = demo["gradient"]
    assert said["attacker"] == "trained:sharp"
    assert said["found"]["sharp"] > said["found"]["blurry"]
    assert said["others"] == ["siamese", "stage", "trained", "trained:blurry"]
    assert learners(record) == {
        ("outer", basis, "trained:sharp") for basis in ("fixed", "adaptive")
    }
    assert record["options"]["attackers"][-1] == "trained:sharp"
    # Those who did not learn so are there all the same, in closed form.
    those = demo["linkages"]["outer"]["adaptive"]["attackers"]
    assert set(those) == {"header", "outline", "blurry", "sharp", "trained:sharp"} - set(
        demo["absent"]
    )
    assert "by gradient siamese, stage, trained, trained:blurry (" in last_line(record)
    assert "its own patients: trained:sharp in demo)" in last_line(record)
    show(record)
    *lines, _ = capsys.readouterr().out.splitlines()
    assert any("trained:sharp alone learnt by gradient: of 100 of" in line for line in lines)
    judged = [line for line in lines if "went to work" in line or "under-trained" in line]
    assert all(line.startswith("demo: trained:sharp (") for line in judged)
    assert not any("siamese" in line for line in lines)


def test_who_learns_is_not_chosen_by_whom_it_is_tested_on(people: People) -> None:
    """All but one of their pictures become that of one who teaches."""
    folder = people(train=20, val=4, noise=60.0)
    asked = {"linkages": ("original",), "remover": None, "adaptive": False}
    before = run(folder, **asked)["sources"]["demo"]["gradient"]
    for path in folder.glob("val*.png"):
        path.write_bytes((folder / "train0_0.png").read_bytes())
    Image.new("L", (40, 36), 9).save(folder / "val0_0.png")
    assert run(folder, **asked)["sources"]["demo"]["gradient"] == before


def test_too_few_of_their_own_patients_send_nobody_and_that_is_said(people: People) -> None:
    record = run(people(val=6), linkages=("original",), remover=None, adaptive=False)
    assert record["sources"]["demo"]["gradient"]["attacker"] is None
    assert not learners(record)
    assert "patients: nobody in demo)" in last_line(record)


def test_each_that_is_named_learns_as_it_can(people: People) -> None:
    folder = people(val=4, train=20, noise=60.0)
    record = run(folder, attackers=("blurry", "trained:blurry", "trained:sharp"))
    assert "gradient" not in record["sources"]["demo"]
    assert {name for _, _, name in learners(record)} == {"trained:blurry", "trained:sharp"}
    assert "by gradient" not in last_line(record)
    record = run(folder, attackers=("blurry",))
    assert "attackers that learn by gradient (--attacker trained)" in last_line(record)


def test_what_was_kept_of_those_who_were_named_is_taken_for_nobody_else(
    people: People, tmp_path: Path
) -> None:
    folder = people(val=4, train=20, noise=60.0)
    alone = run(folder)
    run(folder, tmp_path, attackers=("trained:blurry", "trained:sharp"), seed=1)
    kept = {path.name for path in tmp_path.glob("*.fit")}
    assert run(folder, tmp_path) == alone
    fresh = {path.name for path in tmp_path.glob("*.fit")} - kept
    assert len(fresh) == 2


def test_a_head_is_named_once_however_it_is_called_and_stands_on_networks_alone() -> None:
    ATTACKERS["mami"] = replace(ATTACKERS["sharp"], name="mami")
    assert [one.name for one in named(("trained", "trained:mami", "trained"))] == ["trained"]
    for name in ("trained:pixels", "trained:siamese", "trained:trained", "trained:trained:sharp"):
        with pytest.raises(AuditError, match="is a head on a network; NAME is one of "):
            named((name,))
    for name in ("trained:", "trained:nobody", ""):
        with pytest.raises(AuditError, match="no such attacker; there are: "):
            named((name,))
