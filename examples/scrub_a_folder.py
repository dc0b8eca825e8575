"""Scrub a folder from Python, and act on what was withheld.

python examples/scrub_a_folder.py INPUT OUTPUT
"""

from __future__ import annotations

import sys
from collections import Counter

from deid.scrub.options import CannotStart
from deid.scrub.run import scrub


def main(source: str, output: str) -> int:
    """Scrub, print the counts, and return the exit status of the run."""
    try:
        result = scrub(source, output)
    except CannotStart as problem:
        print(problem)
        return 2
    print(Counter(row["reason"] or row["status"] for row in result.rows))
    print("read before you sign:", result.report)
    return result.exit_status


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
