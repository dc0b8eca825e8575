"""Figures and text as they are shown, and the counts, sentences and order made of rows."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid import reasons
from deid.report import words
from deid.report.tally import badness, first_sentence, last_line, tally


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.2134, "0.21"),
        (0.0012345, "0.0012"),
        (0.05, "0.050"),
        (0.00001, "<0.0001"),
        (0.9981, ">0.99"),
        (1.0, "1.00"),
        (0.0, "0.00"),
        (np.float32(0.5), "0.50"),
        ("0.25", "0.25"),
        ("unknown", "unknown"),
        (None, "unknown"),
        (float("nan"), "unknown"),
        ("", "unknown"),
    ],
)
def test_a_risk_has_two_digits_and_unknown_stays_the_word(value: Any, shown: str) -> None:
    assert words.risk(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1, "1"), (0.99996, ">0.999"), (0.9123, "0.912"), (-0.2, "-0.200"), (None, "unknown")],
)
def test_a_utility_is_1_only_where_nothing_changed(value: Any, shown: str) -> None:
    assert words.utility(value) == shown


@given(st.one_of(st.none(), st.text(), st.floats(), st.booleans(), st.integers(0, 1)))
def test_no_value_that_is_not_a_number_is_ever_shown_as_one(value: Any) -> None:
    if words.number(value) is None:
        assert words.risk(value) == words.utility(value) == "unknown"


@given(st.text(st.characters()))
def test_shown_text_holds_no_control_format_or_surrogate_character(text: str) -> None:
    shown = words.visible(text)
    categories = {unicodedata.category(character) for character in shown}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_ordinary_names_in_any_script_are_shown_as_they_are() -> None:
    for name in ("thorax/Bild 3.dcm", "Ångström–ß", "胸部", "صدر", "a\\b"):
        assert words.visible(name) == name


def test_each_reason_of_the_fixed_list_is_explained_and_no_other() -> None:
    assert set(words.REASONS) == set(reasons.REASONS)


def test_means_are_over_released_files_whose_figures_are_known(
    row: Any, unproven: Any, withheld: Any
) -> None:
    rows = [
        row(1, risk_before=0.9, risk=0.3, utility=0.9),
        row(2, risk_before=0.7, risk=0.1, utility=1.0, edit="identity+text", text="blanked"),
        row(3, risk_before=0.5, risk="unknown", utility="unknown"),
        unproven(4),
        withheld(5, "head", risk=0.99, risk_before=0.99),
        withheld(6, "head"),
        withheld(7, "link"),
    ]
    total = tally(rows)
    assert (total.files, total.done, total.withheld) == (7, 4, 3)
    assert total.reasons == {"head": [5, 6], "link": [7]}
    assert (total.with_risk, total.with_utility) == (2, 2)
    assert total.risk_before == pytest.approx(0.8)
    assert total.risk == pytest.approx(0.2)
    assert total.utility == pytest.approx(0.95)
    assert (total.measured, total.exposed) == (4, pytest.approx(0.7725))
    assert (total.identity, total.blanked, total.unsearched) == (3, 1, 0)


def test_without_a_single_figure_the_means_are_unknown(unproven: Any) -> None:
    total = tally([unproven(1)])
    assert total.risk is total.risk_before is total.utility is None


def test_the_first_sentence_says_what_was_done_and_what_was_not(
    row: Any, unproven: Any, withheld: Any
) -> None:
    rows = [row(1), unproven(2, text="not searched"), withheld(3, "head")]
    assert first_sentence(tally(rows)) == (
        "Of 3 files, 2 released with a cleaned header and 1 withheld; the pixels of 1 were changed "
        "against re-identification and text was blanked in 0; of the released, 1 kept a picture "
        "that can be matched as before, 1 were not searched for text, 1 have no known risk."
    )
    alone = first_sentence(tally([row(1)]))
    assert alone.startswith("Of 1 file, 1 released")
    assert alone.endswith("blanked in 0.")
    assert first_sentence(tally([])).startswith("Of 0 files, 0 released")


def test_the_last_line_names_every_gap(summary: Any) -> None:
    assert last_line(summary) == "Not tested: attackers that adapt to the edit; handwriting."


def test_worst_is_the_highest_risk_then_the_lowest_utility_then_unknown_then_withheld(
    row: Any, unproven: Any, withheld: Any
) -> None:
    rows = [
        withheld(1, "head"),
        unproven(2),
        row(3, risk=0.2, utility=0.9),
        row(4, risk=0.2, utility=0.8),
        row(5, risk=0.9, utility=0.99),
        row(6, risk=0.2, utility="unknown"),
    ]
    assert [one["n"] for one in sorted(rows, key=badness)] == [5, 4, 3, 6, 2, 1]
