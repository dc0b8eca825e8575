from __future__ import annotations

import json
from pathlib import Path

from deid.evaluation_report.log import training_log
from mami_core.training.loop import LOG


def logged(folder: Path, *lines: object) -> Path:
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    (folder / LOG).write_text(text)
    return folder / "mami.safetensors"


def test_losses_and_figures_on_val_become_curves(tmp_path: Path) -> None:
    weights = logged(
        tmp_path,
        {"step": 1, "seconds": 2.0, "loss": 3.0, "found": 0.5},
        {"step": 2, "seconds": 3.0, "loss": 2.0, "val": 0.7},
        {"step": 2, "val_auc": {"nih": 0.8, "odir": 0.9}},
    )
    log = training_log(weights)
    assert log is not None
    assert log.loss == [(1, 3.0), (2, 2.0)]
    assert log.val == {
        "val": [(2, 0.7)],
        "val_auc nih": [(2, 0.8)],
        "val_auc odir": [(2, 0.9)],
    }


def test_a_torn_or_foreign_line_and_what_is_no_number_are_left_out(tmp_path: Path) -> None:
    weights = logged(
        tmp_path,
        {"step": 1, "loss": 3.0, "val": None},
        {"step": 2, "loss": float("nan")},
        [1, 2],
        {"loss": 1.0},
        '{"step": 3, "lo',
    )
    log = training_log(weights)
    assert log is not None
    assert log.loss == [(1, 3.0)]
    assert log.val == {}


def test_without_a_log_or_without_a_loss_there_is_none(tmp_path: Path) -> None:
    assert training_log(tmp_path / "mami.safetensors") is None
    assert training_log(logged(tmp_path, {"step": 1})) is None
    (tmp_path / LOG).write_bytes(b"\xff\xfe")
    assert training_log(tmp_path / "mami.safetensors") is None
