"""The page and its folder: what they say, what they never say, and that nothing in them acts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deid.evaluation_report.gather import Gathered
from deid.evaluation_report.log import TrainingLog
from deid.evaluation_report.page import pieces
from mami_core.data import open_dataset
from mami_core.evaluation import report
from mami_core.evaluation.embed import Embedder
from mami_core.evaluation.yardsticks import AbsentError

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
FACTS = {"encoder": "mami_tiny", "SHA-256": "0" * 64}


def embed(pictures: np.ndarray) -> np.ndarray:
    """Coarse thumbnails: enough to tell people apart who are patterns."""
    return pictures[:, 0, ::2, ::2].reshape(len(pictures), -1).astype(np.float32) - 127.0


Found = tuple[dict[str, Any], Gathered]


@pytest.fixture
def folder(people: Callable[..., Path]) -> Path:
    return people(val=8)


@pytest.fixture
def scored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    def nothing(where: str) -> Embedder:
        raise AbsentError("it is left out here")

    monkeypatch.setattr(report, "imagenet", nothing)
    return score(folder)


def score(folder: Path) -> Found:
    encoder = Embedder(embed, 16, "")
    gathered = Gathered(encoder)
    images = open_dataset(folder)
    return report.evaluate(encoder, images, "val", "cpu", witness=gathered), gathered


def page(scored: Found, log: TrainingLog | None = None) -> str:
    return "".join(pieces(*scored, log, FACTS))


def test_the_page_has_every_plot_and_the_table_of_the_console(scored: Found) -> None:
    log = TrainingLog([(step, 1 / step) for step in range(1, 500)], {"val": [(100, 0.5)]})
    text = page(scored, log)
    titles = re.findall(r'<svg [^>]*aria-label="([^"]*)"', text)
    assert titles == [
        "Similarity of pairs, demo",
        "CMC, demo",
        "ROC, demo",
        "Map of modality representations",
        "Loss",
        "Figures on val",
    ]
    auc = scored[0]["sources"]["demo"]["auc"]
    assert f"{auc['value']:.3f} ({auc['low']:.3f}-{auc['high']:.3f})" in text
    assert "demo (xray)" in text
    assert "demo: no frozen, whiten, for it is left out here." in text


def test_without_a_log_one_line_says_so(scored: Found) -> None:
    assert "No log of a training lies beside these weights" in page(scored)


def test_neither_patients_nor_files_are_named(scored: Found, folder: Path) -> None:
    text = page(scored)
    for record in open_dataset(folder).records:
        assert record.patient not in text
        assert record.name not in text
    assert str(folder) not in text


def test_nothing_is_loaded_and_no_element_carries_a_style(scored: Found) -> None:
    text = page(scored)
    assert "script-src &#39;none&#39;" in text or "script-src 'none'" in text
    assert not re.search(r"\s(style|src|on\w+)=|https?:|url\(|@import|<script", text)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))


def test_the_same_figures_give_the_same_bytes(scored: Found) -> None:
    assert page(scored) == page(scored)


def test_a_split_without_mates_has_a_page_that_says_so() -> None:
    empty: dict[str, Any] = {"split": "val", "sources": {}}
    text = page((empty, Gathered(Embedder(embed, 16, ""))))
    assert "nothing to score" in text
    assert "<svg" not in text


@pytest.mark.usefixtures("scored")
def test_few_people_have_no_roc_and_a_line_says_why(people: Callable[..., Path]) -> None:
    text = page(score(people(val=3)))
    assert "demo: no ROC" in text
    assert 'aria-label="ROC' not in text


def test_in_a_browser_nothing_complains_and_hostile_names_are_text(
    scored: Found, tmp_path: Path, browse: Callable[[str], tuple[str, str]]
) -> None:
    found, gathered = scored
    found["sources"][HOSTILE] = found["sources"]["demo"]
    gathered.curves[HOSTILE] = gathered.curves["demo"]
    gathered.modalities[HOSTILE, HOSTILE] = gathered.modalities["demo", "xray"]
    path = tmp_path / "evaluate.html"
    path.write_text(page(scored, TrainingLog([(1, 1.0), (2, 0.5)], {HOSTILE: [(1, 0.5)]})))
    after, console = browse(path.as_uri())
    assert console == ""
    assert "<title>Evaluation of an identity encoder</title>" in after
    assert "<img" not in after
    assert "&lt;img src=x" in after
