"""Jobs, and the body of a worker process that does them.

A job is a generator function. What it yields is a question (kind, payload) for the one process that
holds the models; it goes on with the answer. While one job of a worker waits for an answer, the
worker runs another. A question may also be a set of smaller jobs (`SPREAD`), which all workers
share; their results are its answer.
"""

from __future__ import annotations

import errno
import importlib
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from deid.native_lines import discard
from deid.scrub.shortage import is_shortage

Question = tuple[str, Any]
Ask = Callable[[list[Question]], list[Any]]

#: The kind of question whose payload is a list of (target, args), each a job of its own. Where one
#: is lost, so is the job that asked.
SPREAD = "spread"

#: What a worker is busy with before its first job.
SETUP = 0

#: What the system says where a file system, a quota or a limit on files is full.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: Signals that end a run; the process that holds the models decides how.
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Job:
    """One call of a generator function in a worker.

    Attributes
    ----------
    target
        ``package.module:function``; imported in the worker, called with `args` and the context.
    size
        Bytes that the job holds while it runs, for the byte budget.
    tried
        Whether it failed once without being to blame for sure.
    """

    key: Any
    target: str
    args: tuple[Any, ...]
    size: int = 0
    tried: bool = False


@dataclass(frozen=True)
class Done:
    """A job ended: `value` is what it returned."""

    job: Job
    value: Any


@dataclass(frozen=True)
class Failed:
    """A job raised something unforeseen, or its worker died on it (`error` is then None).

    `short` says that the machine ran out of memory or the like, which is not the job's fault.
    """

    job: Job
    error: str | None
    kind: str = ""
    no_space: bool = False
    short: bool = False


def drive(job: Job, ask: Ask, context: Any = None) -> Any:
    """Run one job in this process (for tests and for callers without a pool)."""
    generator = _resolve(job.target)(*job.args, context)
    answer = None
    while True:
        try:
            question = generator.send(answer)
        except StopIteration as stop:
            return stop.value
        kind, asked = question
        if kind == SPREAD:
            answer = [drive(Job(None, *part), ask, context) for part in asked]
        else:
            answer = ask([question])[0]


def _resolve(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def serve(connection: Connection) -> None:
    """Body of a worker: set up, then start jobs and feed answers until the other side is gone."""
    # Workers are ended by that side, not by the terminal, whose interrupt would condemn a job.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    discard()
    try:
        context = connection.recv()()
        connection.send(("ready", SETUP, None))
    except BaseException:  # the other side sees the death, and says it in one line
        return
    held: dict[int, Any] = {}
    while True:
        try:
            number, job, answer = connection.recv()
        except (EOFError, OSError):
            return
        try:
            if job is not None:
                held[number] = _resolve(job.target)(*job.args, context)
            go_on = held[number].throw if isinstance(answer, Exception) else held[number].send
            question = go_on(answer)
        except StopIteration as stop:
            held.pop(number, None)
            reply = ("done", number, stop.value)
        except BaseException as error:
            held.pop(number, None)
            no_space = isinstance(error, OSError) and error.errno in NO_SPACE
            short = is_shortage(error)
            told = (traceback.format_exc(), type(error).__name__, no_space, short)
            reply = ("failed", number, told)
        else:
            reply = ("ask", number, question)
        try:
            connection.send(reply)
        except (BrokenPipeError, OSError):
            return
