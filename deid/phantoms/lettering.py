"""Text burned into pixels, the way old consoles did it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Box = tuple[int, int, int, int]


def burn(
    pixels: NDArray[Any],
    lines: list[str],
    *,
    corner: str = "top left",
    height: int = 14,
    value: float | None = None,
) -> tuple[NDArray[Any], list[Box]]:
    """Write lines of text into a picture.

    Parameters
    ----------
    pixels
        ``(R, C)`` or ``(R, C, 3)``, any type; not changed.
    corner
        ``top`` or ``bottom``, then ``left`` or ``right``.
    height
        Size of the letters in pixels.
    value
        Level of the letters; the picture's largest by default.

    Returns
    -------
    The new picture, and a box ``(x0, y0, x1, y1)``, half-open, around each line.
    """
    rows, columns = pixels.shape[:2]
    font = ImageFont.load_default(height)
    mask = Image.new("L", (columns, rows))
    pen = ImageDraw.Draw(mask)
    margin, step = max(2, height // 2), height + 3
    top = margin if corner.startswith("top") else rows - margin - step * len(lines)
    boxes = []
    for k, line in enumerate(lines):
        left, high, right, low = pen.textbbox((0, 0), line, font=font)
        x = margin - left if corner.endswith("left") else columns - margin - right
        y = top + k * step
        pen.text((x, y), line, fill=255, font=font)
        box = (int(x + left), int(y + high), int(np.ceil(x + right)), int(np.ceil(y + low)))
        boxes.append(box)
    cover = np.asarray(mask, np.float64) / 255.0
    if pixels.ndim == 3:
        cover = cover[..., None]
    level = float(pixels.max()) if value is None else value
    mixed = pixels * (1 - cover) + level * cover
    if np.issubdtype(pixels.dtype, np.integer):
        mixed = np.round(mixed)
    return mixed.astype(pixels.dtype), boxes
