"""Finds text in one picture."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.text.box import Box, blocks, union
from deid.text.ocr import Detector, Reader, model_path
from deid.text.render import renderings

#: Strings of 8 pixels are found when they are enlarged two or three times. A picture is enlarged to
#: at most `_ENLARGED` pixels on its longer side, and searched at most at `_LONGEST`, which bounds
#: the time that one image can take.
_ENLARGED = 1536
_LONGEST = 2048
#: A string counts as legible with this many letters or digits at this mean score.
_CHARACTERS = 3
_SCORE = 0.6
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
        """Every box that the detector draws, joined to blocks.

        What the reader makes of a box never keeps it out: strings that it can not read are text
        too. A block of three lines or more, or with a number in it, is an overlay; two lines' room
        around it goes too, since its next word or line may be hidden from the detector, but not
        from an eye, by a bright or noisy background.

        Parameters
        ----------
        picture
            ``(rows, columns)`` or ``(rows, columns, 3)``; uint8 or stored values of any type.
        """
        rows, columns = picture.shape[:2]
        seen = renderings(picture)
        lines = [box for view in seen for box in self._detector(view, _scale(max(rows, columns)))]
        found = []
        for block in blocks(lines):
            words = [
                line
                for line in lines
                if block.join(line) == block and line.width > _WORD * line.height
            ]
            if _rows(words) >= 3 or self._has_number(seen, words):
                margin = 2 * int(np.median([word.height for word in words]))
                block = block.grow(margin, margin)
            found.append(block.clip(rows, columns))
        return union(box for box in found if box is not None)

    def legible(self, picture: NDArray[Any], boxes: list[Box]) -> bool:
        """Whether the reader reads a string in one of the boxes."""
        return any(
            score >= _SCORE and sum(map(str.isalnum, text)) >= _CHARACTERS
            for view in (renderings(picture) if boxes else [])
            for text, score in (self._reader(view, box) for box in boxes)
        )

    def _has_number(self, views: list[NDArray[np.uint8]], lines: list[Box]) -> bool:
        return any(
            sum(map(str.isdigit, self._reader(view, line)[0])) >= _DIGITS
            for view in views
            for line in lines
        )


def _rows(words: list[Box]) -> int:
    """How many lines the words stand on."""
    middles = sorted((word.y0 + word.y1) / 2 for word in words)
    apart = min((word.height for word in words), default=0) / 2
    return sum(j - i > apart for i, j in pairwise([-np.inf, *middles]))


def _scale(longest: int) -> float:
    enlarged = min(max(2 * longest, min(3 * longest, 1024)), _ENLARGED)
    return max(enlarged, min(longest, _LONGEST)) / longest
