from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from deid.audit import Options, audit
from deid.audit.doubles import doubles
from mami_core.data import open_dataset

People = Callable[..., Path]


def test_the_later_of_two_equal_pictures_is_a_copy_and_a_blank_is_none() -> None:
    rows = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32)
    rows[3] = 2 * rows[1]
    rows[4] = rows[5] = 0
    assert doubles(rows).tolist() == [False, False, False, True, False, False]


def test_copies_across_the_edge_of_what_is_compared_at_a_time_are_found() -> None:
    rows = np.random.default_rng(0).normal(size=(2100, 30)).astype(np.float32)
    rows[2050] = rows[3]
    rows[1030] = rows[1029]
    assert np.flatnonzero(doubles(rows)).tolist() == [1030, 2050]


def test_a_copy_in_another_size_is_left_out_before_anything_is_counted(people: People) -> None:
    """One image each, and its own copy as a second visit: nobody can be found by another visit."""
    folder = people(val=8, visits=1)
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in list(rows):
        new = f"again_{row['file']}"
        if row["patient"] == "val0":
            shutil.copy(folder / row["file"], folder / new)
        else:
            Image.open(folder / row["file"]).resize((80, 72), Image.Resampling.BICUBIC).save(
                folder / new
            )
        rows.append(row | {"file": new, "visit": "1"})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    demo = audit(open_dataset(folder), Options(attackers=("pixels",)))["sources"]["demo"]
    assert demo["excluded"]["copies of another image"] == 8
    assert (demo["images"], demo["patients"]) == (16, 0)
