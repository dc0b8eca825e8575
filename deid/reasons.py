"""Why a file is not released: the fixed list, and the exception that carries one of them."""

from __future__ import annotations

REASONS = (
    "malformed",
    "not_image",
    "undecodable",
    "head",
    "other_modality",
    "modality_unknown",
    "text_remains",
    "text_unavailable",
    "risk",
    "unproven",
    "too_large",
    "unreadable",
    "unsupported_edit",
    "verify_failed",
    "link",
)


class Withheld(Exception):  # noqa: N818 - it is an outcome of a file, not an error of the program
    """A file must not be released.

    Parameters
    ----------
    reason
        One of `REASONS`.
    detail
        What is wrong and what to do, in static words: no value, name or path out of the file.
    """

    def __init__(self, reason: str, detail: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"not a reason: {reason}")
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
