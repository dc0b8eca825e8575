from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deid.reasons import Withheld
from deid.scrub.jobs import Done, Failed
from deid.scrub.options import CannotStart, Stopped
from deid.scrub.pool import Pool
from deid.scrub.run import scrub
from deid.scrub.shortage import is_shortage

Tree = Callable[[Path], dict[str, str]]


def withheld_after(error: Exception) -> Exception:
    """What a reader makes of an error."""
    try:
        try:
            raise error
        except Exception:
            raise Withheld("undecodable", "the pixel data do not decode") from None
    except Withheld as withheld:
        return withheld


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (OSError(24, "Too many open files"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (OSError(2, "No such file or directory"), False),
        (ValueError("a wrong value"), False),
    ],
)
def test_a_shortage_is_known_whatever_was_made_of_it(error: Exception, short: bool) -> None:
    assert is_shortage(error) == short
    assert is_shortage(withheld_after(error)) == short


def test_numpy_says_a_shortage_in_a_way_that_is_known() -> None:
    with pytest.raises(MemoryError) as raised:
        np.empty(1 << 60, np.uint8)
    assert is_shortage(withheld_after(RuntimeError(str(raised.value))))


def short_of_memory(target: str) -> type[Pool]:
    """A pool in which one job of this kind gets no memory, neither at once nor alone."""

    class Small(Pool):
        def run(self, *arguments: Any) -> Iterator[Done | Failed]:
            met = False
            for end in super().run(*arguments):
                if end.job.target.endswith(target) and not met:
                    met = True
                    yield Failed(end.job, "no memory", "MemoryError", short=True)
                else:
                    yield end

    return Small


@pytest.mark.parametrize(("target", "less"), [(":release", 1), (":look", 3)])
def test_a_file_for_which_memory_ran_short_is_said_and_tried_again(
    target: str,
    less: int,
    pictures: Path,
    secret: Path,
    tmp_path: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {"key_file": secret, "workers": 1, "text": "off"}
    options |= {"metadata_only": True, "text": "blank"} if less == 1 else {"modality": "xray"}
    output = tmp_path / "output"
    with monkeypatch.context() as patch:
        patch.setattr("deid.scrub.run.Pool", short_of_memory(target))
        result = scrub(pictures, output, **options)
    late = [row for row in result.rows if row["status"] == "withheld"]
    assert len(late) == less  # of a person who was not wholly looked at, none
    assert all("memory ran short" in row["detail"] for row in late)
    assert any("--workers" in warning for warning in result.summary["warnings"])
    assert result.exit_status == 1
    journal = [json.loads(line) for line in (tmp_path / "output.run" / "journal.jsonl").open()]
    assert not {row["n"] for row in late} & {line["n"] for line in journal}
    assert not (tmp_path / "output.run" / "errors.log").exists()
    assert scrub(pictures, output, resume=True, **options).exit_status == 0
    scrub(pictures, tmp_path / "whole", **options)
    assert tree(output) == tree(tmp_path / "whole")


def test_a_header_for_which_memory_ran_short_is_tried_again(
    pictures: Path, secret: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"key_file": secret, "workers": 1, "metadata_only": True}

    def one(job: Any) -> bool:
        return job.target.endswith(":headers") and any(n == 2 for n, _ in job.key)

    class Small(Pool):
        def run(self, *arguments: Any) -> Iterator[Done | Failed]:
            for end in super().run(*arguments):
                yield Failed(end.job, "", "MemoryError", short=True) if one(end.job) else end

    output = tmp_path / "output"
    with monkeypatch.context() as patch:
        patch.setattr("deid.scrub.run.Pool", Small)
        rows = scrub(pictures, output, **options).rows
    assert [row["n"] for row in rows if row["status"] == "withheld"] == [2]
    assert scrub(pictures, output, resume=True, **options).exit_status == 0
    scrub(pictures, tmp_path / "whole", **options)
    assert tree(output) == tree(tmp_path / "whole")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc")])
def test_a_shortage_of_the_process_itself_stops_the_run_with_advice(
    error: Exception, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("deid.scrub.run.finish", finish)
    with pytest.raises(Stopped, match="--workers or raise ulimit -n, then --resume"):
        scrub(pictures, tmp_path / "output", metadata_only=True, workers=1)


def test_too_few_open_files_for_the_workers_is_told_before_a_run_is_noted(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    start = Pool._start

    def limited(self: Pool) -> Any:
        if len(started) == 2:
            raise OSError(24, "Too many open files")
        started.append(start(self))
        return started[-1]

    monkeypatch.setattr(Pool, "_start", limited)
    with pytest.raises(CannotStart, match="lower --workers or raise ulimit -n"):
        scrub(pictures, tmp_path / "output", metadata_only=True, workers=3)
    assert not any(worker.process.is_alive() for worker in started)
    assert not (tmp_path / "output.run" / "run.json").exists()
