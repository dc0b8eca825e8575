"""What ``--max-risk`` chose is measured anew by an attacker that took no part in the choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deid.phantoms import make
from deid.risk import Cohort
from deid.scrub.models import ATTACKERS, JUDGE, Models
from deid.scrub.options import Options
from deid.scrub.pool import Question
from deid.scrub.run import scrub


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two chest X-rays of an invented patient, who is found with certainty."""
    folder = tmp_path_factory.mktemp("phantoms")
    make(folder, patients=1, visits=2, seed=2, size=192, ct_size=64, slices=2)
    return folder / "xray"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each network is asked."""
    counted: Counter[str] = Counter()
    forward = Models._forward

    def counting(self: Models, name: str, *rest: Any) -> Any:
        counted[name] += 1
        return forward(self, name, *rest)

    monkeypatch.setattr(Models, "_forward", counting)
    return counted


def test_without_a_bound_nothing_is_asked_of_the_judge(
    radiographs: Path, tmp_path: Path, asked: Counter[str]
) -> None:
    result = scrub(radiographs, tmp_path / "output", text="off", workers=1)
    assert {row["risk_basis"] for row in result.rows} == {"visit, extrapolated, fixed only"}
    assert asked[JUDGE] == 0
    assert asked[ATTACKERS[0]] == 4
    assert not [name for name in result.summary["versions"] if JUDGE in name]


def test_with_a_bound_the_judge_looks_once_at_each_picture_and_its_copy(
    radiographs: Path,
    secret: Path,
    tmp_path: Path,
    asked: Counter[str],
    tree: Callable[[Path], dict[str, str]],
) -> None:
    runs = []
    for workers, batch in ((1, 1), (2, 5)):
        output = tmp_path / str(workers)
        result = scrub(
            radiographs,
            output,
            key_file=secret,
            text="off",
            max_risk=1.0,
            workers=workers,
            batch_size=batch,
        )
        runs.append((result.rows, tree(output)))
    assert runs[0] == runs[1]
    for row in runs[0][0]:
        assert row["status"] == "done"
        assert row["risk_basis"] == f"visit, extrapolated, fixed only, measured anew by {JUDGE}"
    assert asked[JUDGE] == 2 * 4
    assert {JUDGE, f"cohort_xray_{JUDGE}"} < set(result.summary["versions"])


def test_what_the_judge_still_finds_is_withheld_and_no_higher_strength_is_tried(
    radiographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    class Deceived(Models):
        """Who chooses finds nobody; the judge sees the same person in every picture."""

        def __init__(self, options: Options) -> None:
            super().__init__(options)
            self.card = replace(self.card, strength=0.25)
            self.generator = np.random.default_rng(0)

        def ask(self, questions: list[Question]) -> list[Any]:
            tried.extend(asked[2] for kind, asked in questions if kind == "remove")
            return super().ask(questions)

        def _identity(self, asked: tuple[str, Any]) -> Any:
            (judge,) = self.card.judges["xray"]
            people = judge.cohort.people
            if asked[0] == judge.name:
                return 0.7 * people[0] + 0.3 * people[1]
            return self.generator.normal(size=super()._identity(asked).size)

    monkeypatch.setattr("deid.scrub.run.Models", Deceived)
    rows = scrub(radiographs, tmp_path / "output", text="off", max_risk=0.5, workers=1).rows
    assert tried == [0.25, 0.25]
    for row in rows:
        assert (row["status"], row["reason"]) == ("withheld", "risk")
        assert "took no part" in row["detail"]
        assert row["risk"] > 0.5
        assert row["risk_basis"].endswith(f"measured anew by {JUDGE}")


@pytest.mark.parametrize("allowed", [False, True])
def test_a_judge_without_a_cohort_of_its_own_proves_nothing(
    allowed: bool, radiographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: Path) -> Cohort:
        cohort = read(path)
        return replace(cohort, encoder="other weights") if JUDGE in path.name else cohort

    read = Cohort.load
    monkeypatch.setattr(Cohort, "load", load)
    options = {"text": "off", "max_risk": 1.0, "allow_unproven": allowed, "workers": 1}
    rows = scrub(radiographs, tmp_path / "output", **options).rows
    ends = {(row["status"], row["reason"], row["risk"]) for row in rows}
    assert ends == {("done", "", "unknown") if allowed else ("withheld", "unproven", "unknown")}
