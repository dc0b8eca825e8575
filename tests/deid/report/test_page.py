"""The page: what it says and in which order, that nothing in it acts, and how it scales."""

from __future__ import annotations

import base64
import io
import re
import stat
import time
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deid.report import page, write_html
from deid.report.inventory import attributes

Write = Callable[..., Path]

HOSTILE = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"><svg onload=document.title='owned'>",
    "' onmouseover='document.title=1",
    "{{ 7 * 7 }}{% raw %}",
    "</table></style></script><h1>owned</h1>",
    "javascript:alert(1)",
]


class Reader(HTMLParser):
    """Elements, attributes and rows of a page, as a browser would take them apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.handlers: list[str] = []
        self.sources: list[str] = []
        self.order: list[int] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.handlers.append(name)
            if name in ("src", "href"):
                self.sources.append(value or "")
            if tag == "tr" and name == "id":
                self.order.append(int((value or "row-0")[4:]))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def write(tmp_path: Path, summary: dict[str, Any]) -> Write:
    def build(rows: list[dict[str, Any]], inventory: Any = None, **changed: Any) -> Path:
        thumbs = tmp_path / "thumbs"
        thumbs.mkdir(exist_ok=True)
        path = tmp_path / "report.html"
        write_html(path, rows, {**summary, **changed}, inventory or {}, thumbs)
        return path

    return build


@pytest.fixture
def mixed(row: Any, unproven: Any, withheld: Any) -> list[dict[str, Any]]:
    return [
        withheld(1, "text_remains"),
        row(2, risk=0.1, utility=0.99),
        row(3, risk=0.6, utility=0.91),
        unproven(4),
        row(5, risk=0.0123, utility=0.85, modality="fundus"),
    ]


def test_the_page_begins_with_what_was_done_and_ends_with_what_was_not_tested(
    write: Write, mixed: Any
) -> None:
    text = write(mixed).read_text()
    first = re.search(r'<p class="lead">(.*?)</p>', text)
    assert first
    assert first[1].startswith("Of 5 files, 4 released with a cleaned header and 1 withheld;")
    visible = re.sub(r"<script>.*</script>", "", text, flags=re.S)
    assert Reader(visible).text.strip().splitlines()[-1].startswith("Not tested: attackers that")


def test_rows_stand_worst_first_and_unknown_is_the_word(write: Write, mixed: Any) -> None:
    reader = Reader(write(mixed).read_text())
    assert reader.order == [3, 2, 5, 4, 1]
    assert "0.012" in reader.text
    assert "unknown" in reader.text
    assert "static words" in reader.text


def test_the_inventory_shows_every_value_and_flags_what_may_tell_people_apart(
    write: Write, row: Any
) -> None:
    inventory = {
        "(0018,0060) KVP": Counter({"120": 90, "110": 10}),
        "(0018,1000) Serial": Counter({f"serial-{k:03d}": 1 for k in range(40)}),
        "(0028,0010) Rows": Counter({str(k): 100 for k in range(20)}),
    }
    listed = attributes(inventory)
    assert [(one.path[12:], one.distinct, one.flagged) for one in listed] == [
        ("Serial", 40, True),
        ("Rows", 20, False),
        ("KVP", 2, False),
    ]
    text = Reader(write([row(1)], inventory).read_text()).text
    assert "Flagged: 1" in text
    for values in inventory.values():
        for value in values:
            assert value in text


def test_the_page_loads_nothing_and_hostile_values_stay_text(write: Write, row: Any) -> None:
    rows = [row(n, input=text, detail=text, region=text) for n, text in enumerate(HOSTILE)]
    inventory = {text: Counter({text: 1}) for text in HOSTILE}
    clean = Reader(write([row(1)], {"a": Counter({"b": 1})}).read_text())
    path = write(rows, inventory, warnings=HOSTILE, not_tested=HOSTILE, versions={HOSTILE[0]: "1"})
    reader = Reader(path.read_text())
    assert set(reader.elements) <= {*clean.elements, "img"}
    assert reader.elements["script"] == reader.elements["style"] == 1
    assert reader.elements["img"] == 0
    assert reader.elements["meta"] == clean.elements["meta"]
    assert reader.handlers == []
    assert all(source.startswith(("#", "data:")) for source in reader.sources)
    for text in HOSTILE:
        assert text in reader.text


def test_pictures_are_carried_by_the_page_and_only_for_the_worst(
    write: Write, row: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thumbs").mkdir()
    for n in (1, 2, 3):
        grey = np.full((40, 60), 100, np.uint8)
        Image.fromarray(grey).save(tmp_path / "thumbs" / f"{n}_before.png")
        grey[10:20, 10:20] += 20
        Image.fromarray(grey).save(tmp_path / "thumbs" / f"{n}_after.png")
    monkeypatch.setattr(page, "MOST_PICTURES", 2)
    rows = [row(n, risk=n / 10) for n in (1, 2, 3, 4)]
    text = write(rows).read_text()
    assert re.findall(r'alt="(#\d) before"', text) == ["#3", "#2"]
    found = re.search(r'src="data:image/jpeg;base64,([^"]*)" alt="#3 difference"', text)
    assert found
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as picture:
        difference = np.asarray(picture)
    assert difference.shape == (40, 60)
    assert difference[12:18, 12:18].mean() == pytest.approx(20 * 8, abs=6)
    assert difference[30:, 30:].max() < 6


def test_a_page_of_ten_thousand_rows_is_written_in_seconds_and_stays_small(
    write: Write, row: Any
) -> None:
    rows = [row(n, input=f"folder/{n}/IM{n:06d}.dcm") for n in range(10_000)]
    start = time.process_time()
    path = write(rows)
    assert time.process_time() - start < 8
    assert path.stat().st_size < 15e6


def test_the_page_is_readable_by_its_owner_only(write: Write, row: Any) -> None:
    assert stat.S_IMODE(write([row(1)]).stat().st_mode) == 0o600


def test_a_run_without_files_has_a_page(write: Write) -> None:
    assert "Of 0 files" in write([]).read_text()


def test_the_control_of_the_browser_test_sees_an_error(browse: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<title>t</title><script>nowhere.to.be.found()</script>")
    assert "nowhere" in browse(bad.as_uri())[1]


def test_in_a_browser_a_heading_sorts_with_unknown_last_and_nothing_complains(
    write: Write, mixed: Any, browse: Any
) -> None:
    address = write(mixed).as_uri()
    up, console = browse(f"{address}#sort=utility")
    assert Reader(up).order == [5, 3, 2, 4, 1]
    assert re.search(r'data-column="utility"[^>]*aria-sort="ascending"', up)
    assert 'href="#sort=-utility"' in up
    assert console == ""
    down, console = browse(f"{address}#sort=-modality")
    assert Reader(down).order == [3, 2, 1, 5, 4]
    assert console == ""


def test_in_a_browser_hostile_values_do_nothing(write: Write, row: Any, browse: Any) -> None:
    rows = [row(n, input=text, detail=text) for n, text in enumerate(HOSTILE)]
    path = write(rows, {text: Counter({text: 1}) for text in HOSTILE}, warnings=HOSTILE)
    after, console = browse(f"{path.as_uri()}#sort=input")
    assert "<title>Report of a release (private)</title>" in after
    assert Reader(after).elements["h1"] == Reader(after).elements["script"] == 1
    assert console == ""


def test_in_a_browser_a_script_that_got_in_would_be_stopped_by_the_policy(
    write: Write, row: Any, browse: Any
) -> None:
    path = write([row(1)])
    broken = path.read_text().replace("<header>", "<header>" + HOSTILE[0] + HOSTILE[1])
    path.write_text(broken)
    after, console = browse(path.as_uri())
    assert "<title>Report of a release (private)</title>" in after
    assert "Content Security Policy" in console
