"""The pictures: bounds, what stays, what changes, and how hard a patient is to find again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from deid.phantoms import burn, chest_xray, ct_volume, fundus
from deid.phantoms.ct import scan
from deid.phantoms.draw import generator, smooth_noise
from deid.phantoms.persons import person, visits
from deid.phantoms.xray import FINDINGS, exam

Picture = NDArray[Any]


def test_an_xray_is_a_float_picture_between_0_and_1_with_dark_air_and_lungs() -> None:
    picture = chest_xray(1, 2, 256)
    assert picture.shape == (256, 256)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 1
    lung, belly = picture[100:130, 70:90].mean(), picture[215:240, 90:110].mean()
    assert picture[:12, :12].mean() < 0.05 < lung < belly


def test_a_ct_holds_air_lung_soft_tissue_and_bone_in_hounsfield_units() -> None:
    volume = ct_volume(1, 2, 96, 16)
    assert volume.shape == (16, 96, 96)
    assert volume.dtype == np.int16
    assert volume.min() >= -1024
    middle = volume[7]
    assert np.median(middle[:6, :6]) < -950
    assert 0.02 < np.mean((middle > -930) & (middle < -700)) < 0.5
    assert np.mean((middle > -20) & (middle < 120)) > 0.1
    assert np.percentile(volume, 99.5) > 200


def test_a_fundus_photo_is_round_red_and_has_its_disc_on_the_nasal_side() -> None:
    for seed in range(4):
        right, left = (fundus(seed, 5, 192, side) for side in "RL")
        assert right.shape == (192, 192, 3)
        assert right[:6, :6].max() == 0
        inside = right[60:130, 60:130].mean((0, 1))
        assert inside[0] > inside[1] > inside[2]
        blue = [soft[..., 2][70:120] for soft in (right, left)]
        assert blue[0][:, 120:180].max() > blue[0][:, 12:72].max()
        assert blue[1][:, 12:72].max() > blue[1][:, 120:180].max()


@pytest.mark.parametrize("draw", [chest_xray, fundus, ct_volume])
def test_a_picture_depends_on_both_seeds_and_on_nothing_else(draw: Callable[..., Picture]) -> None:
    first = draw(3, 4, 64)
    assert np.array_equal(first, draw(3, 4, 64))
    assert not np.array_equal(first, draw(3, 5, 64))
    assert not np.array_equal(first, draw(4, 4, 64))


@pytest.mark.parametrize("draw", [chest_xray, fundus])
def test_half_the_size_is_the_same_picture_only_coarser(draw: Callable[..., Picture]) -> None:
    large, small = draw(7, 8, 256), draw(7, 8, 128)
    shape = (128, 2, 128, 2, *large.shape[2:])
    assert np.corrcoef(large.reshape(shape).mean((1, 3)).ravel(), small.ravel())[0, 1] > 0.97


def test_findings_change_from_visit_to_visit_and_each_kind_occurs() -> None:
    seen = [exam(1, visit).findings for visit in range(60)]
    assert {name for names in seen for name in names} == set(FINDINGS)
    assert () in seen
    assert len({scan(1, visit).findings for visit in range(30)}) > 2


def test_an_xray_of_512_pixels_takes_less_than_0_3_seconds_of_one_core() -> None:
    spent = []
    for seed in range(3):
        start = time.process_time()
        chest_xray(seed, seed)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.3


def test_a_long_correlation_has_the_length_that_was_asked_for() -> None:
    noise = smooth_noise(generator("test"), (256, 256), 16.0)
    near = np.corrcoef(noise[:, :-8].ravel(), noise[:, 8:].ravel())[0, 1]
    far = np.corrcoef(noise[:, :-100].ravel(), noise[:, 100:].ravel())[0, 1]
    assert noise.std() == pytest.approx(1, abs=0.3)
    assert near > 0.8
    assert abs(far) < 0.4


@pytest.mark.parametrize("corner", ["top left", "top right", "bottom left", "bottom right"])
@pytest.mark.parametrize("shape", [(120, 200), (120, 200, 3)])
def test_burned_in_text_changes_pixels_inside_its_boxes_and_nowhere_else(
    shape: tuple[int, ...], corner: str
) -> None:
    before = np.full(shape, 40, np.uint16)
    after, boxes = burn(before, ["LINDQVIST, DOROTHEA", "12.03.1950"], corner=corner, value=900)
    changed = (after != before).reshape(120, 200, -1).any(-1)
    assert after.dtype == before.dtype
    for x0, y0, x1, y1 in boxes:
        assert changed[y0:y1, x0:x1].any()
        changed[y0:y1, x0:x1] = False
    assert not changed.any()


# How hard it is. The real sets are the measure: on adult chest X-rays the same pixel floor is
# 0.126 at chance 0.005, on fundus photos 0.237.


def _correlations(pictures: list[Picture]) -> Picture:
    rows = np.stack([picture.ravel() for picture in pictures]).astype(np.float64)
    rows -= rows.mean(1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


def _thumbnail(picture: Picture, side: int) -> Picture:
    image = Image.fromarray(picture.astype(np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float64)


def _rank_1(scores: Picture, owner: Picture) -> float:
    others = scores - 10 * np.eye(len(scores))
    return float(np.mean(owner == owner[others.argmax(1)]))


def _registered(pictures: list[Picture], side: int = 80) -> Picture:
    """Best correlation of locally normalised edges over shifts, scales and turns."""
    window = np.outer(np.hanning(side), np.hanning(side))
    edges = []
    for picture in pictures:
        small = _thumbnail(picture, side)
        edge = ndimage.gaussian_filter(small, 1) - ndimage.gaussian_filter(small, 3)
        edge /= np.sqrt(ndimage.gaussian_filter(edge**2, 6)) + 1e-3
        edge = edge * window
        edges.append((edge - edge.mean()) / np.linalg.norm(edge - edge.mean()))
    wide = (2 * side, 2 * side)
    still = np.stack([np.fft.rfft2(edge, wide) for edge in edges])
    best = np.full((len(edges), len(edges)), -1.0)
    centre = np.full(2, (side - 1) / 2)
    for scale in (0.92, 1.0, 1.08):
        for angle in (-0.05, 0.0, 0.05):
            cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
            turn = np.array([[cos, -sin], [sin, cos]])
            for j, edge in enumerate(edges):
                moved = ndimage.affine_transform(edge, turn, centre - turn @ centre, order=1)
                cross = np.fft.irfft2(still * np.conj(np.fft.rfft2(moved, wide)), wide)
                best[:, j] = np.maximum(best[:, j], cross.max((1, 2)))
    return np.maximum(best, best.T)


def _population(
    draw: Callable[[int, int], Picture], patients: int
) -> tuple[list[Picture], NDArray[np.int64]]:
    pictures, owner = [], []
    for index in range(patients):
        who = person(0, index)
        for visit in visits(0, index, 3):
            pictures.append(draw(who.seed, visit.seed))
            owner.append(index)
    return pictures, np.array(owner)


def _grey_fundus(patient: int, visit: int) -> Picture:
    return fundus(patient, visit, 160)[..., 1]


@pytest.mark.parametrize("draw", [lambda p, v: chest_xray(p, v, 160), _grey_fundus])
def test_thumbnails_of_patients_match_above_chance_and_far_from_always(
    draw: Callable[[int, int], Picture],
) -> None:
    pictures, owner = _population(draw, 14)
    floor = _rank_1(_correlations([_thumbnail(p, 32) for p in pictures]), owner)
    chance = 2 / 41
    assert 2.5 * chance < floor < 0.5
    some = owner < 10
    few = [picture for picture, keep in zip(pictures, some, strict=True) if keep]
    pixels = _rank_1(_correlations([_thumbnail(p, 32) for p in few]), owner[some])
    better = _rank_1(_registered(few), owner[some])
    assert better > pixels + 0.1
    assert better > 0.45


def test_ct_scans_match_by_pixels_far_from_always_and_better_once_bodies_are_aligned() -> None:
    volumes, owner = _population(lambda p, v: ct_volume(p, v, 64, 12), 14)
    windowed = [np.clip((v[2:10] + 1000) / 1400.0, 0, 1) for v in volumes]
    floor = _rank_1(_correlations(windowed), owner)
    assert 2.5 * 2 / 41 < floor < 0.5
    aligned = []
    for volume in windowed:
        body = ndimage.binary_opening(volume.mean(0) > 0.4)
        rows, columns = np.flatnonzero(body.any(1)), np.flatnonzero(body.any(0))
        box = volume[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        aligned.append(np.stack([_thumbnail(level, 48) for level in box]))
    assert _rank_1(_correlations(aligned), owner) > floor + 0.15
