"""``deid train-...`` and the examples, with the bundled networks."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import timm
import torch
from typer.testing import CliRunner, Result

from deid.cli.app import app
from deid.phantoms.mimic import mimic_tree
from mami_core.weights import facts_of

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
QUICK = ("--steps", "1", "--batch-size", "2", "--device", "cpu")


def _deid(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def mimic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mimic")
    mimic_tree(root, patients=8, seed=1, size=96)
    return root


def test_the_remover_trains_on_an_archive_in_the_layout_of_mimic(
    mimic: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = _deid("train-unet", "--data", "mimic", "--root", mimic, "--output", out, *QUICK)
    assert done.exit_code == 0, done.output
    facts = facts_of(out / "remover.safetensors")
    assert facts["pairs"] == [["xray", "chest"]]
    assert [point["strength"] for point in facts["curve"]["xray"]] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_without_output_a_folder_is_named_and_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _deid("train-mfm", "--data", folder, "--init", "none", *QUICK)
    assert done.exit_code == 0, done.output
    assert "deid-train-mfm" in done.output
    weights = tmp_path / "deid-train-mfm" / "mfm.safetensors"
    # What it finds is not to be looked for in the file.
    for name, held in facts_of(weights)["findings_val"].items():
        found = f"{held['positives']} of {held['images']} images of val"
        assert f"{name}: AUC {held['auc']:.3f} ({found})" in done.output


def test_a_medical_encoder_is_trained_on_a_network_by_name_and_path(
    folder: Path, tmp_path: Path
) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "own.pth")
    trunk = f"timm:test_resnet@64={tmp_path / 'own.pth'}"
    out = tmp_path / "out"
    done = _deid("train-mfm", "--data", folder, "--trunk", trunk, "--output", out, *QUICK)
    assert done.exit_code == 0, done.output
    assert facts_of(out / "mfm.safetensors")["trunk"] == "test_resnet"
    refused = _deid(
        "train-mfm", "--data", folder, "--trunk", "own.pth", "--output", tmp_path / "b", *QUICK
    )
    assert refused.exit_code == 2
    assert refused.output == "deid: --trunk is timm:NAME[=FILE], a network that timm builds\n"


@pytest.mark.parametrize("command", ["train-mami", "train-mfm", "train-unet"])
def test_a_folder_in_use_is_refused_in_one_line(command: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    done = _deid(command, "--data", folder, "--output", tmp_path, *QUICK)
    assert done.exit_code == 2
    assert done.output.startswith("deid: the output folder is not empty")
    assert done.output.count("\n") == 1
    assert str(tmp_path) not in done.output


@pytest.mark.parametrize(
    ("option", "wrong"),
    [("--guide=xary=mfm_tiny", "names no modality"), (f"--seed={10**20}", "--seed")],
)
def test_an_option_that_says_nothing_is_refused(
    option: str, wrong: str, folder: Path, tmp_path: Path
) -> None:
    done = _deid("train-mami", "--data", folder, "--output", tmp_path / "out", option, *QUICK)
    assert done.exit_code == 2
    assert wrong in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "nowhere"), "neither a folder"),
        (("--data", "mimic"), "--root"),
    ],
)
def test_data_that_are_not_there_are_one_line(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = _deid("train-mami", *arguments, "--output", tmp_path / "out", *QUICK)
    assert done.exit_code == 2
    assert words in done.output
    assert not (tmp_path / "out").exists()


def test_the_example_of_training_runs_and_tells_the_curve(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(EXAMPLES / "train_the_remover.py"))["main"]
    path = main(str(folder), str(tmp_path / "out"), minutes=0.0)
    assert path.is_file()
    assert "xray at strength 1.00" in capsys.readouterr().out


def test_the_example_of_the_library_runs(folder: Path) -> None:
    main = runpy.run_path(str(EXAMPLES / "mami_core_as_a_library.py"))["main"]
    found = main(str(folder))
    assert 0.0 <= found["auc"] <= 1.0
    assert {name.split(":")[0] for name in found} == {"auc", "xray"}
