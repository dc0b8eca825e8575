from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from deid.audit import AuditError, Options, audit, gradient
from deid.audit.attackers.pixels import centred_grey
from deid.audit.attackers.registry import ATTACKERS, Attacker, Entry
from deid.audit.heads import Residual
from deid.audit.linkages import LINKAGES
from deid.audit.matching import Training
from deid.audit.words import first_sentence, last_line
from mami_core.data import open_dataset
from mami_core.evaluation import by_source, pixel_floor
from mami_core.weights import WeightsError

People = Callable[..., Path]
LIGHT = ("pixels", "outline")


def run(folder: Path, **options: object) -> dict:
    return audit(open_dataset(folder), Options(**({"attackers": LIGHT} | options)))  # type: ignore[arg-type]


def attackers(record: dict, linkage: str = "original", basis: str = "fixed") -> dict:
    return record["sources"]["demo"]["linkages"][linkage][basis]["attackers"]


def test_people_whom_anybody_would_find_are_found_and_the_first_sentence_says_so(
    people: People,
) -> None:
    record = run(people(val=32, train=12))
    for found in attackers(record).values():
        assert found["rank1"]["value"] == 1.0
        assert found["rank1"]["gallery"] == 32
        assert found["patients"] == 32
    assert first_sentence(record).startswith("At least 100 of 100 patients (8")
    assert "out of 32 people; a guess finds 3.1." in first_sentence(record)
    assert last_line(record).startswith("Not tested: any protection")


def test_noise_is_found_at_chance(people: People) -> None:
    record = run(people(val=40, train=12, noise=1e6))
    for found in attackers(record).values():
        # Two attackers at 95 %: 3.5 of the interval's 2 spreads would be a family of 20.
        assert abs(found["auc"]["value"] - 0.5) < 0.15
        assert found["rank1"]["low"] <= 1 / 40
        alone = next(point for point in found["singling_out"] if point["n"] == 10)
        assert alone["value"] < 0.6
        told = found["d_sys"]
        assert told["null_low"] - 0.02 <= told["value"] <= told["null_high"] + 0.02
        assert abs(found["c_llr"]["value"] - 1.0) < 0.15


def test_pixels_are_scored_as_the_floor_of_evaluate(people: People) -> None:
    folder = people(val=12, noise=150.0)
    part = open_dataset(folder)
    floor = by_source(part.records, lambda members: pixel_floor(part)[members])["demo"]
    found = attackers(run(folder, attackers=("pixels",)))["pixels"]
    assert found["auc"]["value"] == pytest.approx(floor.auc.value, abs=1e-9)
    assert found["rank1"]["value"] == pytest.approx(floor.rank1.value, abs=1e-9)


def test_without_train_an_attacker_learns_from_the_other_parts_and_never_from_whom_it_is_tested_on(
    people: People,
) -> None:
    record = run(people(val=40))
    found = attackers(record)["outline"]
    assert record["sources"]["demo"]["learns_from"].startswith("the tested patients, in 5 parts")
    assert found["patients"] == 40
    assert found["rank1"]["gallery"] < 15
    assert found["rank1"]["value"] > 0.9


def test_an_attacker_that_can_not_learn_is_absent_and_the_last_line_says_so(
    people: People,
) -> None:
    record = run(people(val=6))
    assert set(attackers(record)) == {"pixels"}
    assert set(record["sources"]["demo"]["absent"]) == {"outline"}
    assert record["sources"]["demo"]["learns_by"] == ""
    assert "outline (" in last_line(record)


def test_few_patients_carry_no_claim(people: People) -> None:
    record = run(people(val=29, train=12))
    assert first_sentence(record).startswith("Not decidable with this data: demo: 29 patients")
    assert attackers(record)["pixels"]["rank1"]["patients"] == 29


def test_more_people_than_the_data_holds_are_no_number(people: People) -> None:
    record = run(people(val=31, train=12), gallery_size=1000)
    largest = record["sources"]["demo"]["linkages"]["original"]["fixed"]["largest"]
    assert "value" not in largest
    assert first_sentence(record).startswith("Not decidable with this data")
    assert "31 people" in first_sentence(record)
    assert "value" not in attackers(record)["pixels"]["asked"]


def test_equal_seeds_give_equal_records(people: People) -> None:
    folder = people(val=12, noise=100.0)
    assert run(folder, seed=3) == run(folder, seed=3)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"attackers": ("nobody",)}, "no such attacker"), ({"split": "test"}, "no images in split")],
)
def test_what_can_not_be_audited_is_one_line(
    people: People, options: dict[str, object], words: str
) -> None:
    with pytest.raises(AuditError, match=words) as caught:
        run(people(val=4), **options)
    assert "\n" not in str(caught.value)
    assert "nobody" not in str(caught.value)


def test_nobody_with_a_mate_is_said(people: People) -> None:
    record = run(people(val=5, visits=1))
    assert record["sources"]["demo"]["patients"] == 0
    assert first_sentence(record).startswith("Not decidable")
    assert np.isfinite(record["sources"]["demo"]["images"])


def test_people_who_taught_the_bundled_networks_are_counted(people: People) -> None:
    folder = people(train=12)
    table = folder / "manifest.csv"
    table.write_text(table.read_text().replace("demo", "nih"))
    source = run(folder, split="train")["sources"]["nih"]
    assert source["taught_the_bundled"] == 12
    assert run(people(val=4))["sources"]["demo"]["taught_the_bundled"] == 0


def test_every_split_together_teaches_itself_over_parts(people: People) -> None:
    demo = run(people(val=20, train=30), split="all")["sources"]["demo"]
    assert demo["people"] == 50
    assert demo["learns_from"].startswith("the tested patients")


def test_where_no_attacker_can_learn_the_patients_are_counted_all_the_same(people: People) -> None:
    record = run(people(val=8), attackers=("outline",))
    assert record["sources"]["demo"]["patients"] == 8
    assert attackers(record) == {}
    assert first_sentence(record).startswith("Not decidable with this data")


def test_the_record_names_the_remover_as_it_was_called(people: People) -> None:
    assert run(people(val=4), remover="blur:8")["options"]["remover"] == "blur:8"


def test_a_network_of_timm_attacks_by_name_and_its_file_stays_out_of_the_record(
    people: People, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), file)
    record = run(people(val=12), attackers=(f"timm:test_resnet={file}",))
    found = attackers(record)["timm:test_resnet"]
    assert found["auc"]["value"] > 0.6
    assert file.name not in str(record)


def test_features_of_other_weights_of_the_same_network_are_not_reused(
    people: People, tmp_path: Path
) -> None:
    folder, found = people(val=12), []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "checkpoint.pth")
        name = f"timm:test_resnet={tmp_path / 'checkpoint.pth'}"
        record = audit(open_dataset(folder), Options(attackers=(name,)), keep=tmp_path / "kept")
        found.append(attackers(record)["timm:test_resnet"]["auc"]["value"])
    assert found[0] == found[2] != found[1]


def test_one_network_with_two_files_would_have_one_name(people: People) -> None:
    with pytest.raises(AuditError, match="one network with two files"):
        run(people(val=4), attackers=("timm:test_resnet=a.pth", "timm:test_resnet=b.pth"))


def test_the_last_line_says_what_was_tried_and_by_how_many_attackers_learnt(people: People) -> None:
    asked = {"adaptive": True, "remover": "identity", "attackers": ("outline",)}
    said = last_line(run(people(val=32, train=12), linkages=("outer",), **asked))
    assert "more people (these: 12 in demo)" in said
    assert "--linkage inverted" in said
    assert "--linkage pooled" in said
    assert "whether a person is in the release (--linkage reverse)" in said
    assert "several releases of one image (--releases)" in said
    assert "what the release made of others (--linkage own_key)" in said
    said = last_line(run(people(val=32, train=12), linkages=("pooled",), **asked))
    assert "--linkage pooled" not in said


def test_an_attacker_that_timm_does_not_have_is_one_line(people: People) -> None:
    with pytest.raises(WeightsError, match="timm has no model"):
        run(people(val=12), attackers=("timm:no_such_network",))


def test_an_audit_that_was_stopped_and_begins_again_says_what_one_that_was_not_says(
    people: People, tmp_path: Path
) -> None:
    data = open_dataset(people(val=31, train=12, noise=60.0))
    options = Options(
        attackers=("pixels", "outline"),
        remover="blur:8",
        adaptive=True,
        linkages=("original", "outer"),
    )
    steps = []

    def told(what: str, done: int, total: int) -> None:
        steps.append(done)
        if len(steps) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(data, options, told=told, keep=tmp_path / "kept")
    kept = set((tmp_path / "kept").iterdir())
    assert kept
    # What was being written when the machine went down.
    (tmp_path / "kept" / "half.npy.tmp").write_bytes(b"\x93NUMPY")
    again = audit(data, options, keep=tmp_path / "kept")
    assert again == audit(data, options)
    assert kept < set((tmp_path / "kept").iterdir())


def test_a_fit_by_gradient_that_was_finished_is_not_made_again(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two (on originals, and in the roles of outer) the second is stopped half-way."""
    recipe = gradient.Recipe(Residual, 1e-2, 0.0, stops=1, every=4, falls_back=False)
    learns = Attacker(centred_grey, 6, fit=lambda training: gradient.learnt(training, recipe))
    entry = Entry("learns", "learns", "nothing", False, lambda device: learns)
    monkeypatch.setitem(ATTACKERS, "learns", entry)
    asked = {"attackers": ("learns",), "remover": "blur:8", "adaptive": True}
    options = Options(**asked, linkages=("outer",))  # type: ignore[arg-type]
    data, made = open_dataset(people(val=4, train=12, noise=60.0)), []
    best = gradient._best

    def stopping(training: Training, *others: Any) -> Any:
        made.append(training.roles)
        if len(made) == 2:
            raise KeyboardInterrupt
        return best(training, *others)

    monkeypatch.setattr(gradient, "_best", stopping)
    with pytest.raises(KeyboardInterrupt):
        audit(data, options, keep=tmp_path)
    said: list[tuple[str, int, int]] = []
    again = audit(data, options, keep=tmp_path, told=lambda *one: said.append(one))
    assert [one for one in said if one[0] == "searching demo"] == [
        ("searching demo", done, 2) for done in range(3)
    ]
    assert made == [("original", "original"), *[("protected", "original")] * 2]
    assert again == audit(data, options)


@pytest.mark.parametrize(
    "name", [name for name in LINKAGES if name not in ("original", "outer_k", "inner_k")]
)
def test_a_linkage_that_is_asked_for_and_can_not_be_had_is_one_line(
    people: People, name: str
) -> None:
    """And not a record without it, which would say that nobody could be found."""
    with pytest.raises(AuditError, match=f"--linkage {name} is of .*give ") as caught:
        run(people(val=4, train=12), linkages=("original", name), adaptive=True)
    assert "\n" not in str(caught.value)


def test_the_usual_linkages_are_those_that_there_are(people: People) -> None:
    assert set(run(people(val=4))["sources"]["demo"]["linkages"]) == {"original"}


@pytest.mark.parametrize("name", ["inverted", "own_key"])
def test_a_linkage_of_those_who_learn_needs_somebody_to_learn_from(
    people: People, name: str
) -> None:
    asked = {"linkages": (name,), "remover": "blur:2", "adaptive": True}
    with pytest.raises(AuditError, match=r"who learn, and .* people .* and it takes 10"):
        run(people(val=6), **asked)


def test_that_copies_are_found_is_no_claim_and_said_so(people: People) -> None:
    said = first_sentence(run(people(val=31), linkages=("copy",), remover="blur:2"))
    assert said == (
        "Not decidable with this data: demo: linkage copy alone was tried, and whoever holds the "
        "image finds it."
    )


def test_who_has_several_images_of_one_visit_alone_is_searched_by_nobody_and_counted(
    people: People,
) -> None:
    folder = people(val=12, visits=3)
    table = folder / "manifest.csv"
    lines = table.read_text().splitlines()
    # One person's three images are of one visit, another's two of one and one of another.
    one_visit = [line.replace("DX,1,", "DX,0,").replace("DX,2,", "DX,0,") for line in lines]
    several = [line.replace("DX,2,", "DX,1,") for line in lines]
    lines[1:4], lines[4:7] = one_visit[1:4], several[4:7]
    # Of a third person one image is there.
    table.write_text("\n".join(lines[:8] + lines[10:]) + "\n")
    demo = audit(open_dataset(folder), Options(attackers=("pixels",)))["sources"]["demo"]
    counted = {reason: count for reason, count in demo["excluded"].items() if count}
    assert counted == {
        "one image of the person (impostors only)": 1,
        "several images of one visit and none of another (impostors only)": 3,
    }
    assert (demo["patients"], demo["people"], demo["images"]) == (10, 12, 34)
