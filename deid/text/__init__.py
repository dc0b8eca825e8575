"""Burned-in text: find, blank, look again."""

from deid.text.blank import blank
from deid.text.box import Box
from deid.text.finder import Finder
from deid.text.stack import StackText, search_single, search_stack

__all__ = ["Box", "Finder", "StackText", "blank", "search_single", "search_stack"]
