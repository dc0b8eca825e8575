"""Exact search beside faiss's exact index: `python benchmarks/search.py [ROUNDS]`

2,000 queries against 100,000 embeddings of 512 numbers, the 10 nearest, from rows as an encoder
gives them to rows that were found. The sides take turns, each in a process of its own; printed are
medians, the ratio of neighbouring turns, and peak memory of the whole process, data included. Exit
status 1 where the ratio is above 1.2, memory at 2 GiB or more, or the answers differ.

Measured on two cores that others shared (2026-11): ratio 0.85 (5.6 s against 6.2 s) and, while a
training ran, 1.01 (15.1 s against 14.5 s); peak 1.06 GiB against 0.44 GiB.
"""

from __future__ import annotations

import hashlib
import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
from numpy.typing import NDArray

QUERIES, GALLERY, WIDTH, K = 2_000, 100_000, 512, 10
MAY_COST, MAY_HOLD = 1.2, 2 * 1024**3

Rows = NDArray[np.float32]


def ours(queries: Rows, gallery: Rows) -> NDArray[np.int64]:
    """`mami_core.evaluation.search`, by torch."""
    from mami_core.evaluation.search import nearest

    return nearest(queries, gallery, K)[1]


def faiss(queries: Rows, gallery: Rows) -> NDArray[np.int64]:
    """``IndexFlatIP`` as its manual uses it for cosines."""
    from faiss import IndexFlatIP, normalize_L2

    normalize_L2(queries)
    normalize_L2(gallery)
    index = IndexFlatIP(WIDTH)
    index.add(gallery)
    found: NDArray[np.int64] = index.search(queries, K)[1]
    return found


SIDES = {"ours": ours, "faiss": faiss}


def turn(side: str) -> dict[str, object]:
    """Run one side in this process."""
    generator = np.random.default_rng(0)
    queries, gallery = (
        generator.standard_normal((count, WIDTH), dtype=np.float32) for count in (QUERIES, GALLERY)
    )
    SIDES[side](queries[:1].copy(), gallery[:100].copy())  # imports and threads
    start = time.perf_counter()
    places = SIDES[side](queries, gallery)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    digest = hashlib.sha256(np.ascontiguousarray(places).tobytes()).hexdigest()
    return {"seconds": seconds, "peak": peak, "places": digest}


def main(rounds: int) -> int:
    """Let the sides take turns; 1 where ours does not hold."""
    turns: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, done in turns.items():
            call = [sys.executable, __file__, "--turn", side]
            done.append(json.loads(subprocess.run(call, capture_output=True, check=True).stdout))
    for side, done in turns.items():
        seconds = statistics.median(one["seconds"] for one in done)
        peak = max(one["peak"] for one in done)
        print(f"{side:6} {seconds:6.2f} s, peak {peak / 1024**3:.2f} GiB")
    ratio = statistics.median(
        one["seconds"] / other["seconds"]
        for one, other in zip(turns["ours"], turns["faiss"], strict=True)
    )
    peak = max(one["peak"] for one in turns["ours"])
    same = len({one["places"] for done in turns.values() for one in done}) == 1
    agree = "equal" if same else "differ"
    print(f"ours over faiss: {ratio:.2f} (median of {rounds}); answers {agree}")
    return int(ratio > MAY_COST or peak >= MAY_HOLD or not same)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--turn"]:
        print(json.dumps(turn(sys.argv[2])))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
