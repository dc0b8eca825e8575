from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from deid.evaluation_report.axis import Axis
from deid.evaluation_report.plot import BOTTOM, LEFT, RIGHT, TOP, Plot


@pytest.mark.parametrize(
    ("axis", "texts"),
    [
        (Axis("", 0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (Axis("", -0.23, 0.78), ["0.0", "0.5"]),
        (Axis("", -6.4, 2.2), ["−6", "−4", "−2", "0", "2"]),
        (Axis("", 1.0, 4200.0), ["1,000", "2,000", "3,000", "4,000"]),
        (Axis("", 1.0, 30.0, log=True), ["1", "2", "5", "10", "20"]),
        (Axis("", 0.00007, 1.0, log=True), ["0.0001", "0.001", "0.01", "0.1", "1"]),
        (
            Axis("", 1e-6, 1.0, log=True),
            ["0.000001", "0.00001", "0.0001", "0.001", "0.01", "0.1", "1"],
        ),
    ],
)
def test_ticks_are_round_and_within_the_axis(axis: Axis, texts: list[str]) -> None:
    assert [text for _, text in axis.ticks()] == texts


def test_an_axis_around_equal_values_has_a_width() -> None:
    axis = Axis.around("", np.array([2.0, 2.0]))
    assert axis.low < 2 < axis.high
    assert axis.place(np.array([2.0])) == pytest.approx(0.5)


def test_places_are_in_the_frame_and_up_is_up() -> None:
    plot = Plot("t", Axis("x", 0, 10), Axis("y", 0, 1)).line([0, 10], [0, 1], "hue-0")
    assert f'd="M{LEFT}.0 {BOTTOM}.0L{RIGHT}.0 {TOP}.0"' in plot.markup()


def test_an_area_is_closed_and_a_dot_is_a_line_without_length() -> None:
    plot = Plot("t", Axis("x", 0, 1), Axis("y", 0, 1))
    text = plot.area([0, 1], 0.0, [1.0, 0.5], "hue-0").dots([0.5], [0.5], "hue-1").markup()
    area, dots = re.findall(r'class="(?:area|dots) hue-." d="([^"]*)"', text)
    assert area.count("L") == 3
    assert area.endswith("Z")
    assert re.fullmatch(r"M[\d.]+ [\d.]+h0", dots)


def test_text_is_escaped_and_nothing_carries_a_style() -> None:
    hostile = "<script>&\"'"
    text = Plot(hostile, Axis(hostile, 0, 1), Axis("y", 0, 1)).line([0], [0], hostile).markup()
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == hostile
    assert {element.tag for element in root.iter()} == {"svg", "path", "text"}
    assert not any("style" in element.attrib for element in root.iter())
