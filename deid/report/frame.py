"""What our pages have in common: one look, one policy, and nothing that comes from outside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deid.report import words

_HERE = "deid.report"


def render(
    package: str, template: str, *, styles: Sequence[str] = (), script: str = "", **values: Any
) -> Iterator[str]:
    """A page, piece by piece.

    Parameters
    ----------
    package, template
        Where the template lies; it extends ``frame.html.j2``.
    styles, script
        Files of the package that act on the page: styles beside ``page.css``, and a script.
    values
        What the template shows; it is escaped.

    Notes
    -----
    The page's own policy lets no style and no script act but those that came with it, and loads
    nothing from anywhere.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader(_HERE, ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        allowed=_allowed, risk=words.risk, utility=words.utility, visible=words.visible
    )
    style = _asset(_HERE, "page.css") + Markup().join(_asset(package, name) for name in styles)
    acting = _asset(package, script) if script else Markup()
    return environment.get_template(template).generate(style=style, script=acting, **values)


def _asset(package: str, name: str) -> Markup:
    """A file of a package, to be put into the page as it is."""
    return Markup(resources.files(package).joinpath(name).read_text("utf-8"))


def _allowed(text: str) -> Markup:
    """How a content security policy names a script or style that may act."""
    digest = hashlib.sha256(text.encode()).digest()
    return Markup(f"'sha256-{base64.b64encode(digest).decode()}'")
