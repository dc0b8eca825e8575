"""Utility and findings by a medical encoder of the user's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from deid.cli.app import app
from deid.phantoms import make
from deid.scrub.models import OWN_MEDICAL
from deid.scrub.options import MEDICAL, CannotStart
from deid.scrub.outcome import Result
from deid.scrub.run import scrub
from mami_core.models.mfm import MedicalConfig, MedicalEncoder
from mami_core.models.of_timm import plan
from mami_core.weights import bundled, locate, save


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one chest X-ray."""
    folder = tmp_path_factory.mktemp("phantoms")
    make(folder, patients=1, visits=1, seed=2, size=192, ct_size=64, slices=2)
    return folder / "xray"


def encoder(path: Path, zero: dict[str, float], findings: tuple[str, ...] = ()) -> Path:
    """A medical encoder on somebody's network, untrained."""
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=0, pretrained_cfg_overlay={})
    held = plan(network)
    config = MedicalConfig(findings, trunk=held["name"], image=160, width=32, queries=3, own=held)
    save(path, "mfm", MedicalEncoder(config, network), {"zero": zero})
    return path


@pytest.fixture(scope="module")
def released(
    radiograph: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[..., Result]:
    root = tmp_path_factory.mktemp("released")
    key = root / "key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)

    def run(name: str, **options: Any) -> Result:
        return scrub(radiograph, root / name, text="off", workers=1, key_file=key, **options)

    return run


@pytest.fixture(scope="module")
def by_ours(released: Callable[..., Result]) -> Result:
    return released("ours")


def test_utility_is_measured_with_the_encoder_that_was_given(
    by_ours: Result, released: Callable[..., Result], tmp_path: Path
) -> None:
    own = encoder(tmp_path / "own.safetensors", {"xray": 0.5}, ("xray:Spot",))
    result = released("own", medical=str(own))
    (ours,), (theirs,) = by_ours.rows, result.rows
    assert 0.0 <= theirs["utility"] <= 1.0
    assert theirs["utility"] != ours["utility"]
    assert 0.0 <= theirs["findings"] <= 1.0
    # What is done to the picture, and its risk, are not the medical encoder's.
    for column in ("edit", "risk", "risk_before", "fidelity"):
        assert theirs[column] == ours[column], column
    assert {OWN_MEDICAL} == result.summary["versions"].keys() - by_ours.summary["versions"].keys()
    assert {MEDICAL} == by_ours.summary["versions"].keys() - result.summary["versions"].keys()
    assert str(tmp_path) not in str(result.summary)


def test_without_findings_they_are_unknown_and_utility_is_not(
    released: Callable[..., Result], tmp_path: Path
) -> None:
    own = encoder(tmp_path / "own.safetensors", {"xray": 0.5})
    (row,) = released("keys alone", medical=str(own)).rows
    assert row["findings"] == "unknown"
    assert 0.0 <= row["utility"] <= 1.0


@pytest.mark.parametrize("zero", [{"ct": 0.5}, {"xray": 1.0}, {}])
def test_what_the_encoder_was_not_trained_on_has_no_utility_and_is_edited_all_the_same(
    zero: dict[str, float], by_ours: Result, released: Callable[..., Result], tmp_path: Path
) -> None:
    own = encoder(tmp_path / "own.safetensors", zero, ("ct:nodule",))
    (ours,), (theirs,) = by_ours.rows, released(str(zero), medical=str(own)).rows
    assert (theirs["utility"], theirs["findings"]) == ("unknown", "unknown")
    for column in ("status", "edit", "risk", "fidelity"):
        assert theirs[column] == ours[column], column


def test_a_run_goes_on_with_the_same_encoder_wherever_it_lies_and_with_no_other(
    released: Callable[..., Result], tmp_path: Path
) -> None:
    own = encoder(tmp_path / "own.safetensors", {"xray": 0.5})
    rows = released("resumed", medical=str(own)).rows
    other = encoder(tmp_path / "other.safetensors", {"xray": 0.4})
    for medical in (str(other), MEDICAL):
        with pytest.raises(CannotStart, match="the weights are others"):
            released("resumed", medical=medical, resume=True)
    shutil.move(own, tmp_path / "moved.safetensors")
    again = released("resumed", medical=str(tmp_path / "moved.safetensors"), resume=True)
    assert again.rows == rows


def _damaged(path: Path) -> None:
    """What it says of itself is as it was, and a part of it is missing."""
    whole = encoder(path, {"xray": 0.5})
    with safe_open(whole, framework="pt") as stream:
        told = stream.metadata()
        parts = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    del parts["queries"]
    save_file(parts, path, metadata=told)


def _of_another_kind(path: Path) -> None:
    shutil.copy(locate("remover"), path)


def _cut_short(path: Path) -> None:
    path.write_bytes((bundled() / f"{MEDICAL}.safetensors").read_bytes()[:1000])


@pytest.mark.parametrize(
    ("make_it", "words"),
    [
        (None, "does not exist"),
        (_of_another_kind, "--medical: these weights are of another kind"),
        (_cut_short, "is not a safetensors file"),
        (_damaged, "do not fit"),
    ],
)
def test_what_is_no_medical_encoder_is_one_line_before_anything_is_written(
    make_it: Callable[[Path], None] | None, words: str, radiograph: Path, tmp_path: Path
) -> None:
    path = tmp_path / "given.safetensors"
    if make_it:
        make_it(path)
    output = tmp_path / "output"
    done = CliRunner().invoke(app, ["scrub", str(radiograph), str(output), "--medical", str(path)])
    assert done.exit_code == 2
    assert words in done.output
    assert done.output.startswith("deid: ")
    assert done.output.count("\n") == 1
    assert str(tmp_path) not in done.output
    assert not list(output.iterdir())
    # Nothing stands in the way of the right one.
    right = encoder(tmp_path / "right.safetensors", {"xray": 0.5})
    options = ["--metadata-only", "--medical", str(right)]
    assert CliRunner().invoke(app, ["scrub", str(radiograph), str(output), *options]).exit_code == 0
