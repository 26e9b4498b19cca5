"""Shared by all benchmarks: interleaved rounds, cold or warm caches, ratios to a baseline, a table and a JSON file.

Cases are called in turn, in a new random order every round, so that whatever else the machine does meets all of them
alike. Compare ratios between machines, not milliseconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Hashable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd
import torch

from dsmix_aug._files import replace_when_done

# The profiler logs to standard error about GPUs that it does not find.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

#: Written before each call of a cold round: several times the last level cache of common CPUs.
FLUSH_BYTES = 128 * 2**20


class Timing(NamedTuple):
    """Medians over the rounds, in milliseconds; the quartiles of the wall time say how noisy the machine was."""

    wall_ms: float
    wall_ms_q1: float
    wall_ms_q3: float
    cpu_ms: float
    rounds: int


Case = TypeVar("Case", bound=Hashable)


def interleave(
    cases: Mapping[Case, Callable[[], object]],
    *,
    rounds: int = 30,
    warmup: int = 3,
    cold: bool = True,
    seed: int = 0,
    device: str = "cpu",
) -> dict[Case, Timing]:
    """Time each case once per round.

    Args:
        cases: What to call, by name; the result is dropped outside the timed part.
        rounds: Number of timed rounds.
        warmup: Number of rounds before them.
        cold: Whether to flush the caches before each call. Otherwise each case is called once, untimed, right before.
        seed: Of the order of the cases. Torch's global RNG is seeded alike for each case of a round, so that random
            boxes and levels are the same where the draws are.
        device: Where the cases run; on CUDA a call ends when the device has finished it.
    """
    flush = torch.zeros(FLUSH_BYTES // 8 if cold else 0, dtype=torch.int64)
    order = list(cases)
    shuffle = random.Random(seed)
    wall: dict[Case, list[float]] = {name: [] for name in cases}
    cpu: dict[Case, list[float]] = {name: [] for name in cases}
    for i in range(warmup + rounds):
        shuffle.shuffle(order)
        for name in order:
            if not cold:
                torch.manual_seed(i)
                cases[name]()
            flush.add_(1)
            torch.manual_seed(i)
            gc.disable()
            _wait_for(device)
            cpu_start, wall_start = time.process_time(), time.perf_counter()
            result = cases[name]()
            _wait_for(device)
            wall_end, cpu_end = time.perf_counter(), time.process_time()
            gc.enable()
            del result
            if i >= warmup:
                wall[name].append((wall_end - wall_start) * 1e3)
                cpu[name].append((cpu_end - cpu_start) * 1e3)
    return {name: _summary(wall[name], cpu[name]) for name in cases}


def _wait_for(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def _summary(wall: Sequence[float], cpu: Sequence[float]) -> Timing:
    q1, median, q3 = statistics.quantiles(wall, n=4, method="inclusive") if len(wall) > 1 else [wall[0]] * 3
    return Timing(median, q1, q3, statistics.median(cpu), len(wall))


def rows_of(timings: Mapping[str, Timing], baseline: str | None = None, **columns: object) -> list[dict[str, Any]]:
    """Turn timings into rows of a table, with the ratio of each median to the baseline's.

    Args:
        timings: From :func:`interleave`.
        baseline: Name of the case that the ratios refer to.
        **columns: Leading columns that are the same in every row, such as the batch and the dtype.
    """
    rows = []
    for name, timing in timings.items():
        row: dict[str, Any] = {**columns, "case": name, **timing._asdict()}
        if baseline is not None:
            row["ratio"] = timing.wall_ms / timings[baseline].wall_ms
            row["cpu_ratio"] = timing.cpu_ms / timings[baseline].cpu_ms
        rows.append(row)
    return rows


class Memory(NamedTuple):
    """Bytes that torch and NumPy handed out on the CPU during a call: at the highest point, and held by its result."""

    peak: int
    kept: int

    @property
    def temporary(self) -> int:
        """The memory needed beyond the inputs and the result."""
        return self.peak - self.kept


def measure_memory(function: Callable[[], object], device: str = "cpu") -> Memory:
    """Call a function and follow every allocation on the device.

    On the CPU torch's are followed in one call and NumPy's in another, and the two highest points, which need not
    coincide, are added up: never less than what the call needs.
    """
    function()  # first calls may fill caches that are not the function's own
    return _measure_cuda_memory(function, device) if torch.device(device).type == "cuda" else _measure_memory(function)


def _measure_cuda_memory(function: Callable[[], object], device: str) -> Memory:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    result = function()
    torch.cuda.synchronize(device)
    memory = Memory(torch.cuda.max_memory_allocated(device) - before, torch.cuda.memory_allocated(device) - before)
    del result
    return memory


def _measure_memory(function: Callable[[], object]) -> Memory:
    tracemalloc.start()
    result = function()
    del result
    numpy_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        result = function()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    del result
    return Memory(peak + numpy_peak, held)


def environment(packages: Sequence[str] = (), device: str = "cpu") -> dict[str, Any]:
    """The environment that the timings depend on: versions, processor, threads, and how busy the machine is."""
    versions: dict[str, str | None] = {}
    for package in ("torch", "torchvision", "dsmix-aug", "numpy", *packages):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "versions": versions,
        "cpu": _cpu_name(),
        "device": torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def argument_parser(description: str, output: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="timed rounds")
    parser.add_argument("--threads", type=int, default=2, help="torch's intra-op threads")
    parser.add_argument("--device", default="cpu", help="where batches lie, such as cpu or cuda")
    parser.add_argument("--output", type=Path, default=Path(output), help="where to write the JSON")
    parser.add_argument("--smoke", action="store_true", help="tiny inputs and two rounds, to see that it runs")
    return parser


def report(title: str, rows: Sequence[Mapping[str, Any]], env: Mapping[str, Any], output: Path) -> None:
    """Print a table and write the same rows with the environment as JSON, under a temporary name first."""
    versions = ", ".join(f"{package} {version}" for package, version in env["versions"].items())
    print(f"\n{title}\n{env['device']}; {env['cpu']}, {env['cores']} cores, {env['threads']} threads; {versions}\n")
    table = pd.DataFrame(list(rows))
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}", na_rep="-"))
    with replace_when_done(output) as temporary:
        temporary.write_text(json.dumps({"title": title, "environment": env, "rows": list(rows)}, indent=1) + "\n")
    print(f"\nwrote {output}")
