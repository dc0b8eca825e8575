"""What shows nothing is told by its pixels, not by an encoder that sees nobody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deid.phantoms import chest_xray
from deid.risk import Cohort, is_empty, residual_risk

NOISE = np.random.default_rng(0).uniform(0, 1, (2, 128, 96)).astype(np.float32)
XRAY = chest_xray(7, 1, 128)[None].astype(np.float32)


def test_noise_and_blanks_are_empty() -> None:
    assert is_empty(NOISE)
    assert is_empty(np.repeat(NOISE[..., None], 3, axis=3))
    assert is_empty(np.full((1, 4, 4), 0.3, np.float32))


@pytest.mark.parametrize(
    "view",
    [
        XRAY,
        XRAY / 16,
        np.pad(XRAY, ((0, 0), (128, 128), (128, 128))),
        XRAY + np.random.default_rng(1).normal(0, 0.5, XRAY.shape).astype(np.float32),
        np.concatenate([NOISE[:, :96], XRAY[:, :96, :96].repeat(2, axis=0)]),
    ],
    ids=["as it is", "dark", "in a wide border", "strewn", "one frame of several"],
)
def test_an_xray_is_not_empty_whatever_hides_it(view: np.ndarray) -> None:
    assert not is_empty(view)


def test_whom_an_attacker_does_not_see_in_a_picture_that_is_not_empty_is_unknown() -> None:
    generator = np.random.default_rng(0)
    people = generator.normal(size=(60, 8))
    people /= np.linalg.norm(people, axis=1, keepdims=True)
    owner, rows = np.arange(60, dtype=np.int32), np.linspace(0.0, 1.0, 30)
    cohort = Cohort("xray", people, owner, owner >= 0, people[:1], rows, rows, rows, rows + 1, 40)
    image = generator.normal(size=8)
    blind = replace(cohort, empty=image[None] / np.linalg.norm(image))
    assert residual_risk(image, image, blind, gallery_size=50).value == 1 / 50
    assert residual_risk(image, image, blind, gallery_size=50, empty=False).value is None
    assert residual_risk(image, image, cohort, gallery_size=50, empty=False).value is not None
