"""Risk, utility and the edit on real X-rays, through the whole run."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from deid.phantoms import make
from deid.risk import Cohort
from deid.scrub.figures import Figures, measure, measured_anew
from deid.scrub.models import JUDGE
from deid.scrub.outcome import Result
from deid.scrub.run import scrub
from deid.scrub.terms import Attacker, Card, Look, Original


@pytest.fixture(scope="module")
def xrays(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Validation images of nih and kermany: four people with other visits, and two without."""
    folder = tmp_path_factory.mktemp("xrays") / "input"
    folder.mkdir()
    chosen: list[dict[str, str]] = []
    for name in ("nih", "kermany"):
        with open(shared / "data" / name / "manifest.csv", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["split"] == "val"]
        people: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            people.setdefault(row["patient"], []).append(row)
        several = [images[:2] for images in people.values() if len(images) > 1][:2]
        single = [images for images in people.values() if len(images) == 1][:1]
        with zipfile.ZipFile(shared / "data" / name / "images.zip") as archive:
            for row in (row for images in several + single for row in images):
                (folder / row["file"]).write_bytes(archive.read(row["file"]))
                chosen.append(row)
    with open(folder / "manifest.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, ("file", "patient"), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(chosen)
    return folder


def pictures(result: Result) -> list[dict[str, object]]:
    return [row for row in result.rows if row["input"] != "manifest.csv"]


def decoded(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(np.int16)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """One code a patient, whenever a test runs."""
    path = tmp_path / "key"
    path.write_bytes(bytes(32))
    path.chmod(0o600)
    return path


def test_every_xray_has_a_risk_and_is_changed(xrays: Path, tmp_path: Path, key: Path) -> None:
    output = tmp_path / "output"
    rows = pictures(scrub(xrays, output, text="off", key_file=key))
    assert len(rows) == 10
    for row in rows:
        assert (row["status"], row["modality"], row["region"]) == ("done", "xray", "chest")
        assert 0.001 <= float(row["risk"]) <= 1.0  # type: ignore[arg-type]
        assert "fixed only" in str(row["risk_basis"])
        assert float(row["utility"]) > 0.7  # type: ignore[arg-type]
        before, after = decoded(xrays / str(row["input"])), decoded(output / str(row["output"]))
        assert before.shape == after.shape
        assert (before != after).mean() > 0.2
    basis = [str(row["risk_basis"]).split(",")[0] for row in rows]
    assert (basis.count("visit"), basis.count("model")) == (8, 2)
    figures = np.array([[float(row[name]) for name in ("risk_before", "risk")] for row in rows])  # type: ignore[arg-type]
    before, after = figures[figures[:, 0] > 0.5].mean(axis=0)
    assert after < before - 0.05


def test_strength_0_changes_nothing(xrays: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    for row in pictures(scrub(xrays, output, text="off", strength=0.0)):
        assert row["edit"] == "none"
        assert row["risk"] == row["risk_before"]
        assert (row["utility"], row["findings"], row["fidelity"]) == (1.0, 1.0, 1.0)
        same = decoded(xrays / str(row["input"])) == decoded(output / str(row["output"]))
        assert same.all()


def test_max_risk_withholds_what_stays_above(xrays: Path, tmp_path: Path, key: Path) -> None:
    rows = pictures(scrub(xrays, tmp_path / "output", text="off", max_risk=0.3, key_file=key))
    assert {row["status"] for row in rows} == {"done", "withheld"}
    for row in rows:
        anew = str(row["risk_basis"]).endswith(f"measured anew by {JUDGE}")
        if row["status"] == "done":
            assert float(row["risk"]) <= 0.3  # type: ignore[arg-type]
            assert anew
        else:
            assert row["reason"] == "risk"
            assert float(row["risk"]) > 0.3  # type: ignore[arg-type]
            assert anew == ("took no part" in str(row["detail"]))


def test_people_whom_nothing_names_do_not_hide_behind_one_another(
    xrays: Path, tmp_path: Path
) -> None:
    """In a folder of several people's pictures the others are no visits of the same person."""
    source = tmp_path / "input" / "mixed"
    source.mkdir(parents=True)
    with open(xrays / "manifest.csv", newline="") as stream:
        people = {row["patient"]: row["file"] for row in csv.DictReader(stream)}
    for file in list(people.values())[:3]:
        (source / file).write_bytes((xrays / file).read_bytes())
    together = scrub(source.parent, tmp_path / "together", text="off", strength=0.0).rows
    for row in together:
        alone = scrub(
            source / Path(str(row["input"])).name,
            tmp_path / str(row["n"]),
            text="off",
            strength=0.0,
        ).rows[0]
        assert float(row["risk"]) >= float(alone["risk"])  # type: ignore[arg-type]
    assert max(float(row["risk"]) for row in together) > 0.01  # type: ignore[arg-type]


def test_the_risk_is_that_of_the_attacker_who_finds_most() -> None:
    """`seeing` knows the other visit, `blind` is led astray by the edit."""
    generator = np.random.default_rng(0)
    people = generator.normal(size=(60, 8))
    people /= np.linalg.norm(people, axis=1, keepdims=True)
    owner, rows = np.arange(60, dtype=np.int32), np.linspace(0.0, 1.0, 30)
    cohort = Cohort("xray", people, owner, owner >= 0, people[:1], rows, rows, rows, rows + 1, 40)
    original, protected = generator.normal(size=(2, 8)).astype(np.float32)
    original, protected = (one / np.linalg.norm(one) for one in (original, protected))
    frames, keys = np.zeros((1, 8, 8), np.float32), np.ones((1, 2, 3), np.float32)

    def figures(*names: str, judge: str | None = None) -> Figures:
        judges = [judge] if judge else []
        card = Card(
            pairs=frozenset({("xray", "chest")}),
            code=1,
            strength=1.0,
            encoder=8,
            medical=8,
            remover=8,
            findings={"xray": (0,)},
            utility_zero={"xray": 0.0},
            attackers={"xray": tuple(Attacker(name, 8, cohort) for name in names)},
            judges={"xray": tuple(Attacker(name, 8, cohort) for name in judges)},
        )
        held = {
            "seeing": (original, original, original[None]),
            "blind": (original, protected, original[None]),
        }
        every = (*names, *judges)
        before, after, mates = ({name: held[name][i] for name in every} for i in range(3))
        look = Look(1, modality="xray", original=Original(before, (keys, keys[0])))
        whose: dict[str, Any] = {
            "named": True,
            "terms": SimpleNamespace(card=card, gallery_size=50),
        }
        chosen = measure(
            look, Original(after, (keys, keys[0])), mates, frames, frames, strength=1.0, **whose
        )
        return measured_anew(chosen, look, after, mates, **whose) if judge else chosen

    seeing, blind, both = figures("seeing"), figures("blind"), figures("seeing", "blind")
    assert blind.risk is not None
    assert seeing.risk is not None
    assert blind.risk < seeing.risk
    assert both.risk == figures("blind", "seeing").risk == seeing.risk
    assert figures().risk is None
    # The judge's figure counts where it is the larger one.
    judged = figures("blind", judge="seeing"), figures("seeing", judge="blind")
    assert [one.risk for one in judged] == [seeing.risk, seeing.risk]


def test_in_a_wide_black_border_nobody_is_said_to_be_safe(tmp_path: Path) -> None:
    make(tmp_path / "input", patients=1, visits=1, seed=3, size=256, ct_size=64, slices=1)
    (path,) = (tmp_path / "input" / "xray").rglob("*.dcm")
    dataset = pydicom.dcmread(path)
    bordered = np.pad(dataset.pixel_array, 128)
    dataset.Rows, dataset.Columns = bordered.shape
    dataset.PixelData = bordered.tobytes()
    dataset.save_as(path)
    (row,) = scrub(path, tmp_path / "output", text="off", workers=1, strength=0.0).rows
    assert (row["status"], row["risk_before"], row["risk"]) == ("done", "unknown", "unknown")


def test_what_is_none_of_ours_is_not_guessed(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    noise = np.random.default_rng(1).integers(0, 255, (128, 128), dtype=np.uint8)
    Image.fromarray(noise).save(source / "noise.png")
    (row,) = scrub(source, tmp_path / "output", text="off").rows
    assert row["reason"] == "modality_unknown"
    (row,) = scrub(source, tmp_path / "second", text="off", modality="xray").rows
    assert (row["status"], row["edit"], row["risk"]) == ("done", "none", "unknown")
    (row,) = scrub(source, tmp_path / "third", text="off", modality="xray", max_risk=0.5).rows
    assert row["reason"] == "unproven"
