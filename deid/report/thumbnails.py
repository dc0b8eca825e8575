"""Before, after and difference of a row, small, as addresses that carry their own bytes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

#: How much the difference is brightened, so that a faint edit can be seen at all.
GAIN = 8


@dataclass(frozen=True)
class Thumbnails:
    """``data:`` addresses of three pictures."""

    before: str
    after: str
    difference: str


def _address(picture: Image.Image) -> str:
    # JPEG: a page of five hundred rows as PNG would weigh a hundred megabytes.
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("L" if picture.mode in ("L", "1", "I;16", "I", "F") else "RGB")


def thumbnails(folder: Path, n: int) -> Thumbnails | None:
    """The pictures of row `n` out of ``n_before.png`` and ``n_after.png``; None without them."""
    paths = [folder / f"{n}_{name}.png" for name in ("before", "after")]
    if not all(path.is_file() for path in paths):
        return None
    before, after = (_opened(path) for path in paths)
    twin = after.convert(before.mode).resize(before.size)
    change = np.abs(np.asarray(before, np.int16) - np.asarray(twin, np.int16))
    difference = Image.fromarray(np.clip(GAIN * change, 0, 255).astype(np.uint8))
    return Thumbnails(_address(before), _address(after), _address(difference))
