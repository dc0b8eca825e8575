"""Matching: which images of two sets, or of one, show the same patient."""

from __future__ import annotations

from deid.match.run import Options, match
from deid.match.trouble import MatchError

__all__ = ["MatchError", "Options", "match"]
