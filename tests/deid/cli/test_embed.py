from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from deid.cli.embed import embed
from mami_core.data import open_dataset
from mami_core.evaluation.embed import embedder

HEAD = "file,patient,source,split\n"


@pytest.fixture(scope="module")
def app() -> Typer:
    app = Typer()
    app.command()(embed)
    return app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        picture = random.integers(0, 256, (40, 30)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
    splits = ("train", "train", "val", "val", "test")
    rows = [f"{number}.png,Zoë{number // 2},demo,{split}\n" for number, split in enumerate(splits)]
    (folder / "manifest.csv").write_text(HEAD + "".join(rows), encoding="utf-8")
    return folder


def test_every_image_is_a_row_that_anybody_can_read(
    app: Typer, encoder: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found.npz"
    done = CliRunner().invoke(app, [str(encoder), str(folder), str(out), "--device=cpu"])
    assert done.exit_code == 0, done.output
    assert str(tmp_path) not in done.output
    with np.load(out, allow_pickle=False) as held:
        assert set(held) == {"embedding", "name", "patient"}
        rows, names, patients = held["embedding"], held["name"], held["patient"]
    assert (rows.dtype, rows.shape) == (np.float32, (5, 16))
    assert names.tolist() == [f"{number}.png" for number in range(5)]
    assert patients.tolist() == ["demo/Zoë0", "demo/Zoë0", "demo/Zoë1", "demo/Zoë1", "demo/Zoë2"]
    expected = embedder(encoder, "cpu").embed(open_dataset(folder).squares(64))
    assert np.allclose(rows, expected, atol=1e-5)
    # It names patients: for its owner alone.
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_that_sub_folders_tell_people_apart_is_said(
    app: Typer, encoder: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "manifest.csv").unlink()
    for number, picture in enumerate(sorted(folder.glob("*.png"))):
        own = folder / f"p{number % 2}"
        own.mkdir(exist_ok=True)
        picture.rename(own / picture.name)
    done = CliRunner().invoke(app, [str(encoder), str(folder), str(tmp_path / "found.npz")])
    assert done.exit_code == 0, done.output
    assert "by sub-folder (2), not by PatientID" in done.stderr


def test_the_bundled_closed_form_embeds_as_encoders_do(
    app: Typer, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found.npz"
    done = CliRunner().invoke(app, ["whiten", str(folder), str(out), "--device=cpu"])
    assert done.exit_code == 0, done.output
    with np.load(out) as held:
        assert np.isfinite(held["embedding"]).all()
        assert held["embedding"].shape == (
            5,
            embedder("whiten", "cpu").embed(np.zeros((1, 3, 320, 320), np.uint8)).shape[1],
        )


def test_a_split_is_a_part_of_it(app: Typer, encoder: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.npz"
    call = [str(encoder), str(folder), str(out), "--device=cpu", "--split=val"]
    assert CliRunner().invoke(app, call).exit_code == 0
    with np.load(out) as held:
        assert held["name"].tolist() == ["2.png", "3.png"]


def test_a_file_is_replaced_only_where_that_is_asked_for(
    app: Typer, encoder: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found.npz"
    out.write_bytes(b"before")
    call = [str(encoder), str(folder), str(out), "--device=cpu"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 2
    assert "exists already" in done.stderr
    assert out.read_bytes() == b"before"
    assert CliRunner().invoke(app, [*call, "--overwrite"]).exit_code == 0
    with np.load(out) as held:
        assert len(held["embedding"]) == 5


def test_a_picture_that_can_not_be_read_leaves_nothing_behind(
    app: Typer, encoder: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "3.png").write_bytes(b"no picture")
    done = CliRunner().invoke(app, [str(encoder), str(folder), str(tmp_path / "found.npz")])
    assert done.exit_code == 2
    assert "image 4 of the data set can not be decoded" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({0: "absent.safetensors"}, "weights file does not exist"),
        ({0: "mfm_tiny"}, "not an identity encoder"),
        ({1: "absent"}, "neither a folder nor one of"),
        ({2: "absent/out.npz"}, "can not be written"),
        ({2: "."}, "exists already"),
    ],
)
def test_bad_input_is_one_line_that_names_no_path(
    app: Typer, encoder: Path, folder: Path, tmp_path: Path, change: dict[int, str], words: str
) -> None:
    call = [str(encoder), str(folder), str(tmp_path / "found.npz"), "--device=cpu"]
    for place, word in change.items():
        call[place] = word
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert str(tmp_path) not in done.stderr
    assert "Zoë" not in done.stderr


def test_an_empty_split_is_told(app: Typer, encoder: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.csv").write_text(HEAD + "0.png,p,demo,val\n", encoding="utf-8")
    call = [str(encoder), str(folder), str(tmp_path / "found.npz"), "--split=train"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 2
    assert "no images in split 'train' (1 in 'val')" in done.stderr
