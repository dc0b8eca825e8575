"""The two networks of the rapidocr wheel, run by onnxruntime.

rapidocr's own classes are left aside: they log to the console, download what they miss, and drop
boxes of low score, on which `deid.text.finder` decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deid.text.box import Box
from deid.text.slant import Slant

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: A pixel belongs to text where the detector's probability is above this. Lower than rapidocr's
#: 0.3: the faint end of a name is part of it.
_LEVEL = 0.2
#: Letters are not higher than a quarter of the picture, nor, in a small picture, than this many
#: pixels. What is larger may be a body with text on it, which stands out from it then: its parts
#: above the higher level are looked at too where they reach the peak of text.
_LARGE = 4
_LARGE_PIXELS = 32
_HIGH_LEVEL = 0.7
_HIGH_PEAK = 0.95
#: How far a box is grown around the detector's shrunken kernel (DBNet's unclip ratio).
_UNCLIP = 1.6
_STRIDE = 32
#: A line stands at an angle when the upright box around it is this much larger than it.
_SLANTED = 2.0
#: Width of the frame of known text that is searched along with each picture.
_FRAME = 64
_LINE_HEIGHT = 48
_LINE_WIDTH = 320


def model_path(task: str) -> Path | None:
    """Where the wheel keeps its ``det`` or ``rec`` network; None when it is not there."""
    package = find_spec("rapidocr")
    if package is None or package.origin is None:
        return None
    found = sorted((Path(package.origin).parent / "models").glob(f"*_{task}_*.onnx"))
    return found[-1] if found else None


def _session(task: str, threads: int) -> InferenceSession:
    import onnxruntime

    path = model_path(task)
    if path is None:
        raise RuntimeError("the rapidocr package is not installed or carries no models")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Patterns are remembered per picture size, of which there are many.
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _network_input(picture: NDArray[Any]) -> NDArray[np.float32]:
    unit = picture.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(unit.transpose(2, 0, 1)[None])


def _colour(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


@dataclass(frozen=True)
class Line:
    """What may be a line of text.

    Attributes
    ----------
    box
        The upright box around it, in pixels of the picture.
    slant
        Where it stands if it is at an angle, so that it fills little of its box; else None.
    mean, peak
        The detector's mean and largest probability (0..1) over the line's kernel.
    large
        Whether it is too large for a line of text in a picture of this size.
    """

    box: Box
    slant: Slant | None
    mean: float
    peak: float
    large: bool

    @property
    def height(self) -> float:
        """How high its letters are at most, in pixels of the picture."""
        return min(self.box.width, self.box.height) if self.slant is None else self.slant.height


class Detector:
    """Lines of text.

    The network scales its answer to the most text-like thing in the picture: where there is no text
    at all, it marks whole eyes and abdomens (measured: 100 % of the area of fundus photos). So each
    picture is framed with a known text. It gives the network something to compare with, after which
    those areas are gone, and it is a control: a detector that does not find it does not work.
    """

    def __init__(self, threads: int) -> None:
        self._session = _session("det", threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, picture: NDArray[np.uint8], scale: float) -> list[Line]:
        """Lines in the coordinates of `picture` (uint8, grey or RGB), searched at this scale."""
        rows, columns = picture.shape[:2]
        height, width = (max(round(n * scale / _STRIDE), 1) * _STRIDE for n in (rows, columns))
        way = cv2.INTER_LINEAR if scale >= 1 else cv2.INTER_AREA
        framed = _frame(height, width)
        inside = np.s_[_FRAME : _FRAME + height, _FRAME : _FRAME + width]
        framed[inside] = cv2.resize(_colour(picture), (width, height), interpolation=way)
        output = self._session.run(None, {self._input: _network_input(framed)})[0]
        probability = np.asarray(output)[0, 0]
        if not (probability[:_FRAME] > _LEVEL).any():
            raise RuntimeError("the text detector does not find its control text")
        return _lines(probability[inside], rows, columns)


def _frame(height: int, width: int) -> NDArray[np.uint8]:
    """A black picture in a frame of control text, RGB."""
    canvas = np.zeros((height + 2 * _FRAME, width + 2 * _FRAME, 3), np.uint8)
    across, along = (_strip(n + 2 * _FRAME)[..., None] for n in (width, height))
    canvas[:, :_FRAME] = np.rot90(along)
    canvas[:, -_FRAME:] = np.rot90(along)
    canvas[:_FRAME] = across
    canvas[-_FRAME:] = across
    return canvas


def _strip(length: int) -> NDArray[np.uint8]:
    """Control text, ``(_FRAME, length)``: light on dark grey, with black at either side."""
    strip = np.zeros((_FRAME, length), np.uint8)
    strip[12:-8] = 90
    for x in range(8, max(length - 150, 9), 220):
        cv2.putText(
            strip, "Name 1234567", (x, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 220, 1, cv2.LINE_AA
        )
    return strip


def _lines(
    probability: NDArray[np.float32], rows: int, columns: int, level: float = _LEVEL
) -> list[Line]:
    fx, fy = columns / probability.shape[1], rows / probability.shape[0]
    largest = max(min(rows, columns) / _LARGE, _LARGE_PIXELS)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (probability > level).astype(np.uint8)
    )
    lines = []
    for label in range(1, count):
        x, y, width, height = (int(value) for value in stats[label, :4])
        if min(width, height) < 3:
            continue
        part = np.s_[y : y + height, x : x + width]
        inside = labels[part] == label
        grow = _unclip(width, height)
        box = Box(
            int(np.floor((x - grow) * fx)),
            int(np.floor((y - grow) * fy)),
            int(np.ceil((x + width + grow) * fx)),
            int(np.ceil((y + height + grow) * fy)),
        ).clip(rows, columns)
        if box is None:
            continue
        slant = _slant(inside, (x, y), (fx, fy))
        if slant is not None:
            box = slant.box.clip(rows, columns) or box
        kernel = probability[part][inside]
        line = Line(box, slant, float(kernel.mean()), float(kernel.max()), large=False)
        line = replace(line, large=line.height > largest)
        lines.append(line)
        if line.large and level < _HIGH_LEVEL:
            body = np.where(labels == label, probability, 0)
            parts = _lines(body, rows, columns, _HIGH_LEVEL)
            lines += [part for part in parts if part.peak >= _HIGH_PEAK]
    return lines


def _unclip(width: float, height: float) -> float:
    return width * height * _UNCLIP / (2 * (width + height))


def _slant(
    inside: NDArray[np.bool_], corner: tuple[int, int], scale: tuple[float, float]
) -> Slant | None:
    """The line around a kernel at an angle, None where an upright box does."""
    outlines, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    points = (np.concatenate(outlines)[:, 0] + np.add(corner, 0.5)) * scale
    slant = Slant.around(points.astype(np.float32)).grow(*np.divide(scale, 2))
    if slant.box.width * slant.box.height < _SLANTED * slant.length * slant.height:
        return None
    grow = _unclip(slant.length, slant.height)
    return slant.grow(grow, grow)


class Reader:
    """The characters in a box."""

    def __init__(self, threads: int) -> None:
        self._session = _session("rec", threads)
        self._input = self._session.get_inputs()[0].name
        table = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *table, " "]

    def __call__(self, picture: NDArray[np.uint8], place: Box | Slant) -> tuple[str, float]:
        """The string in a place and its mean score (0..1)."""
        if isinstance(place, Slant):
            crop = place.crop(picture)
        else:
            crop = picture[place.y0 : place.y1, place.x0 : place.x1]
        upright = isinstance(place, Box) and crop.shape[0] < 1.5 * crop.shape[1]
        if crop.shape[0] > crop.shape[1] and not upright:
            crop = np.rot90(crop)
        width = max(1, round(_LINE_HEIGHT * crop.shape[1] / crop.shape[0]))
        line = np.asarray(
            cv2.resize(np.ascontiguousarray(_colour(crop)), (width, _LINE_HEIGHT)), np.uint8
        )
        # What stands at an angle may as well be upside down.
        views = [line] if upright else [line, line[::-1, ::-1]]
        return max(map(self._read, views), key=lambda read: read[1])

    def _read(self, line: NDArray[np.uint8]) -> tuple[str, float]:
        width = line.shape[1]
        canvas = np.zeros((1, 3, _LINE_HEIGHT, max(width, _LINE_WIDTH)), np.float32)
        canvas[..., :width] = _network_input(line)
        scores = np.asarray(self._session.run(None, {self._input: canvas})[0])[0]
        best = scores.argmax(axis=1)
        # CTC: repeated symbols are one, symbol 0 is the gap.
        kept = (best != 0) & np.r_[True, best[1:] != best[:-1]]
        text = "".join(self._characters[i] for i in best[kept])
        return text, float(scores.max(axis=1)[kept].mean()) if kept.any() else 0.0
