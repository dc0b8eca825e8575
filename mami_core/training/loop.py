"""The one training loop: time-boxed, resumable, logged.

Every random draw of a step is a function of (seed, step) alone, so that a checkpoint needs no state
of a random generator: parameters, buffers, optimiser and step number are all there is. With a fixed
number of steps a resumed run equals an uninterrupted one bit for bit on one CPU; with a time limit
the learning rate follows the clock, and it can not.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

from mami_core.training.choice import Scored, best, mark, put_aside
from mami_core.training.parallel import agreed, average_gradients, joined, rank

STATE, LOG = "state.safetensors", "log.jsonl"
WARM_UP, SAVE_EVERY, CLIP = 40, 100, 5.0


class TrainingError(ValueError):
    """A training can not start or go on: one line that says what to do."""


class Task(Protocol):
    """A network and what one step of its training is.

    Attributes
    ----------
    kind
        As in `mami_core.weights`; the weights file is named for it.
    identity
        What a resumed run must share with the first: a digest of data and options.
    start
        Where the weights start, one line.
    """

    kind: str
    identity: str
    start: str

    @property
    def model(self) -> nn.Module:
        """The network that is kept, on its device."""

    @property
    def learner(self) -> nn.Module:
        """All that gradients move: the network, and what serves its training alone."""

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups of AdamW, each with its peak learning rate ``lr``."""

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Loss of a step, a pure function of parameters and `step`, and figures for the log."""

    def facts(self) -> dict[str, Any]:
        """Fit in closed form what gradients do not; what has to be known with the weights."""


@dataclass(frozen=True)
class Budget:
    """When a training ends: after `minutes`, after `steps`, or whichever comes first."""

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise TrainingError("give --max-minutes or --steps, so that the training ends")

    def spent(self, step: int, seconds: float) -> float:
        """Share of the budget that is used, 1 at the end."""
        shares = [step / self.steps] if self.steps else [1.0 if self.steps == 0 else 0.0]
        if self.minutes is not None:
            shares.append(seconds / (60 * self.minutes) if self.minutes > 0 else 1.0)
        return min(1.0, max(shares))


def train(
    make: Callable[[], Task],
    budget: Budget,
    output: Path,
    *,
    device: str,
    resume: bool = False,
    bf16: bool = False,
) -> Path:
    """Train, and write the weights; with others where torchrun has started several of us.

    Parameters
    ----------
    make
        Builds the task; not called where `output` can not be used.
    output
        A private folder; gets `LOG`, `STATE` (every `SAVE_EVERY` steps, for `resume`), the states
        of which one is chosen (see `mami_core.training.choice`) and, at the end,
        ``<kind>.safetensors``.
    device
        ``cpu`` or ``cuda``.
    bf16
        Whether forward passes run in bfloat16 where PyTorch deems that safe.

    Returns
    -------
    The path of the weights.

    Raises
    ------
    TrainingError
        The folder is in use or holds another training, or the loss left the numbers.
    """
    if rank() == 0:
        _claim(output, resume=resume)
    with joined(device):
        return _train(make(), budget, output, device, bf16=bf16)


def _train(task: Task, budget: Budget, output: Path, device: str, *, bf16: bool) -> Path:
    from mami_core.weights import save as save_weights

    first = rank() == 0
    path = output / f"{task.kind}.safetensors"
    if first:
        tqdm.write(task.start, file=sys.stderr)
    # A sixth less time a step on a CPU (EfficientNet-Lite0 at 224, batch 36).
    task.learner.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(task.groups(), weight_decay=0.05)
    peaks = [group["lr"] for group in optimiser.param_groups]
    step, before = _restored(task, optimiser, output)
    if first:
        _cut_log(output / LOG, step)
    start = time.monotonic()
    seconds = before
    task.learner.train()
    with _log(output / LOG if first else Path(os.devnull)) as log, _bar(budget, first) as bar:
        bar.update(step if budget.steps else min(before, bar.total))
        while (spent := agreed(budget.spent(step, seconds), device)) < 1.0:
            rate = min(1.0, (step + 1) / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * spent))
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * rate
            figures = _step(task, optimiser, step, device, bf16)
            step += 1
            last, seconds = seconds, before + time.monotonic() - start
            passed = mark(spent, budget.spent(step, seconds))
            if first and passed and isinstance(task, Scored):
                put_aside(task.model, output, passed)
            log.write(json.dumps({"step": step, "seconds": round(seconds, 1), **figures}) + "\n")
            log.flush()
            bar.set_postfix(loss=f"{figures['loss']:.3f}", refresh=False)
            bar.update(1 if budget.steps else min(seconds - last, bar.total - bar.n))
            if first and step % SAVE_EVERY == 0:
                _save(task, optimiser, output, step, seconds)
    if not first:
        return path
    _save(task, optimiser, output, step, seconds)
    task.model.eval()
    with torch.no_grad():
        chosen = best(task, task.model, output) if isinstance(task, Scored) else {}
        facts = task.facts() | chosen
    save_weights(path, task.kind, task.model, {**facts, "steps": step})
    return path


def _log(path: Path) -> TextIO:
    return path.open("a", encoding="utf-8")


def _bar(budget: Budget, shown: bool) -> Any:
    if budget.steps:
        return tqdm(total=budget.steps, unit="step", disable=not shown)
    layout = "{l_bar}{bar}| {remaining}{postfix}"
    return tqdm(total=60 * (budget.minutes or 0), bar_format=layout, disable=not shown)


def _step(
    task: Task, optimiser: torch.optim.Optimizer, step: int, device: str, bf16: bool
) -> dict[str, float]:
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        loss, figures = task.loss(step)
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss is not a number at step {step + 1}; lower the rates")
    optimiser.zero_grad()
    loss.backward()
    average_gradients(task.learner.parameters())
    nn.utils.clip_grad_norm_(task.learner.parameters(), CLIP)
    optimiser.step()
    return {"loss": round(loss.item(), 5)} | {k: round(v, 5) for k, v in figures.items()}


def _claim(output: Path, *, resume: bool) -> None:
    if output.exists() and not output.is_dir():
        raise TrainingError("the output is a file; name a folder")
    if not resume and output.is_dir() and any(output.iterdir()):
        raise TrainingError("the output folder is not empty; add --resume or choose another")
    # Private, since weights remember what they were trained on.
    output.mkdir(mode=0o700, parents=True, exist_ok=True)


def _cut_log(path: Path, step: int) -> None:
    """Drop the lines of steps after the last checkpoint: they are about to be made again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[:step]), encoding="utf-8")


def _restored(task: Task, optimiser: torch.optim.Optimizer, output: Path) -> tuple[int, float]:
    """Step and seconds to go on from: 0 where no checkpoint was reached."""
    path = output / STATE
    if not path.is_file():
        return 0, 0.0
    try:
        with safe_open(path, framework="pt") as file:
            held = json.loads(file.metadata()["training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise TrainingError("the training in the output folder can not be read") from error
    if held["identity"] != task.identity:
        raise TrainingError("the output folder holds a training with other data or options")
    task.learner.load_state_dict(_under(tensors, "model"))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(tensors, "optimiser").items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
    return held["step"], held["seconds"]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def _save(
    task: Task, optimiser: torch.optim.Optimizer, output: Path, step: int, seconds: float
) -> None:
    tensors = {f"model.{name}": value for name, value in task.learner.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": value for key, value in state.items()}
    held = {"identity": task.identity, "step": step, "seconds": seconds}
    plain = {name: value.contiguous().cpu() for name, value in tensors.items()}
    partial = output / f".{STATE}.new"
    partial.write_bytes(save(plain, metadata={"training": json.dumps(held)}))
    partial.replace(output / STATE)
