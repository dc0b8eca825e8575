"""What the pipeline costs beside its parts. ``make bench`` prints four figures and fails on a bad
one.

1. Wall time of `deid scrub` over the sum of its parts (bare pydicom read and write, model forwards,
text search), each measured alone in the same run with the same processes and threads. Aim 1.3; exit
1 above 1.5.
2. Peak memory of the process tree for 400 files over that for 100. Aim 1.1; exit 1 above 1.2.
3. Text search of a 300-slice series, second look included, over slice by slice. Aim 0.05; exit 1
above 0.08.
4. Headers only: files a second over a bare pydicom read and write of the same files. Aim 0.5.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import generate_uid

from deid import images
from deid.phantoms import chest_xray, ct_volume
from deid.scrub.jobs import Done, Job
from deid.scrub.look import finder, squares
from deid.scrub.models import Models
from deid.scrub.options import Options
from deid.scrub.pool import Pool
from deid.scrub.run import scrub
from deid.text import search_single, search_stack

WORKERS = 2
BATCH = 8


def radiographs(folder: Path, count: int) -> None:
    """`count` CR files of 512 x 512, one a patient."""
    folder.mkdir(parents=True)
    for n in range(count):
        picture = (chest_xray(n, 0, 512) * 4095).astype(np.uint16)
        _write(folder / f"{n}.dcm", "CR", picture[None], patient=n, series=generate_uid())


def series(folder: Path, slices: int) -> None:
    """One CT series of `slices` files of 256 x 256."""
    folder.mkdir(parents=True)
    volume = ct_volume(0, 0, 256, slices)
    uid = generate_uid()
    for n, plane in enumerate(volume):
        _write(folder / f"{n:04d}.dcm", "CT", (plane + 1024).astype(np.uint16)[None], 0, uid, n)


def cine(folder: Path, frames: int) -> None:
    """One multi-frame object of `frames` frames of 256 x 256."""
    folder.mkdir(parents=True)
    picture = (chest_xray(0, 0, 256) * 4000).astype(np.uint16)
    stack = np.stack([np.roll(picture, n % 7, axis=0) for n in range(frames)])
    _write(folder / "cine.dcm", "XA", stack, 0, generate_uid())


def _write(
    path: Path, modality: str, stack: np.ndarray, patient: int, series: str, order: int = 0
) -> None:
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    classes = {"CR": "1.1", "CT": "1.2", "XA": "1.12.1"}
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID = meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1." + classes[modality]
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid()
    data.PatientID, data.PatientName, data.Modality = f"P{patient}", f"Bench^{patient}", modality
    data.SeriesInstanceUID = series
    data.StudyInstanceUID = generate_uid(entropy_srcs=[series])
    data.StudyDate, data.BodyPartExamined = "20200101", "CHEST"
    data.InstanceNumber = order + 1
    if modality == "CT":
        data.RescaleSlope, data.RescaleIntercept = "1", "-1024"
        data.ImagePositionPatient, data.PixelSpacing = [0, 0, order], [1.4, 1.4]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    if len(stack) > 1:
        data.NumberOfFrames = len(stack)
    data.Rows, data.Columns = stack.shape[1:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = stack.tobytes()
    data.save_as(path, enforce_file_format=True)


# -- the parts, as jobs
# ------------------------------------------------------------------------------


def read_and_write(path: Path, target: Path, _: None) -> Generator[Any, Any, None]:
    """Job: what pydicom alone needs for a file."""
    yield from ()
    pydicom.dcmread(path).save_as(target)


def search(paths: tuple[Path, ...], one_by_one: bool, _: None) -> Generator[Any, Any, float]:
    """Job: seconds of text search in the pictures of a unit, decoding not counted."""
    yield from ()
    pictures = np.concatenate([images.plain(images.read(p, images.inspect(p))) for p in paths])
    finder()
    began = time.perf_counter()
    if one_by_one or len(pictures) == 1:
        for picture in pictures:
            search_single(picture, finder())
    else:
        search_stack(pictures, finder())
    return time.perf_counter() - began


def _pooled(jobs: list[Job]) -> tuple[float, list[Any]]:
    queue = iter(jobs)
    with Pool(WORKERS, setup=quiet_worker, in_flight=BATCH, budget=10**9) as pool:
        warm = iter([Job(0, "bench:nothing", ()) for _ in range(WORKERS)])
        list(pool.run(lambda: next(warm, None), lambda _: []))
        began = time.perf_counter()
        ends = list(pool.run(lambda: next(queue, None), lambda _: []))
    wall = time.perf_counter() - began
    if not all(isinstance(end, Done) for end in ends):
        raise SystemExit(f"a part of the benchmark failed: {ends}")
    return wall, [end.value for end in ends if isinstance(end, Done)]


def quiet_worker() -> None:
    """What the run sets in its workers."""
    import cv2

    cv2.setNumThreads(1)


def nothing(_: None) -> Iterator[Any]:
    """Job: load what every worker loads."""
    yield from ()


def bare(folder: Path, scratch: Path) -> float:
    """Seconds that reading and writing the files takes pydicom, in as many processes."""
    scratch.mkdir()
    paths = sorted(folder.rglob("*.dcm"))
    jobs = [Job(n, "bench:read_and_write", (p, scratch / f"{n}.dcm")) for n, p in enumerate(paths)]
    return _pooled(jobs)[0]


def forwards(folder: Path, modality: str | None) -> float:
    """Seconds of the networks alone, with the questions that the run asks."""
    models = Models(Options(folder, folder))
    seconds = 0.0
    for path in sorted(folder.rglob("*.dcm")):
        header = images.inspect(path)
        if (modality or header.modality, header.region) not in models.card.pairs:
            continue
        views = images.view(images.read(path, header))
        medical = squares(views[:8], models.card.medical)
        every = squares(views, models.card.remover)
        code = np.zeros(models.card.code, np.float32)
        described: list[Any] = [
            ("identity", (one.name, squares(views[:8], one.size)))
            for one in models.card.attackers[modality or header.modality]
        ]
        described.append(("medical", medical))
        began = time.perf_counter()
        models.ask([*described, *described, ("remove", (every, code, models.card.strength))])
        seconds += time.perf_counter() - began
    return seconds


def against_parts(name: str, folder: Path, scratch: Path, modality: str | None = None) -> float:
    """Wall time of the run over the sum of its parts."""
    paths = sorted(folder.rglob("*.dcm"))
    units = [tuple(paths)] if name == "CT series" else [(path,) for path in paths]
    disk = bare(folder, scratch / "bare")
    _, searches = _pooled([Job(n, "bench:search", (u, False)) for n, u in enumerate(units)])
    text = sum(searches) / min(WORKERS, len(units))
    models = forwards(folder, modality)
    began = time.perf_counter()
    scrub(folder, scratch / "output", modality=modality, workers=WORKERS, batch_size=BATCH)
    wall = time.perf_counter() - began
    ratio = wall / (disk + text + models)
    parts = f"disk {disk:.1f}, text {text:.1f}, models {models:.1f}"
    print(f"{name}: {wall:.1f} s; {parts}; ratio {ratio:.2f}")
    return ratio


def peak(folder: Path, scratch: Path) -> int:
    """Largest sum of the proportional set sizes of the run's processes, in bytes."""
    code = "from deid.cli.app import main; main()"
    command = [sys.executable, "-c", code, "scrub", str(folder), str(scratch / "output")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    largest = 0
    while process.poll() is None:
        largest = max(largest, sum(map(_pss, _tree(process.pid))))
        time.sleep(0.2)
    return largest


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _tree(int(child)))]


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def headers_only(folder: Path, scratch: Path) -> float:
    """Files a second with ``--metadata-only`` over a bare read and write."""
    disk = bare(folder, scratch / "bare-headers")
    began = time.perf_counter()
    scrub(folder, scratch / "headers", metadata_only=True, workers=WORKERS, batch_size=64)
    return disk / (time.perf_counter() - began)


def main() -> int:
    """Run all four; the exit status tells whether a bound was passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full counts")
    scale = parser.parse_args().scale
    many = {name: max(4, int(scale * n)) for name, n in (("cr", 200), ("ct", 300), ("cine", 300))}
    failures: list[str] = []

    def judge(
        what: str, value: float, aim: float, bound: float, worse: Callable[..., bool]
    ) -> None:
        print(f"{what}: {value:.3f} (aim {aim}, bound {bound})")
        if worse(value, bound):
            failures.append(what)

    scratch = Path(tempfile.mkdtemp())
    try:
        radiographs(scratch / "cr", many["cr"])
        series(scratch / "ct", many["ct"])
        cine(scratch / "cine", many["cine"])
        for name, folder, modality in (
            ("CR files", "cr", None),
            ("CT series", "ct", None),
            ("cine", "cine", "xray"),
        ):
            (scratch / f"{folder}-run").mkdir()
            ratio = against_parts(name, scratch / folder, scratch / f"{folder}-run", modality)
            judge(f"{name}, wall over parts", ratio, 1.3, 1.5, float.__gt__)
        peaks = []
        for count in (100, 400):
            (scratch / f"memory-{count}").mkdir()
            radiographs(scratch / f"memory-{count}" / "input", max(4, int(scale * count)))
            peaks.append(peak(scratch / f"memory-{count}" / "input", scratch / f"memory-{count}"))
        judge("peak memory, 400 files over 100", peaks[1] / peaks[0], 1.1, 1.2, float.__gt__)
        paths = tuple(sorted((scratch / "ct").glob("*.dcm")))
        part = paths[:: max(1, len(paths) // 30)]
        _, (together,) = _pooled([Job(0, "bench:search", (paths, False))])
        _, (alone,) = _pooled([Job(0, "bench:search", (part, True))])
        alone *= len(paths) / len(part)
        judge(
            "text search of a series over slice by slice",
            together / alone,
            0.05,
            0.08,
            float.__gt__,
        )
        judge(
            "headers only, over bare", headers_only(scratch / "cr", scratch), 0.5, 0.0, float.__lt__
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
