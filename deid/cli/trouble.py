"""Where an error arose, for developers; and how a command ends that is told to."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Iterator
from types import FrameType


def show_frames(error: BaseException) -> None:
    """Print code places, never messages: those of foreign exceptions may carry values or paths."""
    for frame in traceback.extract_tb(error.__traceback__):
        print(f"  {frame.name}, line {frame.lineno}: {frame.line}", file=sys.stderr)


def said_to_go_on(*, reported: bool) -> str:
    """What a command says that is interrupted and keeps under ``--report`` what it has done."""
    if reported:
        return "interrupted; the same command with the same --report goes on from there"
    return "interrupted, and nothing is kept; with --report DIR the same command could go on"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it a request to end, or a terminal that is gone, is an interrupt.

    Where the caller has them ignored (``nohup``) they stay so.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one would disturb the tidying
        raise KeyboardInterrupt

    taken = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) == signal.SIG_DFL
    ]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
