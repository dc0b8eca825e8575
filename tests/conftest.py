"""Fixtures that every room shares."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says nothing on a machine that others use too. Whoever looks for what
# nobody has met yet takes more of them: pytest --hypothesis-profile=default.
settings.register_profile("shared machine", deadline=None, max_examples=50)
settings.load_profile("shared machine")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public test data beside the checkout; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("the shared test data is not beside this checkout")
    return SHARED
