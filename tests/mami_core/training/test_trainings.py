"""The three trainings, whole, on people with small pictures and with small networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mami_core.data import Dataset, Record
from mami_core.models.encoder import SIZES, Config, MaMI
from mami_core.models.mfm import MedicalConfig
from mami_core.models.remover import RemoverConfig
from mami_core.models.verifier import LEVELS, NUMBERS
from mami_core.training import LOG, TrainingError, train_mami, train_mfm, train_unet
from mami_core.training.mami import GUIDES, EncoderTask
from mami_core.training.mfm import MedicalTask, learnable, platt, table, utility_zero
from mami_core.training.priors import Alignment
from mami_core.training.recipe import PRESETS, Recipe
from mami_core.training.recognised import rules
from mami_core.training.unet import RemoverTask
from mami_core.weights import WeightsError, load

Train = Callable[..., Path]
RECIPE = Recipe(people=4, init="none")


@pytest.fixture(params=["mami", "mfm", "unet"])
def training(
    request: pytest.FixtureRequest,
    tiny: Config,
    tiny_medical: MedicalConfig,
    tiny_remover: RemoverConfig,
    judges: dict[str, Path],
) -> tuple[type, Train]:
    plain: dict[str, Any] = {"batch": 4, "init": "none"}
    guided = {"recipe": RECIPE, "guides": {"xray": str(judges["medical"])}}
    made: dict[str, tuple[type, Callable[..., Path], dict[str, Any]]] = {
        "mami": (EncoderTask, train_mami, {"config": tiny, **guided}),
        "mfm": (MedicalTask, train_mfm, {"config": tiny_medical, **plain}),
        "unet": (RemoverTask, train_unet, {"config": tiny_remover, **plain, **judges}),
    }
    task, function, more = made[request.param]
    return task, lambda data, output, **given: function(
        [data], output, **{"seed": 1, "device": "cpu", **more, **given}
    )


def test_a_resumed_training_equals_an_uninterrupted_one_bit_by_bit(
    training: tuple[type, Train],
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same_weights: Callable[[Path, Path], bool],
) -> None:
    task, train = training
    monkeypatch.setattr("mami_core.training.loop.SAVE_EVERY", 1)
    whole = train(data, tmp_path / "whole", steps=3)
    with monkeypatch.context() as power_cut:
        inner = task.loss  # type: ignore[attr-defined]

        def cut(self: Any, step: int) -> Any:
            if step == 2:
                raise KeyboardInterrupt
            return inner(self, step)

        power_cut.setattr(task, "loss", cut)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path / "cut", steps=3)
    resumed = train(data, tmp_path / "cut", steps=3, resume=True)
    assert same_weights(resumed, whole)
    assert load(resumed).facts["steps"] == 3
    for adversary in (tmp_path / "whole").glob("critic.safetensors"):
        assert same_weights(tmp_path / "cut" / adversary.name, adversary)


def test_a_training_without_val_images_says_so(
    training: tuple[type, Train], data: Dataset, tmp_path: Path
) -> None:
    _, train = training
    part = data.select(lambda record: record.split == "train")
    facts = load(train(part, tmp_path / "out", steps=1)).facts
    assert facts["judged_on"] in ("train", "nothing")


def test_data_of_no_known_modality_are_one_clear_error(
    training: tuple[type, Train], data: Dataset, tmp_path: Path
) -> None:
    _, train = training
    data.records[:] = [replace(record, modality=None) for record in data.records]
    with pytest.raises(TrainingError, match="name modality"):
        train(data, tmp_path / "out", steps=1)


# -- the identity encoder ------------------------------------------------------------------------


def _encoder_task(
    data: Dataset, config: Config, recipe: Recipe = RECIPE, guides: Mapping[str, str] = GUIDES
) -> EncoderTask:
    return EncoderTask(data, config, recipe, guides=guides, seed=0, device="cpu")


RECIPES = {
    "ours": RECIPE,
    "paper": replace(PRESETS["paper"], init="none", people=4, images=3, modality=0.2),
    **{
        f"{features}, {relation}": replace(RECIPE, alignment=Alignment(1.0, features, relation))
        for features, relation in (
            ("selected", "mlp"),
            ("selected", "none"),
            ("local", "none"),
            ("global", "subtraction"),
        )
    },
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_parameter_learns_by_the_second_step(
    data: Dataset, tiny: Config, judges: dict[str, Path], name: str
) -> None:
    task = _encoder_task(data, tiny, RECIPES[name], {"xray": str(judges["medical"])})
    optimiser = torch.optim.SGD(task.learner.parameters(), lr=0.01)
    for step in range(2):
        optimiser.zero_grad()
        loss, figures = task.loss(step)
        loss.backward()
        dead = [n for n, p in task.learner.named_parameters() if p.grad is None or not p.grad.any()]
        optimiser.step()
    assert dead == []
    assert "alignment" in figures


@pytest.mark.parametrize(
    "change",
    [
        {"updates": ()},
        {"updates": ("qkv", "out", "fc1", "fc2")},
        {"updates": ("fc2",)},
        {"context": "free"},
        {"context": "discrete", "bases": 4},
    ],
    ids=str,
)
def test_every_switch_of_compa_trains(
    data: Dataset, tiny: Config, judges: dict[str, Path], change: dict[str, Any]
) -> None:
    config = replace(tiny, **change)
    task = _encoder_task(data, config, RECIPE, {"xray": str(judges["medical"])})
    optimiser = torch.optim.SGD(task.learner.parameters(), lr=0.01)
    for step in range(2):
        optimiser.zero_grad()
        task.loss(step)[0].backward()
        dead = {n for n, p in task.learner.named_parameters() if p.grad is None or not p.grad.any()}
        optimiser.step()
    # M itself is its context where there is no codebook.
    unused = ("bases", "probabilities") if config.context == "free" else ()
    assert {name.split(".")[2] for name in dead} == set(unused)


def test_packhaeusers_verifier_trains_and_is_what_images_are_compared_by(
    data: Dataset, tiny: Config, tmp_path: Path
) -> None:
    config = replace(tiny, updates=(), features=NUMBERS, verifier=True)
    how = Recipe(
        people=4,
        init="none",
        identity="verify",
        triplet=0.0,
        modality=0.0,
        alignment=None,
        closed_form=False,
    )
    path = train_mami([data], tmp_path, recipe=how, config=config, steps=30, device="cpu")
    logged = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    losses = [line["verify"] for line in logged]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    model = load(path).model
    with torch.no_grad():
        seen = model(torch.rand(3, 3, 64, 64))
    assert seen.identity.shape == (3, NUMBERS * LEVELS)
    with pytest.raises(TrainingError, match="verifier"):
        train_mami([data], tmp_path / "other", recipe=how, config=tiny, steps=1)


def test_the_papers_own_configuration_builds_trains_a_step_and_embeds(
    data: Dataset, judges: dict[str, Path]
) -> None:
    recipe = replace(PRESETS["paper"], init="none", people=2, images=2)
    task = _encoder_task(data, SIZES["base"], recipe, {"xray": str(judges["medical"])})
    config = task.model.config
    assert (config.width, config.depth, config.bases, config.rank, config.groups) == (
        768,
        12,
        32,
        16,
        64,
    )
    before = task.model.attention_net.up.weight.clone()  # type: ignore[union-attr]
    optimiser = torch.optim.AdamW(task.groups())
    task.loss(0)[0].backward()
    optimiser.step()
    assert not torch.equal(before, task.model.attention_net.up.weight)  # type: ignore[union-attr]
    with torch.inference_mode():
        assert task.model(torch.rand(1, 3, 224, 224)).identity.shape == (1, 768)


def test_a_scan_of_several_slices_is_one_image_and_a_batch_grows_no_larger(
    data: Dataset, tiny: Config
) -> None:
    data.records[:] = [replace(one, modality="ct", unit="scan") for one in data.records]
    task = _encoder_task(data, tiny, RECIPES["paper"], {})
    shown: list[int] = []
    task.model.register_forward_pre_hook(lambda _, given: shown.append(len(given[0])))
    alone: list[int] = []
    task.learner["classifier"].register_forward_pre_hook(lambda _, x: alone.append(len(x[0])))
    task.loss(0)
    # Four people of three pictures are two of three scans of two slices.
    assert (shown, alone) == ([12], [6])


@pytest.mark.parametrize("groups", [32, 64, 128])
def test_all_ablated_group_counts_build(groups: int) -> None:
    for size, config in SIZES.items():
        if size != "base":
            MaMI(replace(config, groups=groups))
        else:
            assert config.hidden % 128 == 0


def test_bfloat16_trains_and_says_nearly_the_same(
    training: tuple[type, Train], data: Dataset, tmp_path: Path
) -> None:
    _, train = training
    logs = []
    for bf16 in (False, True):
        folder = tmp_path / str(bf16)
        train(data, folder, steps=1, bf16=bf16)
        logs.append(json.loads((folder / LOG).read_text()))
    assert logs[0]["loss"] != logs[1]["loss"]
    assert logs[0]["loss"] == pytest.approx(logs[1]["loss"], rel=0.1)


def test_the_guide_stays_as_it_is(data: Dataset, tiny: Config, judges: dict[str, Path]) -> None:
    task = _encoder_task(data, tiny, RECIPE, {"xray": str(judges["medical"])})
    before = {name: value.clone() for name, value in task.guides["xray"].state_dict().items()}
    task.learner.train()
    task.loss(0)[0].backward()
    after = task.guides["xray"].state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(p.grad is None for p in task.guides["xray"].parameters())


def test_every_parameter_is_in_one_group(data: Dataset, tiny: Config) -> None:
    task = _encoder_task(data, tiny)
    grouped = [id(p) for group in task.groups() for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in task.learner.parameters())


def test_one_person_is_too_few_for_identity(data: Dataset, tiny: Config) -> None:
    with pytest.raises(TrainingError, match="one person"):
        _encoder_task(data.select(lambda record: record.patient == "p0"), tiny)


def test_the_rejection_rule_lets_the_judged_images_pass_and_noise_not() -> None:
    random = np.random.default_rng(0)
    fitted, judged = random.normal(size=(300, 40)), random.normal(size=(1000, 40))
    record = Record("a.png", "p", "invented", modality="xray", body_part="chest")
    (rule,) = rules(fitted, [record] * 300, judged, [record] * 1000)["xray/chest"]

    def passed(rows: np.ndarray) -> float:
        distance = np.sqrt((((rows - rule["mean"]) / rule["spread"]) ** 2).mean(axis=1))
        return float((distance <= rule["limit"]).mean())

    assert passed(judged) == 1.0
    assert passed(3.0 * judged) < 0.01


# -- the medical encoder -------------------------------------------------------------------------


def test_findings_that_are_not_named_are_masked(data: Dataset) -> None:
    records = data.records
    records[0] = replace(records[0], findings={})
    rows = table(records, ("xray:Spot",))
    assert np.isnan(rows[0, 0])
    assert not np.isnan(rows[1:]).any()


def test_data_without_findings_are_one_clear_error(
    data: Dataset, tiny_medical: MedicalConfig, tmp_path: Path
) -> None:
    data.records[:] = [replace(record, findings={}) for record in data.records]
    with pytest.raises(TrainingError, match="no finding"):
        train_mfm([data], tmp_path / "out", steps=1, init="none", config=tiny_medical)


def test_rare_findings_are_learned_only_where_there_are_no_others(data: Dataset) -> None:
    few = [
        replace(r, findings={**r.findings, "Rare": int(i == 0)}) for i, r in enumerate(data.records)
    ]
    assert learnable(few, few) == ("xray:Rare", "xray:Spot")
    assert learnable(few * 5, few * 5) == ("xray:Spot",)


def test_calibration_gives_the_share_of_positives_and_never_turns_scores_around() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=4000)
    truth = (random.random(4000) < 1 / (1 + np.exp(-(2.0 * scores - 1.0)))).astype(float)
    slope, offset = platt(scores, truth)
    assert (slope, offset) == pytest.approx((2.0, -1.0), abs=0.2)
    assert platt(-scores, truth)[0] > 0


def test_utility_zero_is_the_mean_cosine_of_different_people(data: Dataset) -> None:
    keys = np.random.default_rng(0).normal(size=(len(data), 3, 5))
    found = utility_zero(keys, data.records)
    slow = [
        float(keys[i, n] @ keys[j, n] / np.linalg.norm(keys[i, n]) / np.linalg.norm(keys[j, n]))
        for i, one in enumerate(data.records)
        for j, other in enumerate(data.records)
        if one.patient != other.patient
        for n in range(3)
    ]
    assert found == {"xray": pytest.approx(np.mean(slow))}


def test_one_val_person_takes_utility_zero_from_train(
    data: Dataset, tiny_medical: MedicalConfig, tmp_path: Path
) -> None:
    part = data.select(lambda record: record.patient != "p7")
    path = train_mfm([part], tmp_path / "out", steps=1, init="none", config=tiny_medical)
    assert -1.0 < load(path).facts["zero"]["xray"] < 1.0


# -- the remover ---------------------------------------------------------------------------------


def test_the_remover_says_where_it_acts_and_what_it_costs(
    data: Dataset, tiny_remover: RemoverConfig, judges: dict[str, Path], tmp_path: Path
) -> None:
    path = train_unet([data], tmp_path / "out", steps=2, batch=4, config=tiny_remover, **judges)
    facts = load(path).facts
    assert facts["pairs"] == [["xray", "chest"]]
    assert 0.0 <= facts["strength"] <= 1.0
    points = facts["curve"]["xray"]
    assert points[0]["strength"] == 0.0
    assert points[0]["utility"] == pytest.approx(1.0, abs=1e-3)
    assert points[0]["change"] == 0.0
    assert points[-1]["change"] > 0.0
    critic = load(path.with_name("critic.safetensors"))
    assert critic.facts["remover"] == load(path).sha256
    assert critic.facts["through"] == load(judges["encoder"]).sha256
    lines = [json.loads(line) for line in (tmp_path / "out" / LOG).read_text().splitlines()]
    assert all(0.0 <= line["critic_found"] <= 1.0 and line["critic_loss"] > 0 for line in lines)


def test_the_judges_stay_as_they_are(
    data: Dataset, tiny_remover: RemoverConfig, judges: dict[str, Path]
) -> None:
    encoder, medical = load(judges["encoder"]), load(judges["medical"])
    before = [p.clone() for m in (encoder, medical) for p in m.model.state_dict().values()]
    task = RemoverTask(
        data, encoder, medical, tiny_remover, init="none", batch=4, seed=0, device="cpu"
    )
    task.model.train()
    loss, _ = task.loss(0)
    loss.backward()
    after = [p for m in (encoder, medical) for p in m.model.state_dict().values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(p.grad is None for p in encoder.model.parameters())
    assert any(p.grad is not None and p.grad.any() for p in task.model.parameters())


def test_an_identity_encoder_is_no_medical_one(
    data: Dataset, tiny_remover: RemoverConfig, judges: dict[str, Path], tmp_path: Path
) -> None:
    given = {"encoder": judges["medical"], "medical": judges["encoder"]}
    with pytest.raises(TrainingError, match="train-mami and of train-mfm"):
        train_unet([data], tmp_path / "out", steps=1, config=tiny_remover, **given)


def test_a_judge_that_is_not_there_is_one_clear_error(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        train_unet([data], tmp_path / "out", steps=1, encoder=tmp_path / "a.safetensors")
