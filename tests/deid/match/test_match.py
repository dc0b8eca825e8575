from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deid.match import MatchError, Options, match
from deid.match.found import COPY, MATCH, NEAR_COPY, NEAREST, Found
from deid.match.images import open_images
from deid.match.run import Matching
from deid.phantoms import make

People = Callable[..., Path]


def run(*folders: Path, known: Path | None = None, **options: object) -> Matching:
    asked = Options(**({"attacker": "pixels"} | options))  # type: ignore[arg-type]
    teachers = None if known is None else open_images(str(known))
    return match([open_images(str(folder)) for folder in folders], asked, teachers)


Names = set[frozenset[str]]


def names(found: Iterable[Found]) -> Names:
    return {frozenset((one.left.name, one.right.name)) for one in found}


def pairs(found: Matching, how: str) -> Names:
    return names(one for one in found.found if one.found_as == how)


def likely(found: Matching) -> Names:
    return names(one for one in found.found if (one.probability or 0.0) > 0.5)


def visits(*people: int) -> Names:
    return {frozenset((f"val{n}_0.png", f"val{n}_1.png")) for n in people}


def plain(people: Path, folder: Path, *files: str) -> Path:
    """Some images of a set, as they lie in an archive where nothing says whose they are."""
    folder.mkdir()
    for name in files:
        shutil.copy(people / name, folder / name)
    return folder


def test_two_visits_of_one_person_match_and_nobody_else_does(people: People) -> None:
    found = run(people(val=60), false_match_rate=0.01)
    group = found.record["modalities"]["xray"]
    assert visits(*range(60)) <= pairs(found, MATCH)
    assert group["named"]["one name"] == 60
    # The 1 % of impostors that may match are found too, and none of them is called likely.
    assert likely(found) == visits(*range(60))
    assert group["expected_pairs"] == pytest.approx(60, rel=0.1)
    assert group["false_matches"]["low"] <= group["named"]["two names"]
    assert group["named"]["two names"] <= group["false_matches"]["high"]


def test_a_person_who_is_in_two_sets_under_two_names_is_found(
    people: People, tmp_path: Path
) -> None:
    """Nothing in the second folder says whose an image is: what is known comes from the first."""
    known = people(val=60)
    other = plain(known, tmp_path / "archive", "val3_1.png", "val7_1.png")
    training = tmp_path / "training"
    shutil.copytree(known, training)
    table = (training / "manifest.csv").read_text().splitlines(keepends=True)
    moved = tuple(path.name for path in other.iterdir())
    (training / "manifest.csv").write_text("".join(r for r in table if not r.startswith(moved)))
    images = [open_images(str(training)), open_images(str(other), modality="xray")]
    found = match(images, Options(attacker="pixels", false_match_rate=0.01))
    assert likely(found) == visits(3, 7)
    assert found.record["modalities"]["xray"]["named"]["without a name"] >= 2


def test_copies_are_stated_apart_and_prove_nothing(people: People) -> None:
    folder = people(val=40)
    with (folder / "manifest.csv").open("a", newline="") as file:
        writer = csv.writer(file)
        shutil.copy(folder / "val0_0.png", folder / "same.png")
        picture = Image.open(folder / "val1_0.png")
        picture.resize((80, 72), Image.Resampling.BICUBIC).save(folder / "larger.png")
        for name in ("same", "larger"):
            writer.writerow([f"{name}.png", name, "demo", "DX", 0, "val"])
    found = run(folder, false_match_rate=0.05)
    assert pairs(found, COPY) == {frozenset(("val0_0.png", "same.png"))}
    assert pairs(found, NEAR_COPY) == {frozenset(("val1_0.png", "larger.png"))}
    assert found.record["copies"][COPY]["two names"] == 1
    assert not (pairs(found, COPY) | pairs(found, NEAR_COPY)) & pairs(found, MATCH)


def test_without_known_people_there_is_no_probability(people: People, tmp_path: Path) -> None:
    files = [f"val{n}_{visit}.png" for n in range(5) for visit in range(2)]
    folder = plain(people(val=5), tmp_path / "archive", *files)
    images = [open_images(str(folder), modality="xray")]
    found = match(images, Options(attacker="pixels", nearest=1))
    group = found.record["modalities"]["xray"]
    assert "nothing says whose an image is" in group["undecidable"]
    assert "false_matches" not in group
    assert pairs(found, NEAREST) == visits(*range(5))
    assert {one.probability for one in found.found} == {None}


def test_a_calibration_on_other_people_serves_a_folder_without_names(
    people: People, tmp_path: Path
) -> None:
    files = [f"val{n}_{visit}.png" for n in range(5) for visit in range(2)]
    folder = plain(people(val=5), tmp_path / "archive", *files)
    images = [open_images(str(folder), modality="xray")]
    teachers = open_images(str(people(val=60, train=20)))
    found = match(images, Options(attacker="pixels", false_match_rate=0.01), teachers)
    assert found.record["calibrated_on"] == "other images"
    assert found.record["modalities"]["xray"]["known"]["people"] == 80
    assert likely(found) == visits(*range(5))


def test_nobody_of_the_split_test_calibrates(people: People) -> None:
    found = run(people(val=10, test=60))
    assert found.record["modalities"]["xray"]["undecidable"].startswith("10 known patients")


def test_a_rate_that_the_known_people_do_not_support_is_refused(people: People) -> None:
    found = run(people(val=40), false_match_rate=1e-5)
    why = found.record["modalities"]["xray"]["undecidable"]
    assert "takes 1,000,000 pairs of different people" in why
    least = float(why.rsplit("it can state ", 1)[1].split()[0])
    assert "matches" in run(people(val=40), false_match_rate=least).record["modalities"]["xray"]


def test_modalities_are_compared_with_one_another_only_where_asked(people: People) -> None:
    folder = people(val=4)
    table, row = folder / "manifest.csv", "val0_0.png,val0,demo,"
    table.write_text(table.read_text().replace(f"{row}DX", f"{row}OP"))
    assert set(run(folder).record["modalities"]) == {"xray"}
    across = run(folder, across=True).record["modalities"]
    assert set(across) == {"xray", "fundus/xray"}
    assert across["fundus/xray"]["pairs"] == 7
    assert "two modalities" in across["fundus/xray"]["undecidable"]


def test_phantoms_against_themselves_are_all_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "phantoms"
    make(folder, patients=2, visits=1, seed=1)
    found = run(folder, folder)
    sets = found.record["sets"]
    assert sets[0] == sets[1]
    assert sets[0]["people"] == 2
    itself = {one for one in pairs(found, COPY) if len(one) == 1}
    assert len(itself) == sets[0]["images"]
    assert found.record["copies"][COPY]["two names"] == 0


def test_an_image_that_can_not_be_read_is_left_out_and_the_rest_goes_on(
    people: People, tmp_path: Path
) -> None:
    folder = plain(people(val=2), tmp_path / "archive", "val0_0.png", "val0_1.png", "val1_0.png")
    whole = (folder / "val1_0.png").read_bytes()
    (folder / "val1_0.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("nothing")
    found = run(folder)
    assert {name for name, _ in found.left_out[0]} == {"val1_0.png", "notes.txt"}
    assert found.record["sets"][0]["images"] == 2
    assert found.record["modalities"]["unknown"]["pairs"] == 1


def test_one_image_has_nothing_to_be_compared_with(people: People, tmp_path: Path) -> None:
    folder = plain(people(val=1), tmp_path / "archive", "val0_0.png")
    with pytest.raises(MatchError, match="no pair of images"):
        run(folder)


def test_faiss_gives_the_same_matches(people: People) -> None:
    pytest.importorskip("faiss", reason="the extra 'faiss' is not installed")
    folder = people(val=40, noise=40.0)
    one, other = (run(folder, false_match_rate=0.05, engine=name) for name in ("torch", "faiss"))
    assert one.found == other.found
    assert len(one.found) > 20


def test_what_is_seen_of_a_scan_is_the_mean_over_its_slices(tmp_path: Path) -> None:
    folder = tmp_path / "phantoms"
    make(folder, patients=1, visits=1, seed=3)
    images = open_images(str(folder))
    scans = [entry for entry in images.entries if entry.record.modality == "ct"]
    assert {len(entry.pictures()) for entry in scans} == {8}
    assert all(np.all((one >= 0) & (one <= 1)) for entry in scans for one in entry.pictures())


def test_pictures_that_are_all_alike_are_not_decidable(people: People) -> None:
    folder = people(val=32)
    for path in folder.glob("*.png"):
        Image.new("L", (40, 36), 77).save(path)
    group = run(folder, nearest=1).record["modalities"]["xray"]
    assert group["undecidable"] == "all pairs look equally alike"
    assert "matches" not in group
