"""Burned-in text: find, blank, look again."""

from deid.text.blank import blank
from deid.text.box import Box
from deid.text.finder import Finder
from deid.text.stack import (
    Part,
    PartText,
    StackText,
    search_part,
    search_single,
    search_slices,
    search_stack,
)

__all__ = [
    "Box",
    "Finder",
    "Part",
    "PartText",
    "StackText",
    "blank",
    "search_part",
    "search_single",
    "search_slices",
    "search_stack",
]
