"""The bundled networks, in the one process that holds them, and what they answer.

On a CPU every forward pass is of one image with a fixed number of threads, so that no result
depends on what else was in flight.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deid.risk import Cohort
from deid.scrub.jobs import Question
from deid.scrub.options import MEDICAL, CannotStart, Options
from deid.scrub.terms import Attacker, Card

if TYPE_CHECKING:
    import torch

    from mami_core.weights import Weights

ENCODER, REMOVER = "mami_tiny", "remover"

#: By what name the hash of a medical encoder of the user's own is noted: paths stay out.
OWN_MEDICAL = "medical"

#: Whom the risk is measured with; the largest figure holds (DESIGN, section 5).
ATTACKERS = (ENCODER, "whiten")

#: Who measures it anew where ``--max-risk`` chose, and takes no part in choosing.
JUDGE = "judge_tiny"


class Models:
    """Answers the questions of `deid.scrub.look` and `deid.scrub.release`.

    Nothing is loaded before the first question; what the weights say of themselves is read without
    torch, so that a run that never asks (``--metadata-only``) never waits for it.

    `hashes` has what this run uses; the judge only with ``--max-risk``, so that without it neither
    names under OUTPUT nor ``--resume`` depend on whom nobody asks.

    Weights of the user's own are loaded at once, unless no pixel is read: what does not load is
    found out before anything is written.
    """

    def __init__(self, options: Options) -> None:
        from mami_core.weights import WeightsError, bundled, checked, facts_of, load, locate

        try:
            searching = ATTACKERS if options.max_risk is None else (*ATTACKERS, JUDGE)
            own = options.medical != MEDICAL
            used = {name: name for name in (*searching, REMOVER)}
            used |= {OWN_MEDICAL: options.medical} if own else {MEDICAL: MEDICAL}
            self.hashes = {name: checked(locate(held)) for name, held in used.items()}
            encoder, remover = facts_of(ENCODER), facts_of(REMOVER)
            medical = _medical_facts(options.medical)
            self._given: dict[str, Weights] = {}
            if own and not options.metadata_only:
                self._given[MEDICAL] = load(options.medical)
                self.hashes[OWN_MEDICAL] = self._given[MEDICAL].sha256
            attackers: dict[str, tuple[Attacker, ...]] = {}
            judges: dict[str, tuple[Attacker, ...]] = {}
            for path in sorted(bundled().glob("cohort_*.safetensors")):
                digest, cohort = checked(path), Cohort.load(path)
                for name in searching:
                    # Scores of another encoder mean something else: such a cohort would mislead.
                    if cohort.encoder == self.hashes[name]:
                        self.hashes[path.stem] = digest
                        one = Attacker(name, facts_of(name)["image"], cohort)
                        side = judges if name == JUDGE else attackers
                        side[cohort.modality] = (*side.get(cohort.modality, ()), one)
        except WeightsError as error:
            raise CannotStart(str(error)) from error
        self.warnings: list[str] = []
        self.card = Card(
            pairs=frozenset((modality, region) for modality, region in remover["pairs"]),
            code=remover["code"],
            strength=remover["strength"],
            encoder=encoder["image"],
            medical=medical["image"],
            remover=remover["image"],
            findings={
                modality: tuple(
                    index
                    for index, name in enumerate(medical["findings"])
                    if name.startswith(f"{modality}:")
                )
                for modality in medical["zero"]
            },
            utility_zero=medical["zero"],
            attackers=attackers,
            judges=judges,
        )
        self._rules: dict[str, list[dict[str, Any]]] = encoder["pictures"]
        self._device_name = options.device
        self._loaded: dict[str, Any] = {}

    def ask(self, questions: list[Question]) -> list[Any]:
        """One answer a question, in order."""
        import torch

        with torch.inference_mode():
            return [getattr(self, f"_{kind}")(payload) for kind, payload in questions]

    # -- the questions ---------------------------------------------------------------------------

    def _identity(self, asked: tuple[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """``(frames, 3, S, S)`` to one normalised vector: a scan is the mean over its slices."""
        attacker, squares = asked
        (vectors,) = self._forward(attacker, lambda model, x: (model(x).identity,), squares)
        mean = vectors.mean(axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)

    def _medical(
        self, squares: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Key features ``(frames, N, D)`` and calibrated probabilities ``(frames, K)``."""

        def both(model: Any, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            seen = model(x)
            return seen.keys, model.probabilities(seen.logits)

        keys, probabilities = self._forward(MEDICAL, both, squares)
        return keys, probabilities

    def _classify(self, asked: tuple[NDArray[np.float32], str | None]) -> tuple[str, str] | None:
        """(modality, region) of a picture, by MaMI's features of all depths.

        A picture has to be like those of at least one source that was trained on: its distance from
        the source's mean, in units of what its own validation pictures reach, is at most 1. None
        where it is like none. With a modality given, only its own regions are asked about.
        """
        squares, given = asked
        (pooled,) = self._forward(ENCODER, lambda model, x: (model(x).pooled,), squares)
        mean = pooled.mean(axis=0)
        nearest, winner = 1.0, None
        for name, rules in self._rules.items():
            modality, region = name.split("/")
            if given not in (None, modality):
                continue
            for rule in rules:
                away = (mean - np.asarray(rule["mean"])) / np.asarray(rule["spread"])
                distance = float(np.sqrt((away**2).mean())) / rule["limit"]
                if distance <= nearest:
                    nearest, winner = distance, (modality, region)
        return winner

    def _remove(
        self, asked: tuple[NDArray[np.float32], NDArray[np.float32], float]
    ) -> NDArray[np.float32]:
        """Residuals ``(frames, 3, S, S)`` at a strength."""
        squares, code, strength = asked
        import torch

        secret = torch.from_numpy(code)[None]

        def residual(model: Any, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (strength * model.residual(x, secret.to(x.device)),)

        (residuals,) = self._forward(REMOVER, residual, squares)
        return residuals

    # -- how they are run ------------------------------------------------------------------------

    def _forward(
        self, name: str, call: Any, squares: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], ...]:
        import torch

        model, device = self._model(name)
        parts = [
            [value.float().cpu().numpy() for value in call(model, one[None])]
            for one in torch.from_numpy(squares).to(device)
        ]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _model(self, name: str) -> tuple[Any, str]:
        import torch

        from mami_core.device import DeviceError, chosen
        from mami_core.weights import load

        if name not in self._loaded:
            torch.set_num_threads(min(4, os.cpu_count() or 1))
            try:
                device = chosen(self._device_name)
            except DeviceError as error:
                raise CannotStart(str(error)) from error
            weights = self._given.get(name) or load(name)
            self._loaded[name] = (weights.model.to(device), device)
        return self._loaded[name]


def _medical_facts(name: str) -> dict[str, Any]:
    """What a medical encoder says of itself.

    ``zero`` has the modalities that utility can be told of: those where different patients' key
    features differ.

    Raises
    ------
    WeightsError
        There are no such weights, or they are of another kind.
    """
    from mami_core.weights import WeightsError, facts_of

    facts = facts_of(name)
    if facts["kind"] != "mfm" or not isinstance(facts.get("zero"), dict):
        raise WeightsError("--medical: these weights are of another kind; give those of train-mfm")
    return {**facts, "zero": {name: at for name, at in facts["zero"].items() if at < 1.0}}
