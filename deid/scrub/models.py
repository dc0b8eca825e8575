"""The bundled networks, in the one process that holds them, and what they answer."""

from __future__ import annotations

from typing import Any

from deid.scrub.options import Options
from deid.scrub.pool import Question
from deid.scrub.terms import Card


class Models:
    """Answers the questions of `deid.scrub.look` and `deid.scrub.release`."""

    def __init__(self, options: Options) -> None:
        self.hashes: dict[str, str] = {}
        self.warnings: list[str] = ["no weights are bundled: risk and utility are unknown"]
        self.card = Card(frozenset(), 0, 0.0, 224, 224, 256)

    def ask(self, questions: list[Question]) -> list[Any]:
        raise NotImplementedError
