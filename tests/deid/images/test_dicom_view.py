"""What models and the text search see of stored values."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from deid.images import dicom

RAMP = np.arange(0, 3000, 100, dtype=np.int16).reshape(1, 6, 5)


def seen(make_dicom, save, pixels=RAMP, **tags):
    path = save(make_dicom(pixels, **tags))
    image = dicom.read(path, dicom.inspect(path))
    return dicom.view(image), dicom.plain(image), image


def lut(first: int, entries: list[int], bits: int = 16) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


def test_ct_in_hounsfield_units_has_one_fixed_window(make_dicom, save) -> None:
    view, _, _ = seen(
        make_dicom, save, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=5, WindowWidth=9
    )
    np.testing.assert_allclose(view, np.clip((RAMP - 24) / 1200, 0, 1), atol=1e-6)
    assert view.dtype == np.float32


def test_ct_without_rescale_is_seen_like_any_grey_image(make_dicom, save) -> None:
    view, _, _ = seen(make_dicom, save)
    np.testing.assert_allclose(view, RAMP / 2900, atol=1e-6)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
def test_the_first_window_is_pydicoms_over_its_range(make_dicom, save, function) -> None:
    tags = {
        "Modality": "DX",
        "WindowCenter": [1200, 7],
        "WindowWidth": [900, 8],
        "RescaleSlope": 0.5,
        "RescaleIntercept": 100,
    }
    if function:
        tags["VOILUTFunction"] = function
    view, _, image = seen(make_dicom, save, **tags)
    expected = apply_voi_lut(apply_modality_lut(RAMP, image.dataset), image.dataset)
    low, high = (-(2**15) * 0.5 + 100, (2**15 - 1) * 0.5 + 100)
    np.testing.assert_allclose(view, (expected - low) / (high - low), atol=2e-4)


def test_monochrome1_is_inverted_for_models_and_not_for_the_text_search(make_dicom, save) -> None:
    view, plain, _ = seen(make_dicom, save, Modality="DX", PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(view, 1 - RAMP / 2900, atol=1e-6)
    assert plain[0, 0, 0] == 0
    assert plain[0, -1, -1] == 255


def test_a_voi_lut_goes_before_the_window_and_after_the_modality_lut(make_dicom, save) -> None:
    small = np.arange(6, dtype=np.uint16).reshape(1, 2, 3)
    view, _, _ = seen(
        make_dicom,
        save,
        small,
        Modality="DX",
        WindowCenter=1,
        WindowWidth=2,
        ModalityLUTSequence=[lut(1, [10, 11, 12])],
        VOILUTSequence=[lut(10, [26, 128, 230], bits=8)],
    )
    shown = np.array([[26, 26, 128], [230, 230, 230]])
    np.testing.assert_allclose(view[0], shown / 255, atol=1e-6)


@pytest.mark.parametrize(("centre", "width"), [(128, 256), (-5000, 10), (1500, 90_000), (1e9, 1)])
def test_a_window_that_hides_the_picture_hides_it_from_nobody(
    make_dicom, save, centre: float, width: float
) -> None:
    view, _, _ = seen(make_dicom, save, Modality="DX", WindowCenter=centre, WindowWidth=width)
    np.testing.assert_allclose(view, RAMP / 2900, atol=0.01)


def test_a_pixel_far_beyond_the_others_leaves_the_picture_to_be_seen(make_dicom, save) -> None:
    picture = np.tile(RAMP, (1, 10, 10))
    picture[0, 0, 0] = 32767
    view, _, _ = seen(make_dicom, save, picture, Modality="DX")
    np.testing.assert_allclose(view[0, 1:, 1:], picture[0, 1:, 1:] / 2900, atol=0.01)


def test_padding_does_not_stretch_the_range(make_dicom, save) -> None:
    padded = RAMP.copy()
    padded[0, 0, 0] = -2000
    view, plain, _ = seen(make_dicom, save, padded, Modality="DX", PixelPaddingValue=-2000)
    assert view[0, 0, 1] == plain[0, 0, 1] == 0
    assert view[0, 0, 0] == plain[0, 0, 0] == 0


def test_the_text_search_sees_one_range_over_all_frames(make_dicom, save) -> None:
    stack = np.stack([RAMP[0], RAMP[0] // 10])
    _, plain, _ = seen(make_dicom, save, stack, WindowCenter=5, WindowWidth=3)
    np.testing.assert_array_equal(plain, np.rint(stack * (255 / 2900)).astype(np.uint8))


def test_colour_is_seen_as_rgb(make_dicom, save) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), np.uint8)
    view, plain, _ = seen(make_dicom, save, rgb, Modality="OP")
    np.testing.assert_array_equal(plain, rgb)
    np.testing.assert_allclose(view, rgb / 255, atol=1e-6)


def test_ybr_is_converted_once(make_dicom, save) -> None:
    ybr = np.empty((1, 4, 4, 3), np.uint8)
    ybr[...] = (76, 85, 255)  # red
    view, plain, image = seen(make_dicom, save, ybr, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(image.pixels, ybr)
    assert np.abs(plain[0, 0, 0].astype(int) - (255, 0, 0)).max() <= 2
    assert view.shape == (1, 4, 4, 3)
    assert not dicom.supports_edit(image)


def test_a_palette_is_looked_up_for_the_eye_and_left_for_the_file(make_dicom, save) -> None:
    indices = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, table in (("Red", 0), ("Green", 85), ("Blue", 170)):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        words = np.array([(table + 20 * i) << 8 for i in range(4)], "<u2")
        tags[f"{name}PaletteColorLookupTableData"] = words.tobytes()
    _, plain, image = seen(make_dicom, save, indices, **tags)
    np.testing.assert_array_equal(image.pixels, indices)
    np.testing.assert_array_equal(plain[0, 1, 1], (60, 145, 230))
    assert not dicom.supports_edit(image)


def test_eight_bits_of_colour_in_sixteen_are_seen(make_dicom, save) -> None:
    indices = np.array([[[0, 1], [2, 3]]], np.uint8)
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in ("Red", "Green", "Blue"):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 8]
        tags[f"{name}PaletteColorLookupTableData"] = np.array([0, 9, 99, 200], "<u2").tobytes()
    _, by_palette, _ = seen(make_dicom, save, indices, **tags)
    np.testing.assert_array_equal(by_palette[0, ..., 0], [[0, 9], [99, 200]])
    rgb = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 3), np.uint16)
    _, plain, _ = seen(make_dicom, save, rgb, Modality="OP")
    np.testing.assert_array_equal(plain, rgb)


def test_a_constant_picture_is_no_division_by_zero(make_dicom, save) -> None:
    view, plain, _ = seen(make_dicom, save, np.full((1, 4, 4), 7, np.uint16))
    assert not view.any()
    assert not plain.any()
