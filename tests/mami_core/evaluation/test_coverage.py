from __future__ import annotations

import ast
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mami_core.evaluation import Estimate
from mami_core.evaluation.coverage import LEAST, coverage_of_auc

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmarks" / "coverage.py"


def coverage(auc: float, patients: int) -> float | None:
    return coverage_of_auc(Estimate(auc, 0.0, 1.0, patients)).value


def test_the_table_is_what_the_benchmark_says_it_measured() -> None:
    told = ast.get_docstring(ast.parse(BENCHMARK.read_text())) or ""
    rows = [
        (float(auc), *(float(one) for one in re.findall(r"(\d\.\d{3}) ± ", rest)))
        for auc, rest in re.findall(r"^ +(0\.\d\d) (.*±.*)$", told, flags=re.M)
    ]
    text = resources.files("mami_core.evaluation").joinpath("coverage.toml").read_text()
    table = tomllib.loads(text)
    assert rows == [(auc, *row) for auc, row in zip(table["auc"], table["coverage"], strict=True)]
    heading = next(line for line in told.splitlines() if line.strip().startswith("AUC  "))
    assert [int(one) for one in re.findall(r"(\d+) patients", heading)] == table["patients"]


def test_what_was_simulated_is_told_as_it_was() -> None:
    assert coverage(0.8, 50) == 0.948
    assert coverage(0.2, 50) == 0.948
    assert coverage(0.5, 200) == coverage(0.7, 5000) == 0.942


def test_near_one_with_few_patients_an_interval_is_unreliable() -> None:
    assert not coverage_of_auc(Estimate(0.99, 0.9, 1.0, 50)).reliable
    assert coverage_of_auc(Estimate(0.99, 0.9, 1.0, 200)).reliable
    assert coverage_of_auc(Estimate(0.96, 0.9, 1.0, 50)).reliable


@pytest.mark.parametrize(
    ("auc", "patients"),
    [(0.8, 19), (0.8, 0), (0.995, 500), (1.0, 500), (0.0, 500), (float("nan"), 50)],
)
def test_what_was_not_simulated_is_not_relied_on(auc: float, patients: int) -> None:
    found = coverage_of_auc(Estimate(auc, 0.0, 1.0, patients))
    assert found.as_dict() == {"coverage": None, "reliable": False}


@given(auc=st.floats(0.01, 0.99), patients=st.integers(20, 10_000))
def test_between_simulations_it_is_between_their_figures(auc: float, patients: int) -> None:
    found = coverage_of_auc(Estimate(auc, 0.0, 1.0, patients))
    assert found.value is not None
    assert 0.897 <= found.value <= 0.975
    assert found.reliable == (found.value >= LEAST)
