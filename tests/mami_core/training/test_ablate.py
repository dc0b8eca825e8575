from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deid.cli.app import app
from mami_core.data import Dataset
from mami_core.models.encoder import Config
from mami_core.training import TrainingError
from mami_core.training.ablate import Row, Table, ablate, tables
from mami_core.training.recipe import Recipe

RECIPE = Recipe(people=4, init="none")
OPTIONS: Mapping[str, Any] = {"recipe": RECIPE, "steps": 1, "guides": {}}


def test_the_tables_are_the_papers() -> None:
    found = {table.number: table for table in tables()}
    assert set(found) == {4, 5, 6, 7, 8, 9}
    for table in found.values():
        ours = [row for row in table.rows if row.key == Row("ours").key]
        assert len(ours) == (2 if table.number == 7 else 1)
        assert ours[0].paper[table.columns.index("Chest-X")] == 91.49
        for row in table.rows:
            assert len(row.paper) == len(table.columns)
            assert all(isnan(value) or 50.0 < value < 100.0 for value in row.paper)
    packhaeuser, base = found[5].rows[:2]
    config, recipe = packhaeuser.applied(Config(), Recipe())
    assert config.verifier
    assert recipe.identity == "verify"
    config, recipe = base.applied(Config(), Recipe())
    assert config.updates == ()
    assert recipe.alignment is None


def test_a_training_that_ended_is_not_made_again_and_serves_all_tables(
    data: Dataset, tiny: Config, tmp_path: Path
) -> None:
    ours, base = Row("M_ours"), Row("M_base", {"updates": []}, None)
    chosen = [Table(5, "one", (), (base, ours)), Table(6, "other", (), (replace(ours, name="o"),))]
    begun: list[str] = []
    options = {**OPTIONS, "config": tiny, "seeds": 2, "progress": begun.append}
    first = ablate([data], tmp_path, chosen, **options)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(begun) == 4
    assert sum(path.name == "mami.safetensors" for path in files) == 4
    again = ablate([data], tmp_path, chosen, **options)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert again == first
    assert [set(seed.sources) for seed in first[ours.key]] == [{"invented"}] * 2
    assert [seed.beside_ours for seed in first[ours.key]] == [None] * 2
    for own, other in zip(first[base.key], first[ours.key], strict=True):
        assert own.beside_ours is not None
        apart = own.sources["invented"].auc.value - other.sources["invented"].auc.value
        assert own.beside_ours.auc.value == pytest.approx(apart)
    # Another budget is another training.
    ablate([data], tmp_path, chosen[:1], **{**options, "steps": 2, "seeds": 1})
    assert sum(path.name == "mami.safetensors" for path in tmp_path.rglob("*")) == 6


def test_without_anybody_to_score_nothing_is_trained(
    data: Dataset, tiny: Config, tmp_path: Path
) -> None:
    part = data.select(lambda record: record.split == "train")
    with pytest.raises(TrainingError, match="nothing to score"):
        ablate([part], tmp_path / "out", tables()[:1], config=tiny, **OPTIONS)
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_papers_figures_beside_its_own(folder: Path, tmp_path: Path) -> None:
    call = ["ablate", "--data", str(folder), "--output", str(tmp_path / "out"), "--steps=0"]
    call += ["--table=9", "--image-size=32", "--guide=none", "--device=cpu", "--batch-size=2"]
    done = CliRunner().invoke(app, call, env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    assert "…" not in done.stdout
    assert "91.49 %" in done.stdout
    assert "invented" in done.stdout
    (table,) = json.loads(CliRunner().invoke(app, [*call, "--json"]).stdout)
    assert [row["paper"]["Chest-X"] for row in table["rows"]] == [91.32, 91.49, 89.82]
    assert 0.0 <= table["rows"][0]["seeds"][0]["invented"]["auc"]["value"] <= 1.0
    assert [len(row["beside_ours"]) for row in table["rows"]] == [1, 0, 1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--table=3"], "there is no table 3"),
        (["--image-size=50"], "multiple of 32"),
        (["--guide=mfm_tiny"], "MODALITY=NETWORK"),
    ],
)
def test_a_wrong_option_is_told(folder: Path, tmp_path: Path, words: list[str], told: str) -> None:
    call = ["ablate", "--data", str(folder), "--output", str(tmp_path / "out"), *words]
    done = CliRunner().invoke(app, call, env={"COLUMNS": "160"})
    assert done.exit_code == 2
    assert told in done.output
