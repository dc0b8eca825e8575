from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mami_core.models.remover import Remover, RemoverConfig
from mami_core.training import LOG, Budget, TrainingError, train
from mami_core.training.loop import STATE


class Toy:
    """Fits one layer of a remover to a constant; `stop` is the step that a power cut hits."""

    kind, start = "remover", "starting from nowhere"

    def __init__(self, *, stop: int | None = None, identity: str = "a", bad: bool = False) -> None:
        torch.manual_seed(0)
        self.model = self.learner = Remover(RemoverConfig(image=64))
        self.identity, self.stop, self.bad = identity, stop, bad

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.spread.parameters()), "lr": 0.05}]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        if step == self.stop:
            raise KeyboardInterrupt
        generator = torch.Generator().manual_seed(step)
        out = self.model.spread(torch.randn(4, 16, generator=generator))
        loss = ((out - 1.0) ** 2).mean()
        return (loss * float("nan") if self.bad else loss), {"mean": out.mean().item()}

    def facts(self) -> dict[str, Any]:
        return {"strength": 0.5}


def _log(folder: Path) -> list[dict[str, float]]:
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same_weights: Callable[[Path, Path], bool],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("mami_core.training.loop.SAVE_EVERY", 2)
    whole = train(Toy, Budget(steps=7), tmp_path / "whole", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(lambda: Toy(stop=5), Budget(steps=7), tmp_path / "cut", device="cpu")
    assert len(_log(tmp_path / "cut")) == 5
    capsys.readouterr()
    resumed = train(Toy, Budget(steps=7), tmp_path / "cut", device="cpu", resume=True)
    assert "going on after step 4" in capsys.readouterr().err
    assert same_weights(resumed, whole)
    assert _log(tmp_path / "cut") == _log(tmp_path / "whole")


def test_the_loss_falls_and_every_step_is_in_the_log(tmp_path: Path) -> None:
    train(Toy, Budget(steps=60), tmp_path / "out", device="cpu")
    log = _log(tmp_path / "out")
    assert [line["step"] for line in log] == list(range(1, 61))
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]


def test_a_time_limit_ends_the_training(tmp_path: Path) -> None:
    path = train(Toy, Budget(minutes=0.02), tmp_path / "out", device="cpu")
    assert path.name == "remover.safetensors"
    log = (tmp_path / "out" / LOG).read_text(encoding="utf-8").splitlines()
    assert 1.2 <= json.loads(log[-1])["seconds"] < 30.0


def test_no_time_at_all_writes_the_weights_it_starts_from(tmp_path: Path) -> None:
    assert train(Toy, Budget(minutes=0.0), tmp_path / "out", device="cpu").is_file()
    assert _log(tmp_path / "out") == []


def test_without_an_end_no_training_starts() -> None:
    with pytest.raises(TrainingError, match="--max-minutes or --steps"):
        Budget()


def test_a_folder_in_use_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")

    def never() -> Toy:
        raise AssertionError("built")

    with pytest.raises(TrainingError, match="not empty"):
        train(never, Budget(steps=1), tmp_path, device="cpu")
    with pytest.raises(TrainingError, match="a file"):
        train(never, Budget(steps=1), tmp_path / "mine.txt", device="cpu")
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_the_output_folder_is_private_and_holds_no_partial_file(tmp_path: Path) -> None:
    train(Toy, Budget(steps=1), tmp_path / "out", device="cpu")
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted([LOG, "remover.safetensors", STATE])


def test_a_training_with_other_data_is_not_resumed(tmp_path: Path) -> None:
    train(Toy, Budget(steps=1), tmp_path / "out", device="cpu")
    with pytest.raises(TrainingError, match="other data or options"):
        train(
            lambda: Toy(identity="b"), Budget(steps=2), tmp_path / "out", device="cpu", resume=True
        )


def test_a_checkpoint_that_is_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    torch.save({"step": 1}, out / STATE)
    with pytest.raises(TrainingError, match="can not be read"):
        train(Toy, Budget(steps=2), out, device="cpu", resume=True)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a number at step 1"):
        train(lambda: Toy(bad=True), Budget(steps=2), tmp_path / "out", device="cpu")
    assert not (tmp_path / "out" / "remover.safetensors").exists()


def test_a_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(TrainingError, match="can not be made"):
        train(Toy, Budget(steps=1), tmp_path / "mine.txt" / "out", device="cpu")


def test_what_is_no_training_is_not_resumed_and_weights_without_theirs_are_kept(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(TrainingError, match="no training to go on with"):
        train(Toy, Budget(steps=1), tmp_path, device="cpu", resume=True)
    path = train(Toy, Budget(steps=1), tmp_path / "out", device="cpu")
    before = path.read_bytes()
    (tmp_path / "out" / STATE).unlink()
    with pytest.raises(TrainingError, match="weights but no"):
        train(Toy, Budget(steps=2), tmp_path / "out", device="cpu", resume=True)
    assert path.read_bytes() == before
    assert len(_log(tmp_path / "out")) == 1
