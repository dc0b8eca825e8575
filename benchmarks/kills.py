"""Kill `deid scrub` at random moments, resume it, and compare with an uninterrupted run.

python benchmarks/kills.py --times 100
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deid.phantoms import make
from deid.tags import new_key

CODE = "from deid.cli.app import main; main()"


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 by name of every file that has its final name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".partial" not in path.parts
    }


def run(source: Path, output: Path, key: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start a run."""
    command = [sys.executable, "-c", CODE, "scrub", str(source), str(output), *more]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, "--key-file", str(key)], **quiet)


def wait_for(process: subprocess.Popen[bytes], output: Path, files: int) -> None:
    """Until so many files have their final names, or the run ends."""
    while process.poll() is None and len(digests(output)) < files:
        time.sleep(0.02)


def main() -> int:
    """Print how many of the killed runs ended with other files than the whole one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    times = parser.parse_args().times
    scratch = Path(tempfile.mkdtemp())
    wrong = 0
    try:
        make(scratch / "input", patients=1, visits=2, seed=1, size=192, ct_size=96, slices=4)
        new_key(scratch / "key")
        began = time.monotonic()
        run(scratch / "input", scratch / "whole", scratch / "key").wait()
        length = time.monotonic() - began
        expected = digests(scratch / "whole")
        for seed in range(times):
            output = scratch / f"killed-{seed}"
            process = run(scratch / "input", output, scratch / "key")
            # By the clock alone most would die before the first file where the machine got busy.
            moment = random.Random(seed)
            files = moment.randint(0, len(expected))
            wait_for(process, output, files)
            time.sleep(moment.uniform(0.0, 0.3 if files else length))
            process.send_signal(signal.SIGKILL)
            process.wait()
            early = digests(output) if output.exists() else {}
            partial = any(expected.get(name) != digest for name, digest in early.items())
            run(scratch / "input", output, scratch / "key", "--resume").wait()
            same = digests(output) == expected
            wrong += partial or not same
            print(f"{seed}: {len(early)} files when killed; {'same' if same else 'OTHER'} files")
            shutil.rmtree(output)
            shutil.rmtree(output.with_name(output.name + ".run"))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{wrong} of {times} runs went wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
