"""The one preprocessing for every model: a picture made square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def square(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Stretch a picture to a square, antialiased.

    The aspect is given up on purpose: the width over the height alone tells patients apart.

    Parameters
    ----------
    picture
        ``(H, W)`` or ``(H, W, 3)``, values in 0..1.
    size
        Side of the square in pixels.

    Returns
    -------
    ``(3, size, size)`` float32 in 0..1; a grey picture gives three equal channels.

    Raises
    ------
    ValueError
        Where the shape is another.
    """
    if picture.ndim == 2:
        return np.repeat(_resized(picture, size)[None], 3, axis=0)
    if picture.ndim == 3 and picture.shape[2] == 3:
        return np.stack([_resized(picture[..., channel], size) for channel in range(3)])
    raise ValueError(f"a picture is (H, W) or (H, W, 3), not {picture.shape}")


def _resized(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    plane = np.ascontiguousarray(plane, dtype=np.float32)
    if plane.shape == (size, size):
        return np.clip(plane, 0.0, 1.0)
    # Pillow's triangle filter grows with the reduction, on each axis by itself.
    image = Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(image, dtype=np.float32), 0.0, 1.0)
