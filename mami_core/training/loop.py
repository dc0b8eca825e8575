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
from typing import Any, Protocol, TextIO, runtime_checkable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

from mami_core.files import private_folder
from mami_core.training.choice import Scored, best, mark, put_aside
from mami_core.training.parallel import agreed, average_gradients, joined, rank

STATE, LOG = "state.safetensors", "log.jsonl"
WARM_UP, SAVE_EVERY, CLIP = 40, 100, 5.0


class TrainingError(ValueError):
    """A training can not start or go on: one line that says what to do."""


class Player(Protocol):
    """A network and what one step of its training is.

    Attributes
    ----------
    kind
        As in `mami_core.weights`; the weights file is named for it.
    """

    kind: str

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


class Task(Player, Protocol):
    """The player for whose sake a training is made.

    Attributes
    ----------
    identity
        What a resumed run must share with the first: a digest of data and options.
    start
        Where the weights start, one line.
    """

    identity: str
    start: str


@runtime_checkable
class Opposed(Protocol):
    """A task whose network meets an adversary, which learns in alternation with it."""

    @property
    def adversary(self) -> Player:
        """Takes its turn after the task's in every step, and sees what that has come to."""


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
        ``<kind>.safetensors``, also of an adversary (see `Opposed`).
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
        claim(output, resume=resume)
    with joined(device):
        return _train(make(), budget, output, device, bf16=bf16)


class _Turn:
    """A player, and the optimiser that moves what it learns and nothing else."""

    def __init__(self, player: Player) -> None:
        # A sixth less time a step on a CPU (EfficientNet-Lite0 at 224, batch 36).
        player.learner.to(memory_format=torch.channels_last)
        self.player = player
        self._optimiser = torch.optim.AdamW(player.groups(), weight_decay=0.05)
        self._peaks = [group["lr"] for group in self._optimiser.param_groups]

    def take(self, step: int, rate: float, device: str, *, bf16: bool) -> dict[str, float]:
        """Move the player one step, at a share of its peak rates; figures for the log."""
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * rate
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss, figures = self.player.loss(step)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is not a number at step {step + 1}; lower the rates")
        self._optimiser.zero_grad()
        loss.backward()
        average_gradients(self.player.learner.parameters())
        nn.utils.clip_grad_norm_(self.player.learner.parameters(), CLIP)
        self._optimiser.step()
        return {"loss": round(loss.item(), 5)} | {k: round(v, 5) for k, v in figures.items()}

    def state(self) -> dict[str, Tensor]:
        """All that a checkpoint holds of it."""
        held = {f"model.{name}": one for name, one in self.player.learner.state_dict().items()}
        for index, state in self._optimiser.state_dict()["state"].items():
            held |= {f"optimiser.{index}.{key}": value for key, value in state.items()}
        return held

    def restore(self, held: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        self.player.learner.load_state_dict(_under(held, "model"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(held, "optimiser").items():
            index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
        self._optimiser.load_state_dict(
            {"state": state, "param_groups": self._optimiser.state_dict()["param_groups"]}
        )


#: By what a checkpoint and the log put before its names: nothing for the task's own.
_Turns = dict[str, _Turn]


def _turns(task: Task) -> _Turns:
    """Who takes a turn in a step, in order."""
    players: dict[str, Player] = {"": task}
    if isinstance(task, Opposed):
        players[task.adversary.kind] = task.adversary
    return {name: _Turn(player) for name, player in players.items()}


def _train(task: Task, budget: Budget, output: Path, device: str, *, bf16: bool) -> Path:
    first = rank() == 0
    turns = _turns(task)
    step, before = _restored(task, turns, output)
    if first:
        tqdm.write(f"going on after step {step}" if step else task.start, file=sys.stderr)
        _cut_log(output / LOG, step)
    start = time.monotonic()
    seconds = before
    for turn in turns.values():
        turn.player.learner.train()
    with _log(output / LOG if first else Path(os.devnull)) as log, _bar(budget, first) as bar:
        bar.update(step if budget.steps else min(before, bar.total))
        while (spent := agreed(budget.spent(step, seconds), device)) < 1.0:
            rate = min(1.0, (step + 1) / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * spent))
            figures: dict[str, float] = {}
            for name, turn in turns.items():
                told = turn.take(step, rate, device, bf16=bf16)
                figures |= {f"{name}_{key}" if name else key: one for key, one in told.items()}
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
                _save(task, turns, output, step, seconds)
    if first:
        _save(task, turns, output, step, seconds)
        _write(task, output, step)
    return output / f"{task.kind}.safetensors"


def _write(task: Task, output: Path, step: int) -> None:
    """The weights: of the task, and of the adversary that it has met."""
    from mami_core.weights import save

    def written(player: Player, more: dict[str, Any]) -> str:
        player.model.eval()
        with torch.no_grad():
            chosen = best(player, player.model, output) if isinstance(player, Scored) else {}
            facts = player.facts() | chosen | more
        path = output / f"{player.kind}.safetensors"
        return save(path, player.kind, player.model, {**facts, "steps": step})

    digest = written(task, {})
    if isinstance(task, Opposed):
        written(task.adversary, {task.kind: digest})


def _log(path: Path) -> TextIO:
    return path.open("a", encoding="utf-8")


def _bar(budget: Budget, shown: bool) -> Any:
    if budget.steps:
        return tqdm(total=budget.steps, unit="step", disable=not shown)
    layout = "{l_bar}{bar}| {remaining}{postfix}"
    return tqdm(total=60 * (budget.minutes or 0), bar_format=layout, disable=not shown)


def claim(output: Path, *, resume: bool | None = None) -> None:
    """Make the folder private, since weights remember what they were trained on.

    Parameters
    ----------
    resume
        Whether what is there goes on; None where nothing can.

    Raises
    ------
    TrainingError
        It is in use for something else, or can not be made.
    """
    if output.exists() and not output.is_dir():
        raise TrainingError("the output is a file; name a folder")
    if output.is_dir() and any(output.iterdir()):
        if not resume:
            more = "" if resume is None else "add --resume or "
            raise TrainingError(f"the output folder is not empty; {more}choose another")
        if not any((output / name).is_file() for name in (LOG, STATE)):
            raise TrainingError("the output folder holds no training to go on with; choose another")
    try:
        private_folder(output)
    except OSError as error:
        why = error.strerror
        raise TrainingError(f"the output folder can not be made ({why}); name another") from None


def _cut_log(path: Path, step: int) -> None:
    """Drop the lines of steps after the last checkpoint: they are about to be made again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[:step]), encoding="utf-8")


def _restored(task: Task, turns: _Turns, output: Path) -> tuple[int, float]:
    """Step and seconds to go on from: 0 where no checkpoint was reached."""
    path = output / STATE
    if not path.is_file():
        if (output / f"{task.kind}.safetensors").exists():
            # Starting anew would write over them.
            raise TrainingError(f"the output folder holds weights but no {STATE}; choose another")
        return 0, 0.0
    try:
        with safe_open(path, framework="pt") as file:
            held = json.loads(file.metadata()["training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        identity, step, seconds = held["identity"], held["step"], held["seconds"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError("the training in the output folder can not be read") from error
    if identity != task.identity:
        raise TrainingError("the output folder holds a training with other data or options")
    for name, turn in turns.items():
        turn.restore(_under(tensors, name) if name else tensors)
    return step, seconds


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def _save(task: Task, turns: _Turns, output: Path, step: int, seconds: float) -> None:
    held = {"identity": task.identity, "step": step, "seconds": seconds}
    plain = {
        f"{name}.{key}" if name else key: value.contiguous().cpu()
        for name, turn in turns.items()
        for key, value in turn.state().items()
    }
    partial = output / f".{STATE}.new"
    partial.write_bytes(save(plain, metadata={"training": json.dumps(held)}))
    partial.replace(output / STATE)
