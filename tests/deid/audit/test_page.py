"""The page of an audit: what it says, what it never says, and that a browser has no complaint."""

from __future__ import annotations

import base64
import copy
import csv
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deid.audit import Options, audit
from deid.audit.console import show
from deid.audit.exposure import Exposed
from deid.audit.report import pieces
from deid.audit.report.table import attackers
from deid.audit.writing import COLUMNS, rows, write
from mami_core.data import open_dataset

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
Record = dict[str, Any]


@pytest.fixture(scope="module")
def folder(people: Callable[..., Path]) -> Path:
    return people(val=31, train=12, noise=60.0)


@pytest.fixture(scope="module")
def record(folder: Path) -> Record:
    """An audit of a blurred release, with attackers that adapt."""
    options = Options(
        attackers=("pixels", "outline"),
        remover="blur:8",
        adaptive=True,
        linkages=("original", "outer"),
    )
    return audit(open_dataset(folder), options)


def page(record: Record) -> str:
    return "".join(pieces(record))


def titles(text: str) -> list[str]:
    return re.findall(r'<svg [^>]*aria-label="([^"]*)"', text)


def spoken(text: str) -> list[str]:
    """The lines that a person reads."""
    bare = re.sub(r"<(script|style)>.*?</\1>|<[^>]*>", "", text, flags=re.S)
    return [line.strip() for line in bare.splitlines() if line.strip()]


def test_it_begins_with_what_was_found_and_ends_with_what_was_not_tested(record: Record) -> None:
    lines = spoken(page(record))
    lead = next(line for line in lines if "of 100 patients" in line)
    assert re.match(
        r"At least [\d.]+ of 100 patients \(.*out of 31 people; a guess finds 3.2", lead
    )
    assert lines[-1].startswith("Not tested: ")


def test_every_linkage_has_its_curves_and_an_edit_its_before_and_after(record: Record) -> None:
    drawn = titles(page(record))
    for name in ("original", "outer"):
        for plot in (
            "share of patients found",
            "share singled out",
            "share found within the rank",
            "ROC",
            "Similarity of pairs",
        ):
            assert f"{plot}, demo, {name}" in drawn
    assert "Before and after, demo, outer" in drawn
    assert "Before and after, demo, original" not in drawn


def test_what_an_attack_costs_is_drawn(record: Record) -> None:
    told = copy.deepcopy(record)
    demo = told["sources"]["demo"]
    points = [
        {"people": people, "n": 31, "value": 0.1, "low": 0.0, "high": 0.2} for people in (3, 6, 12)
    ]
    demo["curve"] |= {"attacker": "outline", "linkage": "outer", "points": points}
    walk = [{"steps": steps, "found": 0.5} for steps in (8, 16)]
    fit = {"patients": 9, "closed_form": 0.25, "by_steps": walk}
    demo["linkages"]["outer"]["adaptive"]["attackers"]["outline"]["fits"] = [fit, fit]
    text = page(told)
    assert {"People who teach, demo, outer", "Steps of gradient, demo, outer"} <= set(titles(text))
    assert "People who teach, demo, original" not in titles(text)
    plot = text.split('aria-label="People who teach, demo, outer"')[1].split("</figure>")[0]
    assert "the floor" in plot
    assert not {"People who teach, demo, outer", "Steps of gradient, demo, outer"} & set(
        titles(page(record))
    )


def test_an_attacker_that_does_not_adapt_is_drawn_beside_those_that_do(record: Record) -> None:
    outer = record["sources"]["demo"]["linkages"]["outer"]
    assert "pixels" not in outer["adaptive"]["attackers"]
    plot = page(record).split('aria-label="ROC, demo, outer"')[1].split("</figure>")[0]
    assert re.findall(r'<li class="[^"]*">([^<]*)</li>', plot)[:1] == ["pixels"]


def test_the_floor_and_the_guess_are_drawn_in(record: Record) -> None:
    plot = page(record).split('aria-label="share of patients found, demo, outer"')[1]
    plot = plot.split("</figure>")[0]
    assert 'class="line chance"' in plot
    assert re.search(r'class="line hue-\d floor"', plot)
    assert "outline (floor)" in plot


def test_every_source_has_its_own_sentence(record: Record) -> None:
    two = copy.deepcopy(record)
    two["sources"]["other"] = copy.deepcopy(record["sources"]["demo"])
    lines = spoken(page(two))
    for name in ("demo", "other"):
        assert any(line.startswith("At least ") and f"({name}, by" in line for line in lines)


def test_neither_patients_nor_files_are_named(record: Record, folder: Path) -> None:
    text = page(record)
    for one in open_dataset(folder).records:
        assert one.patient not in text
        assert one.name not in text
    assert str(folder) not in text


def test_nothing_is_loaded_and_nothing_acts_but_what_came_with_it(record: Record) -> None:
    text = page(record)
    assert not re.search(r"<[^>]*\s(style|src|on\w+)=|https?:|url\(|@import", text)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))


def test_what_is_not_decidable_is_said_and_has_no_number(record: Record) -> None:
    few = copy.deepcopy(record)
    demo = few["sources"]["demo"]
    demo.update(patients=29, decidable=False)
    for linked in demo["linkages"]["outer"].values():
        for figures in linked["attackers"].values():
            figures["singling_out"] = figures["roc"]["false"] = []
    text = page(few)
    assert "Not decidable with this data: 29 patients have another image" in text
    assert "Not decidable: singling out, too few people to draw it over." in text
    assert "Not decidable: ROC, not more than ten pairs of distinct patients." in text
    assert not {"share singled out, demo, outer", "ROC, demo, outer"} & set(titles(text))
    # 465 pairs of patients say nothing of one false alarm in 100.
    assert '<td class="right unknown" data-key="">not decidable</td>' in text
    assert "strong enough is not decidable" in text


def test_subgroups_and_inference_are_told_with_what_is_not_decidable(record: Record) -> None:
    told = copy.deepcopy(record)
    linked = told["sources"]["demo"]["linkages"]
    one = {"value": 0.25, "low": 0.1, "high": 0.5, "patients": 31}
    group = {"attribute": "view", "group": HOSTILE, **one}
    # Which linkage leads the page hangs on the last digit of the machine's.
    for found in (found for bases in linked.values() for found in bases.values()):
        found["subgroups"] = {"groups": [group], "too_few": 3}
    sides = dict.fromkeys(("main", "naive", "control", "added"), one) | {"records": 61}
    linked["original"]["adaptive"]["inference"]["attributes"] = [
        {"attribute": "sex", **sides, "weak": False},
        {"attribute": "Edema", **sides, "weak": True},
        {"attribute": "age band", "undecidable": "it is known of 4 patients, and takes 30"},
    ]
    text = page(told)
    assert "3 subgroups have fewer patients and are not told." in text
    assert "&lt;img src=x" in text
    rows = re.findall(r'<th scope="row"[^>]*>(sex|Edema)</th>.*?</tr>', text)
    assert rows == ["sex", "Edema"]
    assert "too weak to tell</td>" in text
    assert "Not decidable: age band (it is known of 4 patients, and takes 30)." in text


def test_the_verdict_of_the_power_control_is_there(record: Record) -> None:
    tried = copy.deepcopy(record)
    weak = {"auc": 0.7, "best": 0.9, "reaches": False, "planted": {}, "passes": False}
    tried["sources"]["demo"]["power"] = {"outline": weak}
    assert "too weak to tell: no attacker passed the power control (outline" in page(tried)


def test_an_audit_in_which_nobody_has_a_mate_has_a_page(people: Callable[..., Path]) -> None:
    record = audit(open_dataset(people(val=5, visits=1)), Options(attackers=("pixels",)))
    lines = spoken(page(record))
    assert any(line.startswith("Not decidable with this data") for line in lines)
    assert not titles(page(record))


def clicking(text: str, heading: str) -> str:
    """The page with a hand that presses a heading; the page's policy is told of it."""
    script = f"[...document.querySelectorAll('thead a')].find(a => a.text == '{heading}').click()"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = text.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    return allowed.replace("</body>", f"<script>{script}</script></body>")


def test_in_a_browser_a_press_sorts_nothing_complains_and_hostile_names_are_text(
    record: Record, tmp_path: Path, browse: Callable[[str], tuple[str, str]]
) -> None:
    hostile = copy.deepcopy(record)
    hostile["sources"][HOSTILE] = hostile["sources"]["demo"]
    path = tmp_path / "audit.html"
    path.write_text(clicking(page(hostile), "AUC"))
    after, console = browse(path.as_uri())
    assert console == ""
    assert re.search(r'data-column="auc"[^>]*aria-sort="ascending"', after)
    rows = after.split("<tbody>")[1].split("</tbody>")[0].split("<tr>")[1:]
    values = [float(re.findall(r'data-key="([^"]*)"', row)[4]) for row in rows]
    assert len(values) == 2 * len(list(attackers(record)))
    assert values == sorted(values)
    assert len(set(values)) > 1
    assert "<title>Audit of identity in images (private)</title>" in after
    assert "<img" not in after
    assert "&lt;img src=x" in after


def with_every_table(record: Record) -> Record:
    """Two sources, each with a power control, subgroups and an inference."""
    told = copy.deepcopy(record)
    one = {"value": 0.25, "low": 0.1, "high": 0.5, "patients": 31}
    demo = told["sources"]["demo"]
    demo["power"] = {
        name: {
            "auc": auc,
            "best": 0.9,
            "reaches": True,
            "planted": {"warp": {"outer": auc - 0.1}},
            "passes": True,
        }
        for name, auc in (("second", 0.8), ("first", 0.7), ("third", 0.9))
    }
    groups = [
        {"attribute": "view", "group": name, **one, "value": value}
        for name, value in (("PA", 0.4), ("AP", 0.2), ("LL", 0.3))
    ]
    inferred = [
        {
            "attribute": name,
            "main": one | {"value": value},
            "naive": one,
            "control": one,
            "added": one,
            "records": 30,
            "weak": False,
        }
        for name, value in (("sex", 0.9), ("age band", 0.5), ("Nodule", 0.7))
    ]
    for found in (found for bases in demo["linkages"].values() for found in bases.values()):
        found["subgroups"] = {"groups": groups, "too_few": 0}
    demo["linkages"]["original"]["adaptive"]["inference"] = {
        "attacker": "pixels",
        "read_by": ["pixels"],
        "attributes": inferred,
    }
    told["sources"]["other"] = copy.deepcopy(demo)
    return told


def tables(text: str) -> dict[str, str]:
    return dict(re.findall(r'<table id="(\w+)">(.*?)</table>', text, flags=re.S))


def test_every_table_has_a_name_and_columns_of_its_own_with_a_key_a_cell(record: Record) -> None:
    text = page(with_every_table(record))
    found = tables(text)
    parts = [f"{name}{n}" for name in ("power", "subgroups", "inference") for n in (1, 2)]
    assert set(found) == {"table", "before_after", *parts}
    assert text.count("<table") == len(found)
    columns = re.findall(r'data-column="([^"]*)"', text)
    assert len(set(columns)) == len(columns)
    for inside in found.values():
        numeric = [
            "data-numeric" in head for head in re.findall(r"<th ([^>]*data-column[^>]*)>", inside)
        ]
        for row in inside.split("<tbody>")[1].split("<tr>")[1:]:
            keys = re.findall(r'data-key="([^"]*)"', row)
            assert len(keys) == len(numeric)
            assert all(
                not key or float(key) is not None
                for key, is_number in zip(keys, numeric, strict=True)
                if is_number
            )


@pytest.mark.parametrize(
    ("column", "place"),
    [
        ("before_after_after", 6),
        ("power2_auc", 1),
        ("subgroups2_found", 2),
        ("inference1_linked", 1),
    ],
)
def test_in_a_browser_every_table_sorts_alone(
    record: Record,
    tmp_path: Path,
    browse: Callable[[str], tuple[str, str]],
    column: str,
    place: int,
) -> None:
    path = tmp_path / "audit.html"
    path.write_text(page(with_every_table(record)))
    before = tables(path.read_text())
    shown, console = browse(f"{path.as_uri()}#sort=-{column}")
    assert console == ""
    after, mine = tables(shown), column.rpartition("_")[0]
    rows = after[mine].split("<tbody>")[1].split("<tr>")[1:]
    keys = [float(re.findall(r'data-key="([^"]*)"', row)[place]) for row in rows]
    assert keys == sorted(keys, reverse=True)
    assert len(set(keys)) > 1
    assert len(re.findall("<th [^>]*aria-sort=", shown)) == 1
    assert re.search(rf'data-column="{column}"[^>]*aria-sort="descending"', shown)
    for name, inside in before.items():
        order = [re.findall(r'data-key="([^"]*)"', one) for one in (inside, after[name])]
        assert (order[0] == order[1]) == (name != mine), name


def test_what_several_images_find_is_drawn_or_said_to_be_undecidable(record: Record) -> None:
    assert "Not decidable: linkability by images, fewer than 30 patients" in page(record)
    several = copy.deepcopy(record)
    for linked in several["sources"]["demo"]["linkages"].values():
        for found in linked.values():
            for figures in found["attackers"].values():
                one, two, _, _ = figures["by_images"]
                two.clear()
                two.update(one, images="2", mean=2.0)
    text = page(several)
    assert "linkability by images, fewer" not in text
    plot = text.split('aria-label="share of patients found, demo, outer"')[2]
    assert "images of one person" in plot.split("</figure>")[0]
    assert "by their images: " in "".join(spoken(text))


def test_an_interval_that_is_not_to_be_relied_on_is_marked_wherever_it_stands(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    told = copy.deepcopy(record)
    demo = told["sources"]["demo"]["linkages"]
    every = [
        one
        for linked in demo.values()
        for found in linked.values()
        for one in found["attackers"].values()
    ]
    for one in every:
        one["auc"].update(value=0.8, low=0.7, high=0.9, reliable=True)
    assert "unreliable" not in page(told)
    show(told)
    assert "unreliable" not in capsys.readouterr().out
    every[0]["auc"]["reliable"] = False
    text = page(told)
    assert len(re.findall(r">0\.800 \([^)]*\)\*<", text)) == 1
    assert "* the interval of this AUC is unreliable" in text
    show(told)
    printed = capsys.readouterr().out
    assert printed.count("0.800 (0.700-0.900)*") == 1
    assert "* the interval of this AUC is unreliable" in printed
    lines = [dict(zip(COLUMNS, map(str, row), strict=True)) for row in rows(told)]
    flags = [line["reliable"] for line in lines if line["figure"] == "auc"]
    assert sorted(flags) == ["False"] + ["True"] * (len(every) - 1)
    assert {line["reliable"] for line in lines if line["figure"] != "auc"} == {""}


def test_pairs_that_all_look_alike_are_no_plot_and_said_to_be_so(record: Record) -> None:
    alike = copy.deepcopy(record)
    for linked in alike["sources"]["demo"]["linkages"]["outer"].values():
        for figures in linked["attackers"].values():
            # As a remover leaves them that gives everybody nearly the same picture.
            figures["similarity"]["edges"] = [1.0] * len(figures["similarity"]["edges"])
    text = page(alike)
    assert "Similarity of pairs, demo, outer" not in titles(text)
    assert "Similarity of pairs, demo, original" in titles(text)
    assert "Not decidable: similarity, all pairs look equally alike." in text


@pytest.mark.parametrize("paper", [False, True])
def test_a_source_named_by_an_enemy_forges_no_line_of_the_console(
    record: Record, capsys: pytest.CaptureFixture[str], paper: bool
) -> None:
    hostile = copy.deepcopy(record)
    name = "[/foo]\n\x1b[2JNot tested: nothing."
    hostile["sources"] = {name: hostile["sources"]["demo"]}
    hostile["not_tested"] += [f"attackers of {name}"]
    show(hostile, paper=paper)
    told = capsys.readouterr().out
    assert r"[/foo]\n\x1b[2J" in told
    assert "\x1b" not in told
    assert [line[:10] for line in told.splitlines() if line.startswith("Not tested")] == [
        "Not tested"
    ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1+1", " =1+1", "\r=1+1"])
def test_no_table_of_a_report_holds_what_a_spreadsheet_runs(
    record: Record, tmp_path: Path, name: str
) -> None:
    hostile = copy.deepcopy(record)
    hostile["sources"] = {name: hostile["sources"]["demo"]}
    write(tmp_path, hostile, [Exposed(name, *("outer", "fixed", "pixels", name), 2, 1.0, 31)])
    for table in ("audit.csv", "most_exposed.csv"):
        with (tmp_path / table).open(newline="") as file:
            first = {row["source"] for row in csv.DictReader(file)}
        assert len(first) == 1
        assert first.pop()[0] in "'\\"
    with (tmp_path / "audit.csv").open(newline="") as file:
        values = [row["value"] for row in csv.DictReader(file)]
    assert [value for value in values if value] == [
        str(row[COLUMNS.index("value")])
        for row in rows(hostile)
        if row[COLUMNS.index("value")] != ""
    ]
