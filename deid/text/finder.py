"""Finds text in one picture."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.text.box import Box, blocks, union
from deid.text.ocr import Detector, Line, Reader, model_path
from deid.text.render import renderings
from deid.text.slant import Slant

#: Strings of 8 pixels are found when they are enlarged two or three times. A picture is enlarged to
#: at most `_ENLARGED` pixels on its longer side, and searched at most at `_LONGEST`, which bounds
#: the time that one image can take.
_ENLARGED = 1536
_LONGEST = 2048
#: The detector knows no letters larger than about a quarter of the picture. They are looked for
#: where the picture is this much smaller. What is not large, the first search has with a closer
#: box; on what is large the reader has to agree.
_COARSE = 4
#: A string counts as legible with this many letters or digits at this mean score.
_CHARACTERS = 3
_SCORE = 0.6
#: A line is text by the detector's word alone when its mean probability and its peak are this high.
#: Words have means of 0.85 to 0.98 and peaks of 0.98 and more, handwriting too; ribs, noise and the
#: edges of pictures have means of 0.2 to 0.79, or peaks of less.
_SURE = 0.8
_SURE_PEAK = 0.95
#: Below, the reader has to agree: on a string where the detector thought of text at all, on a lone
#: letter, which it sees in many a rib, only at a high score and where the detector was nearly sure.
_DOUBTED = 0.5
_LETTER_MEAN = 0.5
_LETTER_PEAK = 0.9
_LETTER_SCORE = 0.8
#: A box is a word, not a letter or a rib, when it is this much wider than high.
_WORD = 1.3
#: A text with this many digits in a line is no film marker but says who, when or which.
_DIGITS = 4


class Finder:
    """The text detector and reader of rapidocr, on the CPU.

    Parameters
    ----------
    threads
        Threads of one search. Results are equal for equal thread counts.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    @classmethod
    def available(cls) -> bool:
        """Whether the packages and their models are installed. Nothing is ever downloaded."""
        return find_spec("onnxruntime") is not None and all(map(model_path, ("det", "rec")))

    @cached_property
    def _detector(self) -> Detector:
        return Detector(self._threads)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self._threads)

    def find(self, picture: NDArray[Any]) -> list[Box]:
        """Boxes around all text, joined to blocks.

        What the detector is sure of is text, whether or not the reader can read it. What it doubts
        is text if the reader reads it, or if it stands in one block with text: anatomy is not to be
        blanked because a rib looks a little like an l, or a chest like an O. A block of three lines
        or more, or with a number in it, is an overlay; two lines' room around it goes too, since
        its next word or line may be hidden from the detector, but not from an eye, by a bright or
        noisy background. So may the next letter of any other string.

        Parameters
        ----------
        picture
            ``(rows, columns)`` or ``(rows, columns, 3)``; uint8 or stored values of any type.
        """
        rows, columns = picture.shape[:2]
        seen = renderings(picture)
        lines = [
            line
            for line in [*self._lines(seen), *self._large_lines(seen)]
            if not line.large or self._reads(seen, _place(line))
        ]
        found = self._slanted(seen, lines)
        lines = [line for line in lines if line.slant is None]
        for block in blocks(line.box for line in lines):
            own = [line for line in lines if block.join(line.box) == block]
            if not any(self._is_text(seen, line) for line in own):
                continue
            words = [line.box for line in own if line.box.width > _WORD * line.box.height]
            height = int(np.median([word.height for word in words])) if words else 0
            if _rows(words) >= 3 or self._has_number(seen, words):
                block = block.grow(2 * height, 2 * height)
            elif any(self._reads(seen, word) for word in words):
                block = block.grow(height, 0)
            found.append(block)
        inside = (box.clip(rows, columns) for box in found)
        return union(box for box in inside if box is not None)

    def suspects(self, picture: NDArray[Any]) -> bool:
        """Whether the detector thinks of text, however much it doubts it.

        What is large has to be read: noise that fills the picture is no reason to search further.
        """
        seen = renderings(picture)
        return any(
            line.peak >= _DOUBTED and (not line.large or self._reads(seen, _place(line)))
            for line in self._lines(seen)
        )

    def legible(self, picture: NDArray[Any], boxes: list[Box]) -> bool:
        """Whether the reader reads a string in one of the boxes."""
        views = renderings(picture) if boxes else []
        return any(self._reads(views, box) for box in boxes)

    def _lines(self, views: list[NDArray[np.uint8]]) -> Iterator[Line]:
        scale = _scale(max(views[0].shape[:2]))
        return (line for view in views for line in self._detector(view, scale))

    def _large_lines(self, views: list[NDArray[np.uint8]]) -> Iterator[Line]:
        scale = _scale(max(views[0].shape[:2])) / _COARSE
        return (line for view in views for line in self._detector(view, scale) if line.large)

    def _slanted(self, views: list[NDArray[np.uint8]], lines: list[Line]) -> list[Box]:
        """Boxes along the lines that stand at an angle; their next letter may be hidden too."""
        return [
            tile
            for line in lines
            if line.slant is not None and self._is_text(views, line)
            for tile in line.slant.grow(line.slant.height, 0).tiles()
        ]

    def _reads(self, views: list[NDArray[np.uint8]], place: Box | Slant) -> bool:
        return any(_is_string(text, score) for text, score in self._read(views, place))

    def _read(
        self, views: list[NDArray[np.uint8]], place: Box | Slant
    ) -> Iterator[tuple[str, float]]:
        return (self._reader(view, place) for view in views)

    def _is_text(self, views: list[NDArray[np.uint8]], line: Line) -> bool:
        if line.mean >= _SURE and line.peak >= _SURE_PEAK:
            return True
        letter = line.mean >= _LETTER_MEAN and line.peak >= _LETTER_PEAK
        return line.peak >= _DOUBTED and any(
            _is_string(text, score)
            or (letter and score >= _LETTER_SCORE and any(map(str.isalnum, text)))
            for text, score in self._read(views, _place(line))
        )

    def _has_number(self, views: list[NDArray[np.uint8]], lines: list[Box]) -> bool:
        return any(
            sum(map(str.isdigit, text)) >= _DIGITS
            for line in lines
            for text, _ in self._read(views, line)
        )


def _place(line: Line) -> Box | Slant:
    return line.box if line.slant is None else line.slant


def _is_string(text: str, score: float) -> bool:
    return score >= _SCORE and sum(map(str.isalnum, text)) >= _CHARACTERS


def _rows(words: list[Box]) -> int:
    """How many lines the words stand on."""
    middles = sorted((word.y0 + word.y1) / 2 for word in words)
    apart = min((word.height for word in words), default=0) / 2
    return sum(j - i > apart for i, j in pairwise([-np.inf, *middles]))


def _scale(longest: int) -> float:
    enlarged = min(max(2 * longest, min(3 * longest, 1024)), _ENLARGED)
    return max(enlarged, min(longest, _LONGEST)) / longest
