"""Where an error arose, for developers."""

from __future__ import annotations

import sys
import traceback


def show_frames(error: BaseException) -> None:
    """Print code places, never messages: those of foreign exceptions may carry values or paths."""
    for frame in traceback.extract_tb(error.__traceback__):
        print(f"  {frame.name}, line {frame.lineno}: {frame.line}", file=sys.stderr)
