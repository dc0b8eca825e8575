"""NIfTI: what is kept exactly, what is dropped, and what is refused."""

from __future__ import annotations

import gzip
import io
import itertools
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deid.images import nifti, nifti_header
from deid.images.nifti_header import _NIFTI1, _NIFTI2, DATATYPES
from deid.images.record import Image
from deid.reasons import Withheld

CODES = sorted(DATATYPES)
SHAPE = (3, 4, 5)


def header(
    code: int = 4, *, version: int = 1, order: str = "<", shape: tuple[int, ...] = SHAPE
) -> NDArray[Any]:
    """A header with a sheared, flipped orientation and a rescale."""
    fields = np.zeros((), (_NIFTI1 if version == 1 else _NIFTI2).newbyteorder(order))
    name, samples = DATATYPES.get(code, ("u1", 1))
    size = fields.dtype.itemsize
    fields["sizeof_hdr"] = size
    fields["magic"] = np.void(b"n+1\0" if version == 1 else b"n+2\0\r\n\x1a\n")
    fields["datatype"], fields["bitpix"] = code, 8 * samples * np.dtype(name).itemsize
    fields["dim"] = 1
    fields["dim"][0] = len(shape)
    fields["dim"][1 : len(shape) + 1] = shape[::-1]
    fields["pixdim"][:4] = (-1, 0.7, 0.8, 2.5)
    fields["vox_offset"] = size + 4
    fields["scl_slope"], fields["scl_inter"] = 2, -1024
    fields["xyzt_units"] = 2
    fields["sform_code"], fields["qform_code"] = 1, 1
    fields["quatern"], fields["qoffset"] = (0, 0, 1), (9, 8, 7)
    fields["srow"] = [[-0.7, 0.1, 0, 9], [0, -0.8, 0, 8], [0, 0, 2.5, 7]]
    return fields


def voxels(code: int, shape: tuple[int, ...] = SHAPE, order: str = "<") -> NDArray[Any]:
    name, samples = DATATYPES[code]
    values = np.random.default_rng(1).integers(0, 100, (*shape, samples))
    return values.astype(np.dtype(name).newbyteorder(order)).squeeze(-1 if samples == 1 else ())


def packed(fields: NDArray[Any], pixels: NDArray[Any]) -> bytes:
    return fields.tobytes() + bytes(4) + pixels.tobytes()


def load(path: Path, data: bytes) -> Image:
    path.write_bytes(data)
    return nifti.read(path, nifti.inspect(path))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("version", "order"), [(1, "<"), (1, ">"), (2, "<"), (2, ">")])
@pytest.mark.parametrize("code", CODES)
def test_voxels_type_scaling_and_orientation_come_through_exactly(
    tmp_path: Path, code: int, version: int, order: str, compressed: bool
) -> None:
    fields, pixels = header(code, version=version, order=order), voxels(code, order=order)
    data = packed(fields, pixels)
    image = load(tmp_path / "x", gzip.compress(data) if compressed else data)
    assert np.array_equal(image.pixels, pixels)
    out = nifti.encode(image, edited=False)
    assert nifti.agrees(image, out, edited=False)
    # This header holds nothing that is dropped, so the file comes back byte for byte.
    assert (gzip.decompress(out) if compressed else out) == data


def test_simpleitk_reads_the_same_volume_from_input_and_output(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    image = load(tmp_path / "a.nii", packed(header(), voxels(4)))
    (tmp_path / "b.nii").write_bytes(nifti.encode(image, edited=False))
    one, two = (sitk.ReadImage(str(tmp_path / name)) for name in ("a.nii", "b.nii"))
    assert np.array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(two))
    for meaning in ("GetSpacing", "GetOrigin", "GetDirection", "GetPixelIDTypeAsString"):
        assert getattr(one, meaning)() == getattr(two, meaning)()


def test_real_values_spacing_and_affine_are_told(tmp_path: Path) -> None:
    image = load(tmp_path / "x", packed(header(), voxels(4)))
    assert (image.meaning.slope, image.meaning.intercept) == ((2.0,), (-1024.0,))
    assert image.geometry.spacing == pytest.approx((0.8, 0.7, 2.5))
    assert image.geometry.affine is not None
    assert image.geometry.affine[0] == pytest.approx([-0.7, 0.1, 0, 9])
    assert (image.header.frames, image.header.rows, image.header.columns) == SHAPE


def test_quaternion_gives_the_affine_where_there_is_no_sform(tmp_path: Path) -> None:
    fields = header()
    fields["sform_code"] = 0
    image = load(tmp_path / "x", packed(fields, voxels(4)))
    assert image.geometry.affine is not None
    # Half a turn about the third axis, and qfac -1 flips the slices.
    wanted = [[-0.7, 0, 0, 9], [0, -0.8, 0, 8], [0, 0, -2.5, 7], [0, 0, 0, 1]]
    assert image.geometry.affine == pytest.approx(np.array(wanted), abs=1e-6)


CANARY = b"Zx7CANARYq"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("edited", [False, True])
def test_no_canary_survives_in_any_byte(
    tmp_path: Path, version: int, compressed: bool, edited: bool
) -> None:
    fields = header(version=version)
    clean = fields.copy()
    for name in ("data_type", "db_name", "descrip", "aux_file", "intent_name", "unused_str"):
        if name in (fields.dtype.names or ()):
            width = fields.dtype[name].itemsize
            fields[name] = np.void(CANARY.ljust(width, b"\0")) if name != "descrip" else CANARY
    numbers = {"extents", "session_error", "intent_p", "cal_max", "cal_min", "toffset"}
    numbers |= {"glmax", "glmin", "slice_start", "slice_end", "slice_duration", "slice_code"}
    numbers |= {"intent_code"}
    kept_out = sorted(numbers & set(fields.dtype.names or ()))
    for name in kept_out:
        fields[name] = 77
    fields["dim"][5:], fields["pixdim"][5:] = 7777, 7777
    fields["vox_offset"] = fields.dtype.itemsize + 4 + 32
    pixels = voxels(4)
    extension = struct.pack("<4B2i", 1, 0, 0, 0, 32, 6) + CANARY.ljust(24, b"\0")
    data = fields.tobytes() + extension + pixels.tobytes() + CANARY
    if compressed:
        body = gzip.compress(data)[10:]
        # Flags for extra field, name and comment; a time.
        extra = struct.pack("<H", len(CANARY)) + CANARY
        head = b"\x1f\x8b\x08" + bytes([4 | 8 | 16]) + struct.pack("<I", 1234567) + b"\0\3"
        data = head + extra + CANARY + b"\0" + CANARY + b"\0" + body
    path = tmp_path / (CANARY.decode() + ".nii")
    image = load(path, data)
    if edited:
        image = replace(image, pixels=image.pixels + 1)
    out = nifti.encode(image, edited=edited)
    assert nifti.agrees(image, out, edited=edited)
    assert CANARY not in out
    if compressed:
        assert out[3] == 0
        assert out[4:8] == bytes(4)
        out = gzip.decompress(out)
    assert CANARY not in out
    size = fields.dtype.itemsize
    assert len(out) == size + 4 + pixels.nbytes
    new = np.frombuffer(out[:size], fields.dtype)[0]
    for name in kept_out:
        assert not np.any(new[name]), name
    if edited:
        assert new["descrip"] == b"altered pixels, not for diagnosis"
    else:
        assert out[:size] == clean.tobytes()


def test_an_edit_keeps_the_type_and_is_told_from_another(tmp_path: Path) -> None:
    image = load(tmp_path / "x", packed(header(16), voxels(16)))
    edited = replace(image, pixels=image.pixels * np.float32(0.5))
    out = nifti.encode(edited, edited=True)
    assert nifti.agrees(edited, out, edited=True)
    assert not nifti.agrees(image, out, edited=False)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_volume_that_is_not_finite_is_undecodable(tmp_path: Path, value: float) -> None:
    pixels = voxels(16)
    pixels[1, 2, 3] = value
    with pytest.raises(Withheld, match="undecodable"):
        load(tmp_path / "x", packed(header(16), pixels))


@pytest.mark.parametrize("value", [1e300, -1e300, 3e38])
def test_a_volume_with_values_beyond_single_precision_is_undecodable(
    tmp_path: Path, value: float
) -> None:
    pixels = voxels(64)
    pixels[1, 2, 3] = value
    with pytest.raises(Withheld, match="no measure"):
        load(tmp_path / "x", packed(header(64), pixels))


@pytest.mark.filterwarnings("error")
def test_the_largest_values_are_looked_at_without_a_warning(tmp_path: Path) -> None:
    pixels = voxels(64)
    pixels[1, 2, 3], pixels[0, 0, 0] = 1e37, -1e37
    image = load(tmp_path / "x", packed(header(64), pixels))
    assert np.isfinite(nifti.view(image)).all()
    assert np.isfinite(nifti.plain(image)).all()


@pytest.mark.parametrize("compressed", [False, True])
def test_fewer_voxels_than_declared_are_undecodable(tmp_path: Path, compressed: bool) -> None:
    data = packed(header(), voxels(4))[:-1]
    with pytest.raises(Withheld, match="undecodable"):
        load(tmp_path / "x", gzip.compress(data) if compressed else data)


def test_a_damaged_or_cut_gzip_stream_is_undecodable(tmp_path: Path) -> None:
    shape = (20, 30, 40)
    data = gzip.compress(packed(header(shape=shape), voxels(4, shape)))
    for broken in (data[:-2000], data[:-8] + bytes(8)):
        with pytest.raises(Withheld, match="undecodable"):
            load(tmp_path / "x", broken)


def test_dimensions_far_beyond_the_data_cost_no_memory(tmp_path: Path) -> None:
    fields = header(2, shape=(32767, 32767, 32767))
    with pytest.raises(Withheld, match="too_large"):
        load(tmp_path / "x", gzip.compress(packed(fields, voxels(2))))
    fields = header(2, shape=(1, 32767, 32767))
    with pytest.raises(Withheld, match="too_large"):
        load(tmp_path / "x", gzip.compress(packed(fields, voxels(2))))


def test_a_bomb_behind_the_voxels_is_left_alone(tmp_path: Path) -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    data = packer.compress(packed(header(), voxels(4)))
    block = bytes(1 << 24)
    data += b"".join(packer.compress(block) for _ in range(4)) + packer.flush()
    image = load(tmp_path / "x", data)
    assert np.array_equal(image.pixels, voxels(4))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"datatype": 32}, "undecodable"),
        ({"bitpix": 8}, "malformed"),
        ({"vox_offset": 100}, "malformed"),
        ({"vox_offset": np.nan}, "malformed"),
        ({"scl_inter": np.nan}, "malformed"),
        ({"qform_code": 6}, "malformed"),
        ({"qform_code": -2}, "malformed"),
        ({"sform_code": 0x4A4F}, "malformed"),
        ({"dim": [3, 5, 4, -3, 1, 1, 1, 1]}, "malformed"),
        ({"dim": [9, 5, 4, 3, 1, 1, 1, 1]}, "malformed"),
        ({"dim": [1, 5, 1, 1, 1, 1, 1, 1]}, "undecodable"),
        ({"dim": [4, 5, 4, 1, 3, 1, 1, 1]}, "undecodable"),
    ],
)
def test_headers_that_contradict_themselves_or_ask_too_much_are_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    fields = header()
    for name, value in changes.items():
        fields[name] = value
    with pytest.raises(Withheld) as caught:
        load(tmp_path / "x", packed(fields, voxels(4)))
    assert caught.value.reason == reason


def test_a_picture_and_a_series_of_one_volume_are_read(tmp_path: Path) -> None:
    flat = load(tmp_path / "x", packed(header(2, shape=(4, 5)), voxels(2, (4, 5))))
    assert flat.pixels.shape == (1, 4, 5)
    assert nifti.agrees(flat, nifti.encode(flat, edited=False), edited=False)
    one = load(tmp_path / "x", packed(header(2, shape=(1, 3, 4, 5)), voxels(2, (3, 4, 5))))
    assert one.pixels.shape == SHAPE
    assert nifti.agrees(one, nifti.encode(one, edited=False), edited=False)


def test_a_picture_keeps_the_thickness_that_its_quaternion_scales(tmp_path: Path) -> None:
    shape = (4, 5)
    fields = header(2, shape=shape)
    fields["sform_code"] = 0
    image = load(tmp_path / "x", packed(fields, voxels(2, shape)))
    written = load(tmp_path / "y", nifti.encode(image, edited=False))
    np.testing.assert_array_equal(written.geometry.affine, image.geometry.affine)


def test_models_see_ct_in_a_fixed_window_and_text_search_the_full_range(tmp_path: Path) -> None:
    pixels = np.array([0, 12, 312, 612, 5000, 5000, 0, 0], "<i2").reshape(2, 2, 2)
    image = load(tmp_path / "x", packed(header(shape=(2, 2, 2)), pixels))
    image = replace(image, header=replace(image.header, modality="ct"))
    # The header's rescale: twice the stored value, less 1024.
    seen = nifti.view(image)
    assert seen[0].ravel() == pytest.approx([0, 0, 0.5, 1])
    assert seen.dtype == np.float32
    shown = nifti.plain(image)
    assert (shown.min(), shown.max(), shown.dtype) == (0, 255, np.uint8)


@given(data=st.binary(max_size=700))
@settings(max_examples=60)
def test_wild_bytes_after_a_true_beginning_never_crash(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "wild.nii"
    start = header().tobytes()
    for wild in (start[:40] + data, start[:60] + data[:300] + start[60 + len(data[:300]) :] + data):
        try:
            image = load(path, wild)
        except Withheld:
            continue
        out = nifti.encode(image, edited=False)
        assert nifti.agrees(image, out, edited=False)


def test_reorienting_gives_axial_slices_whatever_the_axes(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.array([[-1, 0.1, 0, 5], [0.1, 2, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1.0]])
    volume = nibabel.Nifti1Image(np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7), affine)
    canonical = np.asanyarray(nibabel.as_closest_canonical(volume).dataobj)
    wanted = canonical[::-1, ::-1, :].transpose(2, 1, 0)
    for codes in ("LPS", "PIR", "SAR", "RAS"):
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(codes)
        )
        nibabel.save(volume.as_reoriented(turn), tmp_path / "x.nii")
        turned = nifti.oriented(load(tmp_path / "x.nii", (tmp_path / "x.nii").read_bytes()))
        assert np.array_equal(turned.pixels, wanted)
        assert turned.geometry.spacing == pytest.approx((2.0025, 1.005, 3.0), abs=1e-3)


def test_output_inside_gzip_is_the_same_on_every_run(tmp_path: Path) -> None:
    image = load(tmp_path / "x", gzip.compress(packed(header(), voxels(4))))
    assert nifti.encode(image, edited=False) == nifti.encode(image, edited=False)
    with gzip.open(io.BytesIO(nifti.encode(image, edited=False))) as stream:
        assert stream.read(4) == (348).to_bytes(4, "little")


SECRET = b"MUSTERMANN^HANS*1967-03-12 ID=00471190 ACC99 XYZ"


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        (("srow",), {"sform_code": 0}),
        (("srow",), {"sform_code": 2}),
        (("quatern", "qoffset"), {"qform_code": 0}),
        (("quatern", "qoffset"), {"qform_code": 1}),
        (("pixdim",), {}),
        (("scl_slope", "scl_inter"), {}),
    ],
)
@pytest.mark.parametrize("size", [348, 540])
def test_no_number_of_the_header_carries_a_text(
    size: int, fields: tuple[str, ...], changes: dict[str, int]
) -> None:
    layout = nifti_header._LAYOUTS[size][0].newbyteorder("<")
    head = np.zeros((), layout)
    head["sizeof_hdr"], head["datatype"], head["bitpix"] = size, 4, 16
    head["dim"][:4], head["pixdim"][:4] = (3, 2, 2, 2), 1.0
    for name, value in changes.items():
        head[name] = value
    for name in fields:
        room = head[name].nbytes
        text = (SECRET * 3)[:room]
        head[name] = np.frombuffer(text, head[name].dtype).reshape(head[name].shape)
    try:
        out = nifti_header.rebuild(nifti_header.parse(head.tobytes()), edited=False)
    except Withheld:
        return
    assert b"MUST" not in out
    assert b"ERMA" not in out


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["srow", "qoffset"])
def test_what_is_no_number_keeps_no_bits_of_its_own(
    tmp_path: Path, version: int, name: str
) -> None:
    fields = header(version=version)
    canary = b"ANNA"
    size = fields[name].dtype.itemsize
    odd = canary[: size - 2].ljust(size - 2, b"x") + (b"\xc0\x7f" if size == 4 else b"\xf8\x7f")
    fields[name].reshape(-1)[:] = np.frombuffer(odd, fields[name].dtype)
    assert np.isnan(fields[name]).all()
    out = nifti.encode(load(tmp_path / "x", packed(fields, voxels(4))), edited=False)
    assert odd in packed(fields, voxels(4))
    assert canary[: size - 2] not in out


@pytest.mark.parametrize(("version", "low"), [(1, 1), (1, 2), (2, 1), (2, 3), (2, 4)])
@pytest.mark.parametrize("turned", [False, True])
def test_no_text_stays_in_the_low_bytes_of_a_place(
    tmp_path: Path, version: int, low: int, turned: bool
) -> None:
    fields = header(version=version)
    text = itertools.cycle(b"MUELLER^ANNA 1951")
    values = np.linspace(-90.1, 140.7, 12).astype(fields["srow"].dtype)
    parts = values.view(np.uint8).reshape(12, -1)
    for part in parts:
        word = bytes(next(text) for _ in range(low))
        part[:low] = list(word[::-1] if turned else word)
    fields["srow"] = values.reshape(3, 4)
    image = load(tmp_path / "x", packed(fields, voxels(4)))
    with pytest.raises(Withheld) as withheld:
        nifti.encode(image, edited=False)
    assert withheld.value.reason == "malformed"


@pytest.mark.parametrize("version", [1, 2])
def test_places_of_real_scanners_are_no_text(tmp_path: Path, version: int) -> None:
    generator = np.random.default_rng(5)
    sizes = np.array([0.7, 0.35, 2.8, 0.4, 1.4, 0.703125, 3.3, 0.9765625])
    for number in range(30):
        fields = header(version=version)
        fields["pixdim"][1:4] = generator.choice(sizes, 3)
        turn = np.linalg.qr(generator.normal(size=(3, 3)))[0] if number % 2 else np.eye(3)
        fields["srow"][:, :3] = turn * fields["pixdim"][1:4]
        fields["srow"][:, 3] = fields["qoffset"] = generator.uniform(-300, 300, 3).round(2)
        image = load(tmp_path / "x", packed(fields, voxels(4)))
        assert nifti.agrees(image, nifti.encode(image, edited=False), edited=False)
