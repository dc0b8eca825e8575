from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deid.audit import AuditError
from deid.audit.removers import REMOVERS, called
from deid.audit.removers.registry import SIDE, Donors, working
from mami_core.data.square import MASTER

CODE, OTHER = b"one", b"two"


def donors(channels: int = 1) -> Donors:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (20, 7, 7, channels), dtype=np.uint8)
    squares = coarse.repeat(SIDE // 7, axis=1).repeat(SIDE // 7, axis=2)
    return Donors(squares, np.arange(20) // 2)


def picture(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).random(shape).astype(np.float32)


@pytest.mark.parametrize("name", sorted(REMOVERS))
@pytest.mark.parametrize("shape", [(60, 50), (60, 50, 3)])
def test_strength_0_is_no_edit_and_equal_codes_give_equal_pictures(
    name: str, shape: tuple[int, ...]
) -> None:
    entry, parameter = called(name)
    edit = entry.build(parameter, donors(3 if len(shape) == 3 else 1)).edit
    before = picture(shape)
    assert np.array_equal(edit(before, "xray", CODE, 0.0), before)
    after = edit(before, "xray", CODE, 1.0)
    assert after.dtype == np.float32
    assert after.shape in (shape, *((side, side, *shape[2:]) for side in (SIDE, MASTER)))
    assert 0.0 <= after.min() <= after.max() <= 1.0
    assert np.array_equal(after, edit(before, "xray", CODE, 1.0))


@pytest.mark.parametrize("name", ["noise", "dp-pix", "look-alikes"])
def test_another_code_is_another_picture(name: str) -> None:
    entry, parameter = called(name)
    edit = entry.build(parameter, donors()).edit
    before = picture((60, 50))
    assert not np.array_equal(edit(before, None, CODE, 1.0), edit(before, None, OTHER, 1.0))


def test_a_donor_is_edited_as_if_the_patient_were_no_donor() -> None:
    pictures = np.random.default_rng(2).random((12, 60, 50)).astype(np.float32)
    squares = np.rint(np.stack([working(one) for one in pictures]) * 255.0).astype(np.uint8)
    owner = np.arange(12) // 2
    entry, parameter = called("look-alikes:12")
    edited = entry.build(parameter, Donors(squares, owner)).edit(pictures[4], None, CODE, 1.0)
    others = squares[owner != owner[4]].mean(axis=0)[..., 0] / 255.0
    assert np.abs(edited - others).max() < 1e-5


def test_dp_pix_holds_blocks_of_one_value_and_pca_few_numbers() -> None:
    entry, parameter = called("dp-pix:16")
    after = entry.build(parameter, donors()).edit(picture((224, 224)), None, CODE, 1.0)
    assert len(np.unique(after)) <= (SIDE // 16) ** 2
    entry, parameter = called("pca:3")
    edit = entry.build(parameter, donors()).edit
    flat = np.stack([edit(picture((224, 224)) * s, None, CODE, 1.0).ravel() for s in (0.3, 0.6, 1)])
    assert np.linalg.matrix_rank(flat - flat.mean(axis=0), tol=0.1) <= 3


def test_the_bundled_remover_refuses_what_it_does_not_edit() -> None:
    entry, parameter = called("remover")
    with pytest.raises(AuditError, match="it edits xray alone"):
        entry.build(parameter, donors()).edit(picture((60, 50, 3)), "fundus", CODE, 1.0)


def test_a_shuffle_keeps_every_pixel() -> None:
    entry, parameter = called("shuffle")
    before = picture((224, 224))
    after = entry.build(parameter, donors()).edit(before, None, CODE, 1.0)
    square = working(before, MASTER)
    assert np.array_equal(np.sort(after.ravel()), np.sort(square.ravel()))
    assert not np.array_equal(after, square[..., 0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "no such remover; there are: "),
        ("blur:wide", "blur is a number from 0.001 to 224; give one"),
        ("blur:-1", "blur is a number from"),
        ("blur:nan", "blur is a number from"),
        ("blur:inf", "blur is a number from"),
        ("blur:1e9", "blur is a number from"),
        ("high-pass:1e9", "high-pass is a number from"),
        ("noise:1e9", "noise is a number from 0.001 to 255"),
        ("dp-pix:1e9", "dp-pix is a number from 1 to 224"),
        ("dp-pix:0.001", "dp-pix is a number from 1 to 224"),
        ("pca:0.3", "pca is a number from 1 to 1000"),
        ("look-alikes:0.3", "look-alikes is a number from 1 to 1000"),
        ("blend:2", "blend is a number from 0.001 to 1"),
        ("mark:2", "mark is a number from 0.001 to 1"),
        ("tone:3", "takes no parameter"),
    ],
)
def test_what_is_no_remover_is_one_line(text: str, words: str) -> None:
    with pytest.raises(AuditError, match=words):
        called(text)


@pytest.mark.parametrize("end", ["least", "most"])
@pytest.mark.parametrize("name", sorted(n for n, one in REMOVERS.items() if one.parameter))
def test_at_either_end_of_its_parameter_a_remover_still_edits(name: str, end: str) -> None:
    entry, parameter = called(f"{name}:{getattr(REMOVERS[name], end)}")
    after = entry.build(parameter, donors()).edit(picture((60, 50)), "xray", CODE, 1.0)
    assert 0.0 <= after.min() <= after.max() <= 1.0


def test_black_pictures_have_no_components() -> None:
    entry, parameter = called("pca")
    black = replace(donors(), squares=np.zeros_like(donors().squares))
    after = entry.build(parameter, black).edit(picture((60, 50)), None, CODE, 1.0)
    assert not after.any()
