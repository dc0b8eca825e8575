"""What an attacker that turns the edit back sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deid.audit import AuditError, Options, audit
from deid.audit.attackers.registry import ATTACKERS, Attacker, Entry
from deid.audit.bench import Bench
from deid.audit.kept import keeping
from deid.audit.linkages import LINKAGES
from deid.audit.matching import Training
from deid.audit.report import pieces
from deid.audit.trials import Plan
from deid.audit.turning_back import learnt, out_of_fold
from deid.audit.undoing import SIDE, Memory, _fitted, _turned, pictures, rows_of, sides, undoing
from deid.audit.words import last_line
from mami_core.data import Record, open_dataset
from mami_core.evaluation import auc

PEOPLE = 60


def smooth(count: int, seed: int, side: int = SIDE) -> np.ndarray:
    """Pictures ``(count, 3, side, side)`` that vary smoothly, in grey."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.uniform(40, 215, (count, 1, 9, 9)).astype(np.float32))
    grey = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    return grey.clamp(0, 255).byte().expand(-1, 3, -1, -1).numpy()


def shuffled(side: int, seed: int) -> np.ndarray:
    """Where the pixels of a grey picture go whose blocks of 4 x 4 are moved about."""
    cells = side // 4
    order = np.random.default_rng(seed).permutation(cells * cells)
    blocks = np.arange(side * side).reshape(cells, 4, cells, 4).swapaxes(1, 2).reshape(-1, 4, 4)
    return blocks[order].reshape(cells, cells, 4, 4).swapaxes(1, 2).reshape(-1)


def test_a_fixed_shuffle_is_turned_back_for_pictures_that_taught_nothing() -> None:
    shown = smooth(160, 0, 48).reshape(160, 3, -1)[:, 0].astype(np.float32)
    order = np.random.default_rng(1).permutation(shown.shape[1])
    known, new = torch.from_numpy(shown[:120]), torch.from_numpy(shown[120:])
    back = learnt(known[:, order], known)
    assert float((new[:, order] - new).abs().mean()) > 30
    assert float((back(new[:, order]) - new).abs().mean()) < 3


def test_a_shuffle_of_whole_blocks_is_found_by_way_of_smaller_pictures() -> None:
    """Grain tells pixels apart that lie side by side: it comes back, and not smoothed."""
    grain = np.random.default_rng(2).normal(0, 15, (160, 3, 48, 48))
    shown = rows_of((smooth(160, 0, 48) + grain[:, :1]).clip(0, 255).astype(np.uint8))
    edited = shown.copy()
    edited[:, : 48 * 48] = shown[:, shuffled(48, 1)]
    known, new = torch.from_numpy(shown[:120]), torch.from_numpy(shown[120:]).float()
    back = learnt(torch.from_numpy(edited[:120]), known, sides(shown.shape[1]))
    restored = back(torch.from_numpy(edited[120:]).float())
    assert float((restored - new).abs().mean()) < 3


def test_no_row_is_turned_back_by_what_its_own_half_taught() -> None:
    """Noise can not be turned back: who seems to, has learnt it by heart."""
    random = np.random.default_rng(0)
    original, edited = (
        torch.from_numpy(random.normal(128, 40, (60, 400)).astype(np.float32)) for _ in range(2)
    )
    half = torch.arange(60) % 2 == 0
    by_heart = (learnt(edited, original)(edited) - original).std()
    apart = [
        other(edited[own]) - original[own] for own, other in out_of_fold(edited, original, half)
    ]
    assert sum(map(len, apart)) == 60
    assert by_heart < 35
    assert torch.cat(apart).std() > 40


def test_pictures_without_any_difference_are_turned_into_their_mean() -> None:
    original = torch.from_numpy(np.random.default_rng(0).normal(100, 20, (40, 64)))
    edited = torch.full((40, 64), 128.0)
    restored = learnt(edited, original.float())(edited)
    assert torch.allclose(restored[0], original.float().mean(dim=0), atol=1e-3)


@pytest.mark.parametrize("grey", [True, False])
def test_rows_hold_a_picture_in_its_colours(grey: bool) -> None:
    shown = smooth(3, 0)
    if not grey:
        shown = np.concatenate([smooth(3, seed)[:, :1] for seed in (1, 2, 3)], axis=1)
        shown = (96 + shown // 3).astype(np.uint8)
    again = pictures(rows_of(shown), SIDE)
    assert np.abs(again.astype(int) - shown).mean() < (1 if grey else 4)


def test_it_finds_people_behind_a_shuffle_and_in_two_releases() -> None:
    """`look` is a coarse thumbnail here, to which a shuffled picture says nothing."""
    side = 48
    random, order = np.random.default_rng(5), shuffled(48, 5)

    def visits(seed: int) -> np.ndarray:
        twice = np.repeat(smooth(PEOPLE, seed, side), 2, axis=0).astype(np.float64)
        noisy = twice + random.normal(0, 12, (2 * PEOPLE, 1, side, side))
        return rows_of(noisy.clip(0, 255).astype(np.uint8))

    def moved(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([rows[:, order], rows[:, side * side :]], axis=1)

    def look(rows: np.ndarray) -> np.ndarray:
        grey = np.asarray(rows[:, : side * side], dtype=np.float64)
        cells = grey.reshape(len(rows), 12, 4, 12, 4)
        return cells.mean(axis=(2, 4)).reshape(len(rows), -1)

    names = [f"{person}" for person in range(PEOPLE) for _ in range(2)]
    records = [Record("", name, "set", subject=name) for name in names]
    own, tested = visits(0), visits(1)
    change = {"protected": moved, "second": moved, "original": lambda rows: rows}
    for roles in (("protected", "original"), ("original", "protected"), ("protected", "second")):
        query, gallery = (change[role] for role in roles)
        training = Training([query(own)], [gallery(own)], own, roles, records)
        behind = Attacker(lambda pictures: pictures, side, depths=(144,))
        matcher = _fitted(training, look, behind, _turned(training))
        asked, held = (
            one / np.linalg.norm(one, axis=1, keepdims=True)
            for one in (matcher.of_queries(query(tested)), matcher.of_gallery(gallery(tested)))
        )
        scores, mates = asked @ held.T, np.arange(2 * PEOPLE) // 2
        same = (mates[:, None] == mates) & ~np.eye(2 * PEOPLE, dtype=bool)
        assert auc(scores[same], scores[mates[:, None] != mates]) > 0.95, roles


@pytest.mark.parametrize("always", [False, True])
def test_what_has_no_way_back_is_looked_at_as_it_is(always: bool) -> None:
    """Each picture is rolled by a draw of its own, which its greys in order say nothing of."""
    side = 48
    random = np.random.default_rng(3)

    def embed(pictures: np.ndarray) -> np.ndarray:
        greys = pictures[:, 0].reshape(len(pictures), -1).astype(np.float64)
        return np.sort(greys, axis=1)[:, ::16]

    def rolled(rows: np.ndarray) -> np.ndarray:
        shown = pictures(rows, side)
        return rows_of(np.stack([np.roll(one, random.integers(side), axis=2) for one in shown]))

    def visits(seed: int) -> np.ndarray:
        return rows_of(np.repeat(smooth(PEOPLE, seed, side), 2, axis=0))

    names = [f"{person}" for person in range(PEOPLE) for _ in range(2)]
    records = [
        Record("", name, "set", subject=name, unit=str(number % 2), visit=str(number % 2))
        for number, name in enumerate(names)
    ]
    own, tested = visits(0), visits(1)
    training = Training([rolled(own)], [own], own, ("protected", "original"), records)
    behind = Attacker(embed, side, depths=(144,))
    fit = undoing(behind, "greys", Memory(), always=always).fit
    assert fit is not None
    matcher = fit(training)
    asked, held = (
        one / np.linalg.norm(one, axis=1, keepdims=True)
        for one in (matcher.of_queries(rolled(tested)), matcher.of_gallery(tested))
    )
    scores, person = asked @ held.T, np.arange(2 * PEOPLE) // 2
    same = person[:, None] == person
    found = auc(scores[same], scores[~same])
    assert (found > 0.95) != always


def test_inverted_lets_an_attacker_look_at_pictures_that_were_turned_back(
    people: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are shuffled over the whole picture: where the edges of a coarse picture lie can not
    be told from it by any linear map.
    """

    def edges(pictures: np.ndarray) -> np.ndarray:
        grey = pictures.astype(np.float32).mean(axis=1)
        return np.abs(np.diff(grey, axis=2)).reshape(len(grey), -1)

    entry = Entry("edges", "edges", "nothing", False, lambda device: Attacker(edges, 16))
    monkeypatch.setitem(ATTACKERS, "edges", entry)
    data = open_dataset(people(val=32, train=20, noise=40.0))
    options = Options(
        attackers=("pixels", "edges"),
        remover="shuffle",
        adaptive=True,
        linkages=("original", "outer", "inverted"),
    )
    record = audit(data, options)
    linkages = record["sources"]["demo"]["linkages"]
    assert set(linkages["inverted"]) == {"adaptive"}
    found = linkages["inverted"]["adaptive"]["attackers"]
    assert set(found) == {"edges"}
    outer, inverted = (
        linkages[name]["adaptive"]["attackers"]["edges"]["auc"]["value"]
        for name in ("outer", "inverted")
    )
    before = linkages["original"]["fixed"]["attackers"]["edges"]["rank1"]["value"]
    assert found["edges"]["fewer"]["before"] == before
    assert inverted > outer + 0.1
    assert "reversal" not in last_line(record)
    assert "inverted: can the edit be turned back?" in "".join(pieces(record))


def test_who_does_not_adapt_looks_at_no_picture_or_undoes_in_any_case_is_not_asked_to_undo() -> (
    None
):
    plain = Attacker(lambda pictures: pictures, 8)
    attackers = {
        "plain": plain,
        "pixels": replace(plain, adapts=False),
        "header": replace(plain, reads=lambda records, pictures: np.zeros((1, 1))),
        "undo": undoing(plain, "plain", Memory(), always=True),
    }
    rows = np.zeros((2, 3))
    bench = Bench([], Plan(np.arange(2), (), ""), attackers, {("undo", "original"): rows}, {})
    behind = bench.of(LINKAGES["inverted"])
    assert set(behind.attackers) == {"plain"}
    assert behind.seen["plain", "original"] is rows
    assert bench.of(LINKAGES["outer"]) is bench
    assert bench.of(LINKAGES["inverted"]) is behind


def test_a_release_without_its_remover_can_not_be_inverted(people: Callable[..., Path]) -> None:
    data = open_dataset(people(val=12))
    with pytest.raises(AuditError, match="give --adaptive and a --remover"):
        audit(data, Options(attackers=("outline",), linkages=("inverted",), adaptive=True))
    fixed = Options(attackers=("outline",), remover="shuffle")
    source = audit(data, fixed)["sources"]["demo"]
    assert "inverted" not in source["linkages"]


def test_of_who_undoes_only_what_the_network_saw_is_kept_and_never_a_picture(
    tmp_path: Path,
) -> None:
    asked = []

    def embed(pictures: np.ndarray) -> np.ndarray:
        asked.append(len(pictures))
        return pictures.reshape(len(pictures), -1)[:, ::301].astype(np.float32)

    shown = smooth(20, 0)
    names = [str(person) for person in range(10) for _ in range(2)]
    records = [Record("", name, "set", subject=name) for name in names]
    rows = rows_of(shown)
    answers, looked = [], []
    for _ in range(2):
        one = keeping(
            undoing(Attacker(embed, 64), "network", Memory(), always=True), "undo", tmp_path
        )
        assert np.array_equal(one.embed(shown), rows)
        assert one.fit is not None
        training = Training([rows], [rows], rows, ("protected", "original"), records)
        answers.append(one.fit(training).of_queries(rows))
        looked.append(sum(asked))
    assert np.array_equal(*answers)
    assert looked[0] == looked[1] > 0
    kept = [np.load(path) for path in tmp_path.iterdir()]
    assert {one.shape[1] for one in kept} == {len(embed(shown[:1, :, :64, :64])[0])}
