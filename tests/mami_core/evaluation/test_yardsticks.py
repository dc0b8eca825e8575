from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mami_core.data import Dataset, Record, open_dataset, reserved
from mami_core.evaluation import auc
from mami_core.evaluation.embed import Embedder
from mami_core.evaluation.yardsticks import (
    FEWEST,
    AbsentError,
    closed_form,
    fit_on,
    imagenet,
    yardsticks,
)
from mami_core.imagenet import LITE0, module_of

Make = Callable[[Sequence[str]], Dataset]

#: A network that says what it sees.
SMALL = Embedder(
    lambda pictures: pictures[:, 0].reshape(len(pictures), -1) / np.float32(255), 8, ""
)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A data set out of the rows ``patient,source,split,reid`` of its manifest."""

    def make(rows: Sequence[str]) -> Dataset:
        random = np.random.default_rng(0)
        lines = ["file,patient,source,split,reid"]
        for number, row in enumerate(rows):
            picture = random.integers(0, 256, (8, 8)).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / f"{number}.png")
            lines.append(f"{number}.png,{row}")
        (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return open_dataset(tmp_path)

    return make


def _several(count: int, source: str = "demo", reid: int = 1) -> list[str]:
    return [f"p{person},{source},train,{reid}" for person in range(count) for _ in range(2)]


def test_reserved_people_and_other_splits_stay_out_of_the_fit(make: Make) -> None:
    singles = [f"s{person},nih,train,1" for person in range(40)]
    data = make([*_several(FEWEST, "nih"), *singles, "v,nih,val,1", "t,nih,test,1"])
    kept = {r.person for r, out in zip(data.records, reserved(data.records), strict=True) if out}
    assert kept
    fitted = {record.person for record in fit_on(data).records}
    assert not kept & fitted
    assert len(fitted) == FEWEST + 40 - len(kept)


def test_too_few_people_with_several_images_are_no_fit(make: Make) -> None:
    with pytest.raises(AbsentError, match=f"^{FEWEST - 1} people"):
        fit_on(make(_several(FEWEST - 1)))


def test_patients_that_are_not_sure_are_no_pairs(make: Make) -> None:
    with pytest.raises(AbsentError, match=r"^0 people"):
        fit_on(make(_several(FEWEST, reid=0)))


def test_a_large_train_split_is_cut_by_whole_people(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make(_several(2 * FEWEST))
    monkeypatch.setattr("mami_core.evaluation.yardsticks.MOST_FOR_PCA", 2 * FEWEST + 1)
    fitted = [record.name for record in fit_on(data).records]
    assert len(fitted) == 2 * FEWEST
    assert len({record.person for record in fit_on(data).records}) == FEWEST
    assert fitted == [record.name for record in fit_on(data).records]


def test_the_rows_are_centred_and_whiten_is_not_judged_where_it_was_fitted(make: Make) -> None:
    data = make([*_several(FEWEST), *(f"v{person},demo,val,1" for person in range(6))])
    part = data.select(lambda record: record.split == "val")
    rows, absent = yardsticks(SMALL, part, data)
    assert absent == {}
    assert {name: len(row) for name, row in rows.items()} == {"frozen": 6, "whiten": 6}
    for row in rows.values():
        assert np.allclose(row.mean(axis=0), 0.0, atol=1e-6)
    train = data.select(lambda record: record.split == "train")
    rows, absent = yardsticks(SMALL, train, data)
    assert set(rows) == {"frozen"}
    assert set(absent) == {"whiten"}


def test_the_closed_form_finds_new_people_whom_marks_of_sessions_hide() -> None:
    random = np.random.default_rng(0)

    def world(count: int) -> tuple[np.ndarray, list[Record]]:
        own = np.repeat(random.normal(size=(count, 10)), 2, axis=0)
        seen = own + 0.3 * random.normal(size=own.shape)
        marks = 3.0 * random.normal(size=own.shape)
        people = [Record("", f"p{i // 2}", "demo", subject=f"p{i // 2}") for i in range(2 * count)]
        return np.hstack([seen, marks]), people

    def found(rows: np.ndarray) -> float:
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        scores = unit @ unit.T
        first, second = np.triu_indices(len(rows), 1)
        mates = first // 2 == second // 2
        return auc(scores[first, second][mates], scores[first, second][~mates])

    learnt = closed_form(*world(80))
    new, _ = world(40)
    assert found(new) < 0.8
    assert found(new @ learnt.T) > 0.95


def test_the_frozen_network_says_the_same_of_a_picture_in_any_company() -> None:
    pytest.importorskip(module_of(LITE0))
    network = imagenet("cpu")
    pictures = np.random.default_rng(0).integers(0, 256, (5, 3, 224, 224), dtype=np.uint8)
    together = network.embed(pictures)
    assert together.shape == (5, 2712)
    assert np.allclose(together[4:], network.embed(pictures[4:]), atol=1e-4)
