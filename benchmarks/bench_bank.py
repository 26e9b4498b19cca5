"""The cost of each distortion at each level, and of a mixed random batch, next to other libraries' distortions.

Milliseconds per image, the median over interleaved rounds: on the CPU of process time, so that no thread goes
uncounted, on CUDA of wall time.

    python benchmarks/bench_bank.py
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import skimage.data
import torch
from _harness import argument_parser, environment, interleave, report
from _peers import LIBRARIES, Batches
from torch import Tensor

from dsmix_aug import DistortionBank
from dsmix_aug.distortions import BEYOND, KADID_10K

LEVELS = (1, 2, 3, 4, 5)
PHOTOS = ("astronaut", "coffee", "chelsea", "rocket")
MIXED = "mixed random batch"
NUM_COMPOSED = 4
COMPOSED = f"mixed random batch, per distortion of {NUM_COMPOSED}"

#: The key of a case: library, type, the library's name for it, kind of images, level (0: a mixed batch).
Case = tuple[str, str, str, str, int]


def photo_crops(batch_size: int, size: int) -> Tensor:
    """Return different crops (B, 3, size, size), uint8, of photos that ship with scikit-image."""
    photos = [torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1) for name in PHOTOS]
    crops = []
    for i in range(batch_size):
        photo = photos[i % len(photos)]
        top, left = (37 * i) % (photo.shape[1] - size), (53 * i) % (photo.shape[2] - size)
        crops.append(photo[:, top : top + size, left : left + size])
    return torch.stack(crops)


def bank_cases(bank: DistortionBank, batches: Batches) -> dict[Case, Callable[[], object]]:
    """Return every type at every level on float32, and batches of the default bank's mixed types in both dtypes."""
    kadid = DistortionBank()
    cases: dict[Case, Callable[[], object]] = {}
    for name, distortion in bank.items():
        for level in LEVELS:
            cases["dsmix-aug", name, name, "float32", level] = partial(distortion, batches["float32"], level)
    for kind in ("float32", "uint8"):
        cases["dsmix-aug", MIXED, "DistortionBank", kind, 0] = partial(kadid, batches[kind])
        cases["dsmix-aug", COMPOSED, "DistortionBank", kind, 0] = partial(compose, kadid, batches[kind])
    return cases


def compose(bank: DistortionBank, images: Tensor) -> Tensor:
    """Draw and apply several distortions per image."""
    return bank.apply(images, bank.make_composed_params(images, NUM_COMPOSED))


def peer_cases(bank: DistortionBank, batches: Batches) -> tuple[dict[Case, Callable[[], object]], list[str]]:
    """Return every level of every peer that runs, and why the others do not."""
    cases: dict[Case, Callable[[], object]] = {}
    skipped = []
    for library, peers_of in LIBRARIES.items():
        try:
            peers = peers_of(lambda name, level: bank[name].values[level - 1])
        except ImportError as error:
            skipped.append(f"{library}: {error}")
            continue
        for peer in peers:
            try:
                calls = {level: peer.at_level(level) for level in LEVELS}
                for call in calls.values():
                    call(batches[peer.images])
            except Exception as error:  # whatever another library raises on the versions at hand
                skipped.append(f"{library}.{peer.call}: {type(error).__name__}: {error}")
                continue
            for level, call in calls.items():
                key = (library, peer.type, peer.call, peer.images, level)
                cases[key] = partial(call, batches[peer.images])
    return cases, skipped


def table(costs: dict[Case, float], bank: DistortionBank) -> list[dict[str, Any]]:
    """Return a row per type and library, the bank's own first, with a column per level and their mean."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    order = [*bank, MIXED, COMPOSED]
    for (library, name, call, images, level), cost in sorted(costs.items(), key=lambda case: order.index(case[0][1])):
        start = {"distortion": name, "library": library, "call": call, "images": images}
        row = rows.setdefault((name, library, call, images), start)
        row[f"level {level}" if level else "mean"] = cost
    for row in rows.values():
        if "mean" not in row:
            row["mean"] = sum(row[f"level {level}"] for level in LEVELS) / len(LEVELS)
    return list(rows.values())


def main() -> None:
    """Run the benchmark, print the table and write the JSON."""
    parser = argument_parser(__doc__, "runs/benchmarks/bank.json")
    parser.set_defaults(rounds=7, threads=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    batch_size, size = (2, 64) if args.smoke else (32, 224)
    pixels = photo_crops(batch_size, size)
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in pixels]
    on_device = pixels.to(args.device)
    batches: Batches = {"float32": on_device / 255, "uint8": on_device, "arrays": arrays}

    bank = DistortionBank(KADID_10K + BEYOND)
    peers, skipped = peer_cases(bank, batches)
    cases = {**bank_cases(bank, batches), **peers}
    timings = interleave(cases, rounds=2 if args.smoke else args.rounds, warmup=1, device=args.device)
    env = environment([*LIBRARIES, "opencv-python", "pillow"], args.device) | {
        "batch": list(pixels.shape),
        "skipped": skipped,
    }
    distortions = {case: batch_size * (NUM_COMPOSED if case[1] == COMPOSED else 1) for case in cases}
    costs = {case: timing.cpu_ms if args.device == "cpu" else timing.wall_ms for case, timing in timings.items()}
    rows = table({case: cost / distortions[case] for case, cost in costs.items()}, bank)
    report(
        f"ms per image on {args.device}, batch {batch_size}x3x{size}x{size}, {args.threads} thread(s)",
        rows,
        env,
        args.output,
    )
    for reason in skipped:
        print(f"skipped {reason}")


if __name__ == "__main__":
    main()
