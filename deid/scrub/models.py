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
from deid.scrub.options import CannotStart, Options
from deid.scrub.pool import Question
from deid.scrub.terms import Card

if TYPE_CHECKING:
    import torch

ENCODER, MEDICAL, REMOVER = "mami_tiny", "mfm_tiny", "remover"


class Models:
    """Answers the questions of `deid.scrub.look` and `deid.scrub.release`.

    Nothing is loaded before the first question; what the weights say of themselves is read without
    torch, so that a run that never asks (``--metadata-only``) never waits for it.
    """

    def __init__(self, options: Options) -> None:
        from mami_core.weights import WeightsError, bundled, checked, facts_of, locate

        try:
            self.hashes = {name: checked(locate(name)) for name in (ENCODER, MEDICAL, REMOVER)}
            encoder, medical, remover = (facts_of(name) for name in (ENCODER, MEDICAL, REMOVER))
            cohorts = {}
            for path in sorted(bundled().glob("cohort_*.safetensors")):
                self.hashes[path.stem] = checked(path)
                cohort = Cohort.load(path)
                # Scores of another encoder mean something else: such a cohort would mislead.
                if cohort.encoder == self.hashes[ENCODER]:
                    cohorts[cohort.modality] = cohort
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
            cohorts=cohorts,
        )
        self._classes = [tuple(name.split("/")) for name in encoder["classes"]]
        self._reject = encoder["reject"]
        self._device_name = options.device
        self._loaded: dict[str, Any] = {}

    def ask(self, questions: list[Question]) -> list[Any]:
        """One answer a question, in order."""
        import torch

        with torch.inference_mode():
            return [getattr(self, f"_{kind}")(payload) for kind, payload in questions]

    # -- the questions ---------------------------------------------------------------------------

    def _identity(self, squares: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(frames, 3, S, S)`` to one normalised vector: a scan is the mean over its slices."""
        (vectors,) = self._forward(ENCODER, lambda model, x: (model(x).identity,), squares)
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

    def _classify(self, squares: NDArray[np.float32]) -> tuple[str, str] | None:
        """(modality, region) of a picture; None where it is like none that was trained on."""

        def both(model: Any, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            seen = model(x)
            return model.modality_head(seen.modality), seen.pooled

        logits, pooled = self._forward(ENCODER, both, squares)
        winner = int(logits.mean(axis=0).argmax())
        modality, region = self._classes[winner]
        rule = self._reject["/".join((modality, region))]
        distance = float(
            (((pooled.mean(axis=0) - rule["mean"]) / rule["spread"]) ** 2).mean() ** 0.5
        )
        return (modality, region) if distance <= rule["limit"] else None

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

        from mami_core.weights import load

        if name not in self._loaded:
            torch.set_num_threads(min(4, os.cpu_count() or 1))
            device = self._device_name
            if device == "auto":
                device = "cuda" if torch.cuda.is_available() else "cpu"
            elif device == "cuda" and not torch.cuda.is_available():
                raise CannotStart("--device cuda: no usable GPU; use --device cpu")
            self._loaded[name] = (load(name).model.to(device), device)
        return self._loaded[name]
