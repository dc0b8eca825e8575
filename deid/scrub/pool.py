"""Worker processes that may be lost.

A worker that dies (a native decoder on a hostile file) takes only the guilty job with it, after a
second try: its other jobs are run again. A job that runs out of memory, or whose worker the kernel
kills, is tried a second time with nothing else under way. See `deid.scrub.jobs` for what a job is.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from deid.scrub.jobs import ENDS, SETUP, SPREAD, Ask, Done, Failed, Job, Question, serve
from deid.scrub.options import CannotStart
from deid.scrub.shortage import OUT_OF, is_shortage

#: Seconds that a job may run between two signs of life before its worker is given up.
PATIENCE = 600.0
#: Workers in a row that may die before they are ready: whoever killed them need not do it again.
DIES_EARLY = 2
#: Seconds between two looks at who is late; no more than two such spans count at once, since this
#: process may have been stopped itself and its workers with it.
SPAN = 5.0


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put an interrupt off until a child has started: half greeted, it would complain aloud."""
    if threading.current_thread() is not threading.main_thread():
        yield  # interrupts are the main thread's
        return
    came: list[int] = []
    # The first start would begin with a helper of Python's that lifts the mask.
    resource_tracker.ensure_running()
    # The mask is the child's; another thread of ours may take the signal all the same.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    handlers = {
        number: signal.signal(number, lambda caught, _: came.append(caught)) for number in ENDS
    }
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if came:
        signal.raise_signal(came[0])


def _limit(connection: Connection) -> None:
    """Let no message to or from a worker that was stopped wait for longer than `PATIENCE`."""
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        for way in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            end.setsockopt(socket.SOL_SOCKET, way, struct.pack("ll", max(1, int(PATIENCE)), 0))


@dataclass
class _Worker:
    """One process. It gets one message at a time, so that neither side ever blocks in a write
    while the other does, and so that a death names the job it was running."""

    process: BaseProcess
    connection: Connection
    jobs: dict[int, Job] = field(default_factory=dict)
    outbox: deque[tuple[int, Job | None, Any]] = field(default_factory=deque)
    current: int | None = SETUP
    waited: float = 0.0

    def greet(self, setup: Callable[[], Any]) -> None:
        # Not among the process's arguments: one that dies on its way up would leave us writing into
        # a pipe that nobody reads, for good.
        with contextlib.suppress(BrokenPipeError, OSError):
            self.connection.send(setup)

    def post(self, number: int, job: Job | None, answer: Any) -> None:
        self.outbox.append((number, job, answer))
        self.forward()

    def forward(self) -> None:
        if self.current is None and self.outbox:
            message = self.outbox.popleft()
            self.current, self.waited = message[0], 0.0
            try:
                self.connection.send(message)
            except BlockingIOError:  # it takes nothing in: no sense in waiting longer
                self.waited = PATIENCE
            except OSError:  # it is gone, which is seen when it is to be read
                pass

    def late(self, passed: float) -> bool:
        """Whether it has been at one thing for too long, now that so many seconds more passed."""
        if self.current is not None:
            self.waited += passed
        return self.waited > PATIENCE


@dataclass
class _Spread:
    """What a job asked to have done side by side, and what came of it so far."""

    worker: _Worker
    number: int
    count: int
    ends: dict[int, Done | Failed] = field(default_factory=dict)

    def answer(self) -> Any:
        """The values in their order; an exception where one is lost."""
        lost = [end for end in self.ends.values() if isinstance(end, Failed)]
        if any(end.short for end in lost):
            return MemoryError()
        if lost:
            return RuntimeError(lost[0].error or "a worker died on a part of it")
        return [end.value for _, end in sorted(self.ends.items()) if isinstance(end, Done)]


@dataclass(frozen=True)
class _Part:
    """The key of a job that is one of several side by side."""

    whole: _Spread
    index: int


class Pool:
    """Runs jobs in `workers` processes with bounded memory.

    Parameters
    ----------
    setup
        Called once in each worker before its first job; it is pickled, and what it returns is the
        last argument of every job. `run` raises `CannotStart` where workers die of it.
    in_flight
        Jobs under way at once.
    budget
        Bounds the bytes that the jobs under way hold together; a job that is larger than the
        budget runs by itself.
    """

    def __init__(
        self, workers: int, *, setup: Callable[[], Any], in_flight: int, budget: int
    ) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._setup = setup
        self._in_flight = max(in_flight, workers)
        self._budget = budget
        self._numbers = self._died_early = 0
        self._workers: list[_Worker] = []
        self._parts: deque[Job] = deque()
        try:
            self._workers += (self._start() for _ in range(workers))
        except BaseException as error:
            self.__exit__()
            if is_shortage(error):
                raise CannotStart(OUT_OF) from error
            raise
        for worker in self._workers:
            worker.greet(setup)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            self._stop(worker)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs,), daemon=True)
        with _undisturbed():
            process.start()
        theirs.close()
        _limit(ours)
        return _Worker(process, ours)

    def _stop(self, worker: _Worker) -> None:
        worker.connection.close()
        worker.process.join(0.2)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()

    def run(self, jobs: Callable[[], Job | None], ask: Ask) -> Iterator[Done | Failed]:
        """Yield each job's end, in the order in which they end.

        Parameters
        ----------
        jobs
            Called for the next job to start; None while there is none (yet). The run ends when it
            returns None and nothing is under way.
        ask
            Answers questions, in this process.
        """
        for end in self._ends(jobs, ask):
            if isinstance(end.job.key, _Part):
                self._gather(end.job.key, end)
            else:
                yield end

    def _ends(self, jobs: Callable[[], Job | None], ask: Ask) -> Iterator[Done | Failed]:
        again: deque[Job] = deque()
        looked = time.monotonic()
        while self._fill(jobs, again):
            busy = [worker.connection for worker in self._workers if worker.current is not None]
            ready = wait(busy, timeout=SPAN)
            passed = min(time.monotonic() - looked, 2 * SPAN)
            looked = time.monotonic()
            questions: list[tuple[_Worker, int, Question]] = []
            for worker in list(self._workers):
                if worker.connection in ready:
                    try:
                        state, number, value = worker.connection.recv()
                    except (EOFError, OSError):
                        yield from self._replace(worker, again, retry=True)
                        continue
                    worker.current, worker.waited = None, 0.0
                    if state == "ready":
                        self._died_early = 0
                    elif state == "ask" and value[0] == SPREAD:
                        self._spread(worker, number, value[1])
                    elif state == "ask":
                        questions.append((worker, number, value))
                    else:
                        job = worker.jobs.pop(number)
                        end = Done(job, value) if state == "done" else Failed(job, *value)
                        short = isinstance(end, Failed) and end.short
                        if not (short and self._tries_again(job, again, short=True)):
                            yield end
                    worker.forward()
                elif worker.late(passed):
                    yield from self._replace(worker, again, retry=False)
            if questions:
                answers = ask([question for _, _, question in questions])
                for (worker, number, _), answer in zip(questions, answers, strict=True):
                    worker.post(number, None, answer)

    def _fill(self, jobs: Callable[[], Job | None], again: deque[Job]) -> bool:
        """Start jobs while there is room; False when nothing is under way any more."""
        under_way = [job for worker in self._workers for job in worker.jobs.values()]
        held, count = sum(job.size for job in under_way), len(under_way)
        # A job under way waits for them, so they wait for nothing.
        while self._parts:
            part = self._parts.popleft()
            if self._waits(part.key.whole):
                self._begin(part)
                count += 1
        while count < self._in_flight:
            job = again.popleft() if again else jobs()
            if job is None:
                break
            if count and held + job.size > self._budget:
                again.appendleft(job)
                break
            self._begin(job)
            held, count = held + job.size, count + 1
        return count > 0

    def _begin(self, job: Job) -> None:
        self._numbers += 1
        worker = min(self._workers, key=lambda w: len(w.jobs))
        worker.jobs[self._numbers] = job
        worker.post(self._numbers, replace(job, key=None), None)

    def _spread(
        self, worker: _Worker, number: int, parts: list[tuple[str, tuple[Any, ...]]]
    ) -> None:
        whole = _Spread(worker, number, len(parts))
        self._parts.extend(Job(_Part(whole, index), *part) for index, part in enumerate(parts))

    def _gather(self, part: _Part, end: Done | Failed) -> None:
        whole = part.whole
        whole.ends[part.index] = end
        if len(whole.ends) == whole.count and self._waits(whole):
            whole.worker.post(whole.number, None, whole.answer())

    def _waits(self, whole: _Spread) -> bool:
        """Whether the worker that asked is still there; if it died its job is begun anew."""
        return any(worker is whole.worker for worker in self._workers)

    def _tries_again(self, job: Job, again: deque[Job], *, short: bool) -> bool:
        """Begin a lost job once more, if it was not yet; for want of memory (`short`) by itself.

        A part is never by itself, since the whole waits for it: that is tried again in its place.
        """
        part = isinstance(job.key, _Part)
        if job.tried or (part and short):
            return False
        size = self._budget + 1 if short else job.size
        (self._parts if part else again).append(replace(job, size=size, tried=True))
        return True

    def _replace(self, worker: _Worker, again: deque[Job], *, retry: bool) -> Iterator[Failed]:
        """A new worker for one that died or hangs; what it held but was not running starts anew.

        The job that it was running may be innocent too (whoever is short of memory kills a worker):
        with `retry` it is tried once more.
        """
        starting = worker.current == SETUP
        self._died_early = self._died_early + 1 if starting else 0
        if self._died_early > DIES_EARLY:
            raise CannotStart(
                "a worker process can not start; free memory, lower --workers, or reinstall"
            )
        suspect = None if starting else worker.jobs.pop(worker.current or 0)
        if suspect and isinstance(suspect.key, _Part) and suspect.key.whole.worker is worker:
            # The job that asked for it is gone too; begun anew as innocent it would never end.
            suspect = worker.jobs.pop(suspect.key.whole.number)
        for job in worker.jobs.values():
            (self._parts if isinstance(job.key, _Part) else again).append(job)
        if retry:
            worker.process.join(5.0)  # its connection is closed a moment before it is gone
        # No decoder sends these: the kernel does where memory runs short, or a person.
        outside = worker.process.exitcode in (-signal.SIGKILL, *(-number for number in ENDS))
        worker.process.kill()
        self._stop(worker)
        fresh = self._workers[self._workers.index(worker)] = self._start()
        fresh.greet(self._setup)
        if suspect and not (retry and self._tries_again(suspect, again, short=outside)):
            yield Failed(suspect, None, short=outside)
