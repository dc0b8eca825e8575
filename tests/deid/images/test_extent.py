"""A few defective pixels hide no text."""

from __future__ import annotations

import io
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from deid import images


@pytest.mark.parametrize("kind", ["dicom", "nifti", "png"])
def test_pixels_far_beyond_all_others_do_not_flatten_what_the_text_search_sees(
    kind: str, make_dicom, save, tmp_path: Path
) -> None:
    pixels = np.zeros((1, 64, 64), np.uint16)
    pixels[0, 20:24, 20:40] = 100  # a word, 8 bits deep
    pixels[0, 50, 50] = 65535
    path = tmp_path / f"picture.{kind}"
    if kind == "dicom":
        path = save(make_dicom(pixels))
    elif kind == "nifti":
        nibabel.save(nibabel.Nifti1Image(pixels.T, np.eye(4)), path.with_suffix(".nii"))
        path = path.with_suffix(".nii")
    else:
        buffer = io.BytesIO()
        Image.fromarray(pixels[0]).save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())
    image = images.read(path, images.inspect(path))
    np.testing.assert_array_equal(images.plain(image) > 127, pixels > 0)
