"""Jobs that the pool's tests run in worker processes."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Generator
from typing import Any

from deid.scrub.jobs import SPREAD


def nothing() -> None:
    """Set-up of a worker that needs none."""


def doubled(number: int, _: None) -> Generator[Any, Any, int]:
    """Ask twice with payloads larger than a pipe's buffer."""
    first = yield ("double", bytes(2_000_000 + number))
    second = yield ("double", bytes(1_000_000))
    return int(first + second)


def dies(number: int, _: None) -> Generator[Any, Any, int]:
    """End the process, as a native decoder may."""
    yield ("double", bytes(number))
    os._exit(11)


def dies_once(mark: str, _: None) -> Generator[Any, Any, int]:
    """End the process at the first try only."""
    yield ("double", b"")
    if not os.path.exists(mark):
        os.mkdir(mark)
        os._exit(9)
    return 1


def slow(_: None) -> Generator[Any, Any, int]:
    """Need some time for the second half."""
    yield ("double", b"")
    time.sleep(1.0)
    return 1


def tried(mark: str, how: str, _: None) -> Generator[Any, Any, int]:
    """Note the try in a folder, and end as `how` says."""
    yield ("double", b"")
    os.mkdir(os.path.join(mark, str(len(os.listdir(mark)))))
    if how == "memory":
        raise MemoryError
    os.kill(os.getpid(), getattr(signal, how))
    return 1


def stops_idle(_: None) -> Generator[Any, Any, int]:
    """Stop the process while it waits for an answer larger than a pipe's buffer."""
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    return len((yield ("late", b"")))


def stops_at_work(_: None) -> Generator[Any, Any, int]:
    """Stop the process at once."""
    yield ("double", b"")
    os.kill(os.getpid(), signal.SIGSTOP)
    return 1


def raises(number: int, _: None) -> Generator[Any, Any, int]:
    """Fail in Python."""
    yield from ()
    raise ValueError(number)


def full(number: int, _: None) -> Generator[Any, Any, int]:
    """Fail as a full disk does."""
    yield from ()
    raise OSError(28, "No space left on device")


def deadly_setup(_: bytes) -> None:
    """A set-up on which the process dies."""
    os._exit(1)


def setup_killed_once(mark: str) -> None:
    """A set-up in which the first process is killed."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(mark)
        os.kill(os.getpid(), signal.SIGKILL)


def wrong_setup(_: bytes) -> None:
    """A set-up that raises."""
    raise ImportError("a library is missing")


def complains(line: bytes, _: None) -> Generator[Any, Any, int]:
    """Write to stderr past Python, as native libraries do."""
    yield ("double", b"")
    return os.write(2, line)


def shares(how: str, parts: list[Any], _: None) -> Generator[Any, Any, int]:
    """Have several jobs of one name done side by side, and add up what they return."""
    return sum((yield (SPREAD, [(f"jobs_for_pool:{how}", part) for part in parts])))


def twice(number: int, _: None) -> Generator[Any, Any, int]:
    """Ask nobody."""
    yield from ()
    return 2 * number
