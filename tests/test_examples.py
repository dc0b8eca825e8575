"""The scripts of `examples/`, as a reader would start them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deid.phantoms import chest_xray, make

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five people, two X-rays each, with a table."""
    folder = tmp_path_factory.mktemp("data")
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "patient", "source", "modality", "body_part", "visit", "split"])
        for person in range(5):
            for visit in range(2):
                name = f"{person}-{visit}.png"
                picture = (chest_xray(person, visit, 256) * 255).astype(np.uint8)
                Image.fromarray(picture).save(folder / name)
                split = "train" if person < 3 else "val"
                writer.writerow([name, f"p{person}", "demo", "DX", "CHEST", visit, split])
    return folder


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest X-ray as DICOM."""
    folder = tmp_path_factory.mktemp("phantoms")
    make(folder, patients=1, visits=1, seed=5, size=192, ct_size=64, slices=2)
    return next((folder / "xray").rglob("*.dcm"))


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_folder_is_scrubbed(radiograph: Path, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    (source / "a.dcm").write_bytes(radiograph.read_bytes())
    done = run("scrub_a_folder", source, tmp_path / "output")
    assert done.returncode == 0, done.stderr
    assert "Counter({'done': 1})" in done.stdout
    assert "report.html" in done.stdout


def test_an_image_is_given_its_figures(radiograph: Path) -> None:
    done = run("risk_and_utility", radiograph)
    assert done.returncode == 0, done.stderr
    figures = {line[:12].strip(): line[12:].strip() for line in done.stdout.splitlines()}
    assert figures["status"] == "done"
    assert 0.001 <= float(figures["risk"]) <= 1.0
    assert 0.0 <= float(figures["utility"]) <= 1.0


def test_the_networks_are_used_without_the_program(data: Path) -> None:
    done = run("mami_core_as_a_library", data)
    assert done.returncode == 0, done.stderr
    figures = {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}
    assert 0.5 < figures["auc"] <= 1.0
    assert 0.0 <= figures["xray:Pneumonia"] <= 1.0


def test_the_remover_is_trained_on_a_manifest(data: Path, tmp_path: Path) -> None:
    done = run("train_the_remover", data, tmp_path / "output", 0.0)
    assert done.returncode == 0, done.stderr
    assert "xray at strength 1.00: utility" in done.stdout
    assert (tmp_path / "output" / "remover.safetensors").is_file()
