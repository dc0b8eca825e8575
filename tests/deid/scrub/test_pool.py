from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deid.scrub.jobs import Done, Failed, Job, drive
from deid.scrub.options import CannotStart
from deid.scrub.pool import Pool

sys.path.insert(0, str(Path(__file__).parent))

import jobs_for_pool


def answer(questions: list[tuple[str, Any]]) -> list[Any]:
    return [2 * len(payload) for _, payload in questions]


def run(jobs: list[Job], workers: int = 2, **options: Any) -> list[Done | Failed]:
    queue = iter(jobs)
    settings = {"in_flight": 6, "budget": 10**9, **options}
    with Pool(workers, setup=jobs_for_pool.nothing, **settings) as pool:
        return list(pool.run(lambda: next(queue, None), answer))


def test_jobs_get_their_own_answers_whatever_is_in_flight() -> None:
    for in_flight in (1, 7):
        jobs = [Job(n, "jobs_for_pool:doubled", (n,)) for n in range(12)]
        ends = run(jobs, in_flight=in_flight)
        values = {end.job.key: end.value for end in ends if isinstance(end, Done)}
        assert values == {n: 2 * (3_000_000 + n) for n in range(12)}


def test_a_job_run_here_gives_what_a_worker_gives() -> None:
    assert drive(Job(0, "jobs_for_pool:doubled", (5,)), answer) == 2 * 3_000_005


def test_a_worker_that_dies_takes_only_the_guilty_job_with_it() -> None:
    jobs = [
        Job(n, f"jobs_for_pool:{'dies' if n in (3, 8) else 'doubled'}", (n,)) for n in range(14)
    ]
    ends = run(jobs)
    failed = {end.job.key for end in ends if isinstance(end, Failed) and end.error is None}
    assert failed == {3, 8}
    assert len(ends) == 14


def test_what_a_native_library_says_in_a_worker_is_not_heard(capfd) -> None:
    line = b"opj: MUELLER^ANNA\n"
    (end,) = run([Job(0, "jobs_for_pool:complains", (line,))])
    assert isinstance(end, Done)
    assert end.value == len(line)
    assert capfd.readouterr().err == ""


def test_a_worker_killed_from_outside_condemns_no_job(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (end,) = run([Job(0, "jobs_for_pool:dies_once", (str(mark),))])
    assert isinstance(end, Done)
    assert end.value == 1


@pytest.mark.parametrize("setup", [jobs_for_pool.deadly_setup, jobs_for_pool.wrong_setup])
def test_workers_that_can_not_start_are_told_and_not_waited_for(setup: Any) -> None:
    heavy = partial(setup, bytes(3_000_000))  # more than a pipe holds
    with (
        Pool(2, setup=heavy, in_flight=2, budget=10**9) as pool,
        pytest.raises(CannotStart, match="a worker process can not start"),
    ):
        list(pool.run(lambda: Job(0, "jobs_for_pool:doubled", (0,)), answer))


def test_a_worker_killed_while_it_starts_ends_nothing(tmp_path: Path) -> None:
    once = partial(jobs_for_pool.setup_killed_once, str(tmp_path / "mark"))
    queue = iter([Job(n, "jobs_for_pool:doubled", (n,)) for n in range(4)])
    with Pool(2, setup=once, in_flight=4, budget=10**9) as pool:
        ends = list(pool.run(lambda: next(queue, None), answer))
    assert sorted(end.job.key for end in ends if isinstance(end, Done)) == [0, 1, 2, 3]


def test_an_error_is_told_with_its_kind_and_a_full_disk_is_recognised() -> None:
    ends = run([Job("r", "jobs_for_pool:raises", (1,)), Job("f", "jobs_for_pool:full", (1,))])
    by_key = {end.job.key: end for end in ends}
    raised, full = by_key["r"], by_key["f"]
    assert isinstance(raised, Failed)
    assert isinstance(full, Failed)
    assert (raised.kind, raised.no_space) == ("ValueError", False)
    assert full.no_space


@pytest.mark.parametrize("budget", [1, 250])
def test_a_job_larger_than_the_budget_still_runs(budget: int) -> None:
    jobs = [Job(n, "jobs_for_pool:doubled", (n,), size=100) for n in range(5)]
    assert sum(isinstance(end, Done) for end in run(jobs, budget=budget)) == 5


@pytest.mark.parametrize("how", ["memory", "SIGKILL", "SIGTERM", "SIGSEGV"])
def test_a_job_short_of_memory_is_tried_twice_and_not_to_blame(how: str, tmp_path: Path) -> None:
    jobs = [Job("bad", "jobs_for_pool:tried", (str(tmp_path), how))]
    jobs += [Job(n, "jobs_for_pool:doubled", (n,)) for n in range(4)]
    ends = run(jobs)
    (failed,) = (end for end in ends if isinstance(end, Failed))
    assert (failed.job.key, failed.short) == ("bad", how != "SIGSEGV")
    assert len(os.listdir(tmp_path)) == 2
    assert sum(isinstance(end, Done) for end in ends) == 4


@pytest.mark.parametrize("budget", [1, 10**9])
def test_jobs_that_share_their_work_out_hold_nobody_up(budget: int) -> None:
    parts = [(n,) for n in range(7)]
    jobs = [Job(n, "jobs_for_pool:shares", ("twice", parts), size=100) for n in range(5)]
    ends = run(jobs, in_flight=2, budget=budget)
    assert [end.value for end in ends if isinstance(end, Done)] == [42] * 5
    assert drive(jobs[0], answer) == 42


@pytest.mark.parametrize("workers", [1, 3])
def test_of_work_that_was_shared_out_a_lost_part_loses_the_whole_and_nothing_else(
    workers: int,
) -> None:
    jobs = [Job(n, "jobs_for_pool:shares", ("twice", [(n,)] * 4)) for n in range(4)]
    jobs += [Job("dies", "jobs_for_pool:shares", ("dies", [(1,), (2,)]))]
    jobs += [Job("raises", "jobs_for_pool:shares", ("raises", [(1,), (2,)]))]
    ends = run(jobs, workers)
    assert {end.job.key for end in ends if isinstance(end, Failed)} == {"dies", "raises"}
    assert {end.job.key: end.value for end in ends if isinstance(end, Done)} == {
        n: 8 * n for n in range(4)
    }


def test_a_part_on_which_a_worker_died_once_is_tried_again_by_itself(tmp_path: Path) -> None:
    parts = [(str(tmp_path / "mark"),), (str(tmp_path),)]
    (end,) = run([Job("whole", "jobs_for_pool:shares", ("dies_once", parts))])
    assert isinstance(end, Done)
    assert end.value == 2


@pytest.mark.parametrize("how", ["memory", "SIGKILL"])
def test_work_of_which_a_part_is_short_of_memory_is_tried_again(how: str, tmp_path: Path) -> None:
    part = (str(tmp_path), how)
    (failed,) = run([Job("bad", "jobs_for_pool:shares", ("tried", [part]))])
    assert isinstance(failed, Failed)
    assert failed.short
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("job", ["stops_idle", "stops_at_work"])
def test_a_worker_that_was_stopped_holds_nobody_up_for_ever(
    job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(questions: list[tuple[str, Any]]) -> list[Any]:
        if any(kind == "late" for kind, _ in questions):
            time.sleep(1.0)
        return [
            bytes(5_000_000) if kind == "late" else 2 * len(payload) for kind, payload in questions
        ]

    monkeypatch.setattr("deid.scrub.pool.PATIENCE", 2.0)
    monkeypatch.setattr("deid.scrub.pool.SPAN", 0.5)
    queue = iter(
        [Job("stopped", f"jobs_for_pool:{job}", ()), Job("n", "jobs_for_pool:doubled", (1,))]
    )
    with Pool(1, setup=jobs_for_pool.nothing, in_flight=1, budget=10**9) as pool:
        ends = list(pool.run(lambda: next(queue, None), late))
    assert {end.job.key: type(end) for end in ends} == {"stopped": Failed, "n": Done}


def test_a_run_that_was_stopped_and_goes_on_blames_no_job() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import jobs_for_pool
from deid.scrub import pool
pool.PATIENCE, pool.SPAN = 2.0, 0.1
if __name__ == "__main__":
    queue = iter([pool.Job(0, "jobs_for_pool:slow", ())])
    with pool.Pool(1, setup=jobs_for_pool.nothing, in_flight=1, budget=10**9) as workers:
        for end in workers.run(lambda: next(queue, None), lambda asked: print("asked") or [1]):
            print(type(end).__name__)
"""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(3.0)
    os.killpg(process.pid, signal.SIGCONT)
    told, _ = process.communicate(timeout=60)
    assert told == "Done\n"
