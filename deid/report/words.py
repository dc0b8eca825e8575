"""Values as a person reads them: figures with sensible digits, and text that plays no tricks."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

#: What each reason means, and what to do about it.
REASONS = {
    "malformed": "The file is damaged or contradicts itself; export it again.",
    "not_image": "It holds no image (a report, a plan, a document, something else).",
    "undecodable": "Its pixel data can not be decoded or cleaned, or are not as long as it says.",
    "head": "A head is in view: a face can be rebuilt from it, and this version removes none.",
    "other_modality": "Not X-ray, CT or fundus; name the modality with --modality to take it.",
    "modality_unknown": "Nothing says what it shows; --modality decides.",
    "text_remains": "Text was still found in the pixels after blanking.",
    "text_unavailable": "Text search could not run, so clean pixels can not be claimed.",
    "risk": "Its residual risk is above --max-risk, by those who chose or as measured anew.",
    "unproven": "No risk can be stated for it and --max-risk was given; see --allow-unproven.",
    "too_large": "It would take more than 4 GiB of memory.",
    "unreadable": "The file could not be read; check its permissions and the disk.",
    "unsupported_edit": "Its pixels had to be changed, in a format that can not be edited yet.",
    "verify_failed": "The written copy did not read back as meant; it was removed.",
    "link": "A link that leads out of INPUT is not followed.",
}

#: Row numbers of files that are named together.
NAMED = 6

#: Columns that hold a figure between 0 and 1, or the word unknown.
FIGURES = ("risk_before", "risk", "utility", "findings", "fidelity")


def files(numbers: Sequence[int]) -> str:
    """The first of them, by their rows in the report."""
    more = " ..." if len(numbers) > NAMED else ""
    return " ".join(f"#{n}" for n in numbers[:NAMED]) + more


def number(value: Any) -> float | None:
    """The figure in a report's cell; None where it is unknown, and never 0 for that."""
    if value is None or isinstance(value, bool):
        return None
    try:
        figure = float(value)
    except (TypeError, ValueError):
        return None
    return figure if math.isfinite(figure) else None


def risk(value: Any) -> str:
    """A probability with two digits; close to 0 or 1 a bound, so that rounding claims neither."""
    figure = number(value)
    if figure is None:
        return "unknown"
    if 0.995 <= figure < 1:
        return ">0.99"
    if 0 < figure < 0.0001:
        return "<0.0001"
    return f"{figure:.2f}" if figure >= 0.1 or figure <= 0 else f"{figure:#.2g}"


def utility(value: Any) -> str:
    """A figure whose 1 means unchanged: three decimals, and 1 only where it is 1."""
    figure = number(value)
    if figure is None:
        return "unknown"
    if 0.9995 <= figure < 1:
        return ">0.999"
    return "1" if figure == 1 else f"{figure:.3f}"


def figure(column: str, value: Any) -> str:
    """The text of a figure's cell."""
    return risk(value) if column.startswith("risk") else utility(value)


def visible(text: str) -> str:
    """`text` with control, format and unpaired surrogate characters written out.

    A file name may hold line breaks, or marks that turn the direction of what follows; shown as
    they are they would break a line, or show a name that is not the file's.
    """
    return "".join(_escaped(c) if _invisible(c) else c for c in text)


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
