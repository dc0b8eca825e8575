from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mami_core.training import LOG
from mami_core.training.draws import Draws

SCRIPT = Path(__file__).with_name("one_of_several.py")


def _ended(folder: Path, rank: int) -> dict[str, torch.Tensor]:
    held: dict[str, torch.Tensor] = torch.load(folder / f"{rank}.pt", weights_only=True)
    return held


def test_processes_of_torchrun_end_with_the_same_weights_and_the_first_one_writes(
    tmp_path: Path,
) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*torchrun, "--nproc-per-node=2", str(SCRIPT), str(tmp_path)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    (tmp_path / "alone").mkdir()
    runpy.run_path(str(SCRIPT))["main"](tmp_path / "alone")
    first, second, alone = _ended(tmp_path, 0), _ended(tmp_path, 1), _ended(tmp_path / "alone", 0)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["weight"], alone["weight"])
    assert len((tmp_path / "out" / LOG).read_text().splitlines()) == 3
    assert (tmp_path / "out" / "remover.safetensors").is_file()


def test_every_process_draws_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for rank in ("0", "1", "1"):
        monkeypatch.setenv("RANK", rank)
        draws = Draws(3, 7)
        drawn.append((draws.normal(3).tolist(), draws.choice.random()))
    assert drawn[0] != drawn[1] == drawn[2]
