"""The scripts of `examples/`, as a reader would start them."""

from __future__ import annotations

import csv
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from deid.phantoms import chest_xray, make
from mami_core.training.guides import guide

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
    make(folder, patients=1, visits=1, seed=1, size=192, ct_size=64, slices=2)
    return next((folder / "xray").rglob("*.dcm"))


Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A script's output; in this process, which has the heavy libraries at hand."""

    def run(name: str, *arguments: object) -> str:
        path = str(EXAMPLES / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_folder_is_scrubbed(radiograph: Path, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    (source / "a.dcm").write_bytes(radiograph.read_bytes())
    command = [sys.executable, EXAMPLES / "scrub_a_folder.py", source, tmp_path / "output"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Counter({'done': 1})" in done.stdout
    assert "report.html" in done.stdout


def test_an_image_is_given_its_figures(run: Run, radiograph: Path) -> None:
    said = run("risk_and_utility", radiograph)
    figures = {line[:12].strip(): line[12:].strip() for line in said.splitlines()}
    assert figures["status"] == "done"
    assert 0.001 <= float(figures["risk"]) <= 1.0
    assert 0.0 <= float(figures["utility"]) <= 1.0


def test_the_networks_are_used_without_the_program(run: Run, data: Path) -> None:
    said = run("mami_core_as_a_library", data)
    figures = {name: float(value) for name, value in map(str.split, said.splitlines())}
    assert 0.5 < figures["auc"] <= 1.0
    assert 0.0 <= figures["xray:Pneumonia"] <= 1.0


def test_an_inflated_network_becomes_a_teacher_that_sees_what_it_saw(
    run: Run, tmp_path: Path
) -> None:
    """Its kernels are spread over three slices; pictures are no longer normalised."""
    torch.manual_seed(0)
    plain = timm.create_model("resnet18", num_classes=0).eval()
    share = torch.tensor([0.25, 0.5, 0.25]).view(3, 1, 1)
    state = {
        name: value[:, :, None] * share if value.ndim == 4 else value
        for name, value in plain.state_dict().items()
    }
    torch.save({"state_dict": state}, tmp_path / "inflated.pt")
    output = tmp_path / "ct.safetensors"
    said = run("ct_foundation_model", output, tmp_path / "inflated.pt", "resnet18")
    images = torch.rand(1, 1, 224, 224).expand(1, 3, -1, -1)
    with torch.inference_mode():
        expected = plain.forward_features(images).flatten(2).transpose(1, 2)
        assert torch.allclose(guide(said.strip())(images), expected, atol=1e-4)


def test_the_remover_is_trained_on_a_manifest(run: Run, data: Path, tmp_path: Path) -> None:
    assert "xray at strength 1.00: utility" in run(
        "train_the_remover", data, tmp_path / "output", 0.0
    )
    assert (tmp_path / "output" / "remover.safetensors").is_file()
