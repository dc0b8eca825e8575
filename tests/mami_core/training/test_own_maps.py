from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mami_core.data import Dataset, Record, open_dataset
from mami_core.evaluation import figures
from mami_core.evaluation.yardsticks import FEWEST
from mami_core.models.encoder import Config, MaMI
from mami_core.training import TrainingError, train_mami
from mami_core.training.last_layer import PARTS
from mami_core.training.own_maps import _turn, fit, sets_of, with_sets
from mami_core.training.recipe import Recipe
from mami_core.training.recognised import Seen
from mami_core.training.refit import main, refit
from mami_core.weights import load, save


def folder(root: Path, source: str, modality: str, people: int = FEWEST + 2) -> Dataset:
    """So many people with two pictures each, two of them of `val`; CT is dark, X-rays are not."""
    root.mkdir()
    random = np.random.default_rng(len(source))
    rows = ["file,patient,source,modality,body_part,visit,split"]
    for person in range(people):
        pattern = random.uniform(0, 60, (8, 8)) + (0 if modality == "CT" else 180)
        for visit in range(2):
            seen = np.clip(pattern + random.normal(0, 3, (8, 8)), 0, 255).astype(np.uint8)
            Image.fromarray(seen).resize((64, 64)).save(root / f"{person}_{visit}.png")
            split = "train" if person < people - 2 else "val"
            name = f"{person}_{visit}.png"
            rows.append(f"{name},p{person},{source},{modality},CHEST,{visit},{split}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return open_dataset(root)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    root = tmp_path_factory.mktemp("sets")
    return {
        "xray": folder(root / "xray", "rays", "DX"),
        "ct": folder(root / "ct", "slices", "CT"),
        "shown": folder(root / "shown", "drawn", "CT", 4),
    }


@pytest.fixture
def trained(tmp_path: Path, tiny: Config) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "trained.safetensors"
    save(path, "mami", MaMI(tiny), {"steps": 7, "pictures": {}})
    return path


def _embeddings(path: Path, data: Dataset) -> np.ndarray:
    with torch.inference_mode():
        model = load(path).model
        return model(torch.from_numpy(data.squares(64)).float() / 255.0).identity.numpy()


def _invented(
    modality: str, people: int, model: MaMI, random: np.random.Generator
) -> tuple[Seen, list[Record]]:
    """People who are told apart by one half of what the last layer reads alone."""
    size = (2 * people, sum(model.reads) // 2)
    own = np.repeat(random.uniform(1.0, 2.0, (people, size[1])), 2, axis=0)
    read = [random.normal(size=size), own + 0.05 * random.normal(size=size)]
    seen = Seen(random.normal(size=(2 * people, sum(model.depths))), np.concatenate(read, axis=1))
    names = [f"p{row // 2}" for row in range(2 * people)]
    return seen, [
        Record(str(row), name, modality, modality=modality, unit=str(row), subject=name)
        for row, name in enumerate(names)
    ]


def test_people_of_a_modality_are_found_by_its_map(tiny: Config) -> None:
    random = np.random.default_rng(0)
    records: list[Record] = []
    model = MaMI(replace(tiny, own=("ct",), sets=("ct", "xray"))).eval()
    parts = [_invented(name, 40, model, random) for name in ("ct", "xray")]
    parts[1] = (Seen(parts[1][0].pooled + 9.0, parts[1][0].read), parts[1][1])
    records = parts[0][1] + parts[1][1]
    both = Seen(
        np.concatenate([one.pooled for one, _ in parts]),
        np.concatenate([one.read for one, _ in parts]),
    )
    head = model.head.weight.clone()
    fit(model, sets_of(records), both, records)
    assert torch.equal(model.head.weight, head)
    pooled, read = torch.from_numpy(both.pooled).float(), torch.from_numpy(both.read).float()
    with torch.inference_mode():
        rows = model.last(read, pooled)
        assert torch.equal(rows[80:], model.head(model.for_all(read))[80:])
    found = figures(rows[:80].numpy(), records[:80])
    assert found is not None
    assert found.auc.value > 0.95
    assert abs(float(rows[:80].mean())) < 0.05


def test_an_own_map_is_turned_towards_the_common_one_and_keeps_its_cosines() -> None:
    random = np.random.default_rng(0)
    towards = random.normal(size=(30, 6))
    rotation = np.linalg.qr(random.normal(size=(6, 6)))[0]
    turn = _turn(3.0 * towards @ rotation, towards)
    assert np.allclose(turn @ turn.T, np.eye(6))
    assert np.allclose(3.0 * towards @ rotation @ turn.T, 3.0 * towards)


def test_too_few_people_keep_the_common_map(tiny: Config) -> None:
    model = MaMI(replace(tiny, own=("ct",), sets=("ct",)))
    given, records = _invented("ct", FEWEST - 1, model, np.random.default_rng(0))
    assert model.own is not None
    model.own.weight.fill_(1.0)
    fit(model, sets_of(records), given, records)
    assert not model.own.weight.any()


def test_a_set_without_an_image_at_hand_is_nobodys_nearest(tiny: Config) -> None:
    model = MaMI(replace(tiny, own=("ct",), sets=("ct", "xray")))
    given, records = _invented("ct", FEWEST, model, np.random.default_rng(0))
    fit(model, [("ct", "ct"), ("xray", "elsewhere")], given, records)
    assert model.own is not None
    assert model.own.which(torch.zeros(2, sum(model.depths))).tolist() == [0, 0]


def test_weights_get_their_last_layer_and_rules_anew_and_keep_what_is_below(
    sets: dict[str, Dataset], trained: Path, tmp_path: Path
) -> None:
    data = [sets["xray"], sets["ct"]]
    paths = [
        refit(
            *(str(trained), data, tmp_path / str(turn)),
            last="deep",
            own=("ct",),
            pictures=[sets["shown"]],
        )
        for turn in range(2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    facts = load(paths[0]).facts
    assert (facts["own"], facts["sets"], facts["steps"]) == (["ct"], ["ct", "xray"], 7)
    told = {name: [one["source"] for one in found] for name, found in facts["pictures"].items()}
    assert told == {"ct/chest": ["drawn", "slices"], "xray/chest": ["rays"]}
    before, after = (load(one).model.state_dict() for one in (trained, paths[0]))
    same = {name for name in before if not name.startswith(PARTS)}
    assert all(torch.equal(before[name], after[name]) for name in same)
    assert facts["last"] == "deep"
    for kind in ("xray", "ct"):
        given, fitted = (_embeddings(one, sets[kind]) for one in (trained, paths[0]))
        assert np.abs(given - fitted).max() > 0.1
        found = figures(fitted, sets[kind].records)
        assert found is not None
        assert found.auc.value > 0.95


def test_training_ends_with_maps_of_its_sets(
    sets: dict[str, Dataset], tiny: Config, tmp_path: Path
) -> None:
    config = replace(tiny, own=("ct",))
    given: Sequence[Dataset] = [sets["xray"], sets["ct"]]
    recipe = Recipe(people=4, init="none", alignment=None)
    path = train_mami(given, tmp_path / "out", recipe=recipe, config=config, steps=1)
    model = load(path).model
    assert isinstance(model, MaMI)
    assert model.config.sets == ("ct", "xray")
    assert model.own is not None
    assert model.own.weight.any()
    assert with_sets(tiny, [("ct", "slices")]) == tiny


def test_the_command_says_in_a_line_what_is_wrong(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="give weights"):
        main(str(trained), str(tmp_path))
    with pytest.raises(SystemExit, match="neither a folder"):
        main(str(trained), str(tmp_path / "absent"), str(tmp_path / "out"))
    with pytest.raises(TrainingError, match="not an identity encoder"):
        refit("remover", [], tmp_path)


def test_without_val_those_who_were_fitted_on_are_judged_and_a_used_folder_is_left_alone(
    sets: dict[str, Dataset], trained: Path, tmp_path: Path
) -> None:
    fitted = sets["xray"].select(lambda record: record.split == "train")
    path = refit(str(trained), [fitted], tmp_path / "out")
    assert load(path).facts["judged_on"] == "train"
    before = path.read_bytes()
    for used in (tmp_path / "out", trained):
        with pytest.raises(TrainingError, match="the output"):
            refit(str(trained), [sets["ct"]], used)
    assert path.read_bytes() == before
