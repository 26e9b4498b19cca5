"""Does anything grow when it runs for long? Memory, threads, open files and speed over many batches and many photos.

    python benchmarks/long_run.py --batches 20000                 (a DataLoader with 2 workers, by fork and by spawn)
    python benchmarks/long_run.py --batches 0 --photos 10000      (as `dsmix-aug score` reads and scores them)

Each batch is distorted by the bank and mixed by DSMix in a worker, from uint8 photos. The first tenth is warm-up:
slopes are fitted to the rest. Steps per second on a core (per_cpu_s) hardly depend on what else the machine does.
Reads /proc, so it runs on Linux only.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from _harness import argument_parser, environment, report
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from dsmix_aug import DistortionBank, DSMix, QualityModel, Reference

WORKERS = 2
#: How often the processes are looked at.
SAMPLES = 200
#: Share of the run before the slope is fitted: caches fill, allocators settle.
WARM_UP = 0.1


class Sample(NamedTuple):
    """The state of this process and its children after ``done`` steps."""

    done: int
    seconds: float
    cpu_seconds: float
    memory_mib: float
    threads: int
    files: int


class RandomPhotos(Dataset[Tensor]):
    """Noise as uint8 photos, another one for each index."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        generator = torch.Generator().manual_seed(index)
        return torch.randint(0, 256, (3, self.size, self.size), dtype=torch.uint8, generator=generator)


class DistortAndMix:
    """A collate function that distorts and mixes."""

    def __init__(self) -> None:
        self.bank = DistortionBank()
        self.mix = DSMix(num_classes=self.bank.num_classes, box="sample", partner="random")

    def __call__(self, photos: list[Tensor]) -> Any:
        """Return a mixed batch of images, labels and references."""
        references = default_collate(photos)
        return self.mix(*self.bank(references), Reference(references))


def main() -> None:
    """Run what is asked for and print one row for each."""
    parser = argument_parser(__doc__ or "", "runs/benchmarks/long_run.json")
    parser.add_argument("--batches", type=int, default=20_000, help="batches for each way to start workers")
    parser.add_argument("--batch-size", type=int, default=8, help="images in a batch")
    parser.add_argument("--size", type=int, default=64, help="side of the images in px")
    parser.add_argument("--start", nargs="*", default=["fork", "spawn"], help="ways to start the workers")
    parser.add_argument("--photos", type=int, default=0, help="photos to score")
    args = parser.parse_args()
    if args.smoke:
        args.batches, args.photos = min(args.batches, 40), min(args.photos, 20)
    torch.set_num_threads(args.threads)
    rows = []
    for start in args.start if args.batches else ():
        rows.append(run_batches(start, args.batches, args.batch_size, args.size))
    if args.photos:
        rows.append(run_photos(args.photos, args.size))
    report("Long run", rows, environment(), args.output)


def run_batches(start: str, batches: int, batch_size: int, size: int) -> dict[str, Any]:
    """Take batches from a DataLoader whose workers distort and mix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking a process with threads
        loader = DataLoader(
            RandomPhotos(batches * batch_size, size),
            batch_size=batch_size,
            num_workers=WORKERS,
            collate_fn=DistortAndMix(),
            multiprocessing_context=start,
        )
        return summary(f"bank + DSMix, {start}", watch(loader, batches))


def run_photos(photos: int, size: int) -> dict[str, Any]:
    """Read and score photos, each by itself, as the command does."""
    model = QualityModel.from_pretrained("small")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.png" for number in range(64)]
        for number, file in enumerate(files):
            cv2.imwrite(str(file), RandomPhotos(64, size)[number].permute(1, 2, 0).numpy())
        scores = model.score_each([files[number % len(files)] for number in range(photos)])
        return summary("score", watch(scores, photos))


def watch(steps: Iterable[object], count: int) -> list[Sample]:
    """Go through all steps, and look at the processes :data:`SAMPLES` times on the way."""
    samples, started, every = [], time.perf_counter(), max(1, count // SAMPLES)
    for done, _ in enumerate(steps, start=1):
        if done % every == 0 or done == 1:
            samples.append(Sample(done, time.perf_counter() - started, *state_of_processes()))
    return samples


def state_of_processes() -> tuple[float, float, int, int]:
    """Return seconds on a core, MiB, threads and open files of this process and its children.

    Shared pages count once. Those of files do not count: how many are in memory is up to the system.
    """
    pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children() if child.pid is not None)]
    ticks, memory, threads, files = 0, 0.0, 0, 0
    for pid in pids:
        process = Path(f"/proc/{pid}")
        ticks += sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:13]))
        lines = (process / "smaps_rollup").read_text().splitlines()
        memory += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) / 1024
        threads += len(list((process / "task").iterdir()))
        files += len(list((process / "fd").iterdir()))
    return ticks / os.sysconf("SC_CLK_TCK"), memory, threads, files


def summary(case: str, samples: list[Sample]) -> dict[str, Any]:
    """Return a row: the slope of the memory, the speed in the first and the last fifth, and threads and files."""
    total = samples[-1].done
    settled = [sample for sample in samples if sample.done > WARM_UP * total]
    slope = np.polyfit([s.done for s in settled], [s.memory_mib for s in settled], 1)[0]
    fifth = max(2, len(settled) // 5)
    first, last = settled[:fifth], settled[-fifth:]
    return {
        "case": case,
        "steps": total,
        "minutes": samples[-1].seconds / 60,
        "mib": settled[0].memory_mib,
        "mib_last": settled[-1].memory_mib,
        "kib_per_1000": slope * 1024 * 1000,
        "per_s": steps_per(first, "seconds"),
        "per_s_last": steps_per(last, "seconds"),
        "per_cpu_s": steps_per(first, "cpu_seconds"),
        "per_cpu_s_last": steps_per(last, "cpu_seconds"),
        "threads": f"{settled[0].threads}..{settled[-1].threads}",
        "files": f"{settled[0].files}..{settled[-1].files}",
    }


def steps_per(samples: list[Sample], clock: str) -> float:
    """Return steps per second of a clock between the first and the last of some samples."""
    return (samples[-1].done - samples[0].done) / (getattr(samples[-1], clock) - getattr(samples[0], clock))


if __name__ == "__main__":
    main()
