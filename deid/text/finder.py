"""Finds text in one picture."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.text.box import Box, blocks
from deid.text.ocr import Detector, Reader, model_path
from deid.text.render import renderings

#: Strings of 8 pixels are found twice as large; beyond this many pixels on the longer side a
#: picture is searched at a smaller scale, which bounds the time that one image can take.
_ENLARGE = 2.0
_LONGEST = 1536
#: A string counts as legible with this many letters or digits at this mean score.
_CHARACTERS = 3
_SCORE = 0.6


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

        What the reader makes of a box never keeps it out: strings that it can not read are text too.

        Parameters
        ----------
        picture
            ``(rows, columns)`` or ``(rows, columns, 3)``; uint8 or stored values of any type.
        """
        rows, columns = picture.shape[:2]
        scale = min(_ENLARGE, _LONGEST / max(rows, columns))
        return blocks(box for seen in renderings(picture) for box in self._detector(seen, scale))

    def legible(self, picture: NDArray[Any], boxes: list[Box]) -> bool:
        """Whether the reader reads a string in one of the boxes."""
        return any(self._reads(seen, box) for seen in renderings(picture) for box in boxes)

    def _reads(self, picture: NDArray[np.uint8], box: Box) -> bool:
        text, score = self._reader(picture, box)
        return score >= _SCORE and sum(map(str.isalnum, text)) >= _CHARACTERS
