"""Risk and utility of one image in Python, without writing a share-ready copy.

python examples/risk_and_utility.py IMAGE
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from deid.scrub.run import scrub


def main(image: str) -> dict[str, object]:
    """Scrub into a folder that is thrown away, and return the figures of the image."""
    with tempfile.TemporaryDirectory() as folder:
        (row,) = scrub(image, Path(folder) / "output").rows
    names = ("status", "reason", "risk_before", "risk", "risk_basis", "utility", "fidelity")
    return {name: row[name] for name in names}


if __name__ == "__main__":
    for name, value in main(sys.argv[1]).items():
        print(f"{name:12} {value}")
