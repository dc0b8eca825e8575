from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from deid.cli.evaluate import evaluate


@pytest.fixture(scope="module")
def app() -> Typer:
    app = Typer()
    app.command()(evaluate)
    return app


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from mami_core.models.encoder import Config, MaMI
    from mami_core.weights import save

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "encoder.safetensors"
    save(path, "mami", MaMI(Config(image=64, width=32, depth=1, heads=1, features=16)), {})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people of `val` with two visits each; what tells them apart is plain to see."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "patient", "source", "modality", "visit", "split"])
        for person in range(6):
            pattern = generator.uniform(0, 255, (8, 8))
            for visit in range(2):
                noisy = np.clip(pattern + generator.normal(0, 5, (8, 8)), 0, 255)
                name = f"{person}_{visit}.png"
                Image.fromarray(noisy.astype(np.uint8)).resize((70, 60)).save(folder / name)
                writer.writerow([name, f"p{person}", "demo", "DX", visit, "val"])
    return folder


def test_json_is_one_object_with_every_figure_and_the_floor_beside_it(
    app: Typer, encoder: Path, folder: Path
) -> None:
    done = CliRunner().invoke(app, [str(encoder), str(folder), "--json", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["split"] == "val"
    demo = found["sources"]["demo"]
    assert (demo["kind"], demo["images"]) == ("visit", 12)
    for figures in (demo, demo["pixels"]):
        for name in ("auc", "rank1"):
            assert 0 <= figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"] <= 1
            assert figures[name]["patients"] == 6
        assert figures["rank1"]["gallery"] == 6
    assert demo["pixels"]["auc"]["value"] > 0.99


def test_the_table_names_source_encoder_and_pixels(app: Typer, encoder: Path, folder: Path) -> None:
    done = CliRunner().invoke(app, [str(encoder), str(folder), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    for word in ("demo", "visit", "encoder", "pixels", "AUC", "rank-1", "6 of 6"):
        assert word in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({1: "absent"}, "neither a folder nor one of"),
        ({2: "--split=train"}, "no images in split 'train'"),
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
