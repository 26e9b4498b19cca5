"""The cost of DSMix and the sensitivity map, next to v2.CutMix, v2.MixUp, timm's Mixup and kornia's RandomCutMixV2.

All are called on the same batches in one interleaved run, eager, with soft labels. The ratio is to v2.CutMix on one
image batch, and for "DSMix, Reference" to v2.CutMix on two Image leaves: both mix two batches.

    python benchmarks/bench_mix.py
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import kornia.augmentation
import timm.data
import torch
from _harness import argument_parser, environment, interleave, measure_memory, report, rows_of
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from dsmix_aug import DSMix, Reference, sensitivity_map

NUM_CLASSES = 122
BATCHES = ((32, 3, 224, 224), (64, 3, 128, 128))
CUDA_BATCHES = ((256, 3, 224, 224), (64, 3, 128, 128))
SMOKE_BATCHES = ((4, 3, 64, 64),)

#: What a case is compared with, if not ``v2.CutMix``.
BASELINES = {"DSMix, Reference": "v2.CutMix, two Images"}


def make_cases(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> dict[str, Callable[[], Any]]:
    """Return the functions that are timed on one batch, by name."""
    generator = torch.Generator().manual_seed(0)
    references = torch.rand(shape, generator=generator)
    images = (references + 0.1 * torch.randn(shape, generator=generator)).clamp_(0, 1)
    labels = torch.randint(NUM_CLASSES, shape[:1], generator=generator)
    if dtype == torch.uint8:
        images, references = (images * 255).to(torch.uint8), (references * 255).to(torch.uint8)
    images, references, labels = images.to(device), references.to(device), labels.to(device)
    soft = torch.nn.functional.one_hot(labels, NUM_CLASSES).float()
    reference, dsm = Reference(references), sensitivity_map(images, references)
    pair = (tv_tensors.Image(images), soft, tv_tensors.Image(references))

    cutmix = v2.CutMix(num_classes=NUM_CLASSES)
    mix = DSMix(num_classes=NUM_CLASSES)
    area = DSMix(num_classes=NUM_CLASSES, weighting="area")
    per_sample = DSMix(num_classes=NUM_CLASSES, box="sample")
    shuffled = DSMix(num_classes=NUM_CLASSES, box="sample", partner="random")
    cases = {
        "memory floor: read the batch": lambda: images.view(torch.int64).max(),
        "clone": lambda: images.clone(),
        "v2.CutMix": lambda: cutmix(images, soft),
        "v2.CutMix, two Images": lambda: cutmix(pair),
        "DSMix, area": lambda: area(images, soft),
        "DSMix, map": lambda: mix(images, soft, dsm),
        "DSMix, map, box per sample": lambda: per_sample(images, soft, dsm),
        "DSMix, map, box per sample, random partner": lambda: shuffled(images, soft, dsm),
        "DSMix, Reference": lambda: mix(images, soft, reference),
        "sensitivity_map": lambda: sensitivity_map(images, references),
        "naive map": lambda: naive_map(images, references),
    }
    return cases | peer_cases(images, labels, soft)


def peer_cases(images: Tensor, labels: Tensor, soft: Tensor) -> dict[str, Callable[[], Any]]:
    """Return the peers that work on this dtype; timm changes its input, as it does in training."""
    if images.dtype == torch.uint8:
        in_place = timm.data.Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, mode="batch", num_classes=NUM_CLASSES)
        scratch = images.clone()
        return {"timm Mixup, CutMix in place": lambda: in_place(scratch, labels)}
    mixup = v2.MixUp(num_classes=NUM_CLASSES)
    kornia_cutmix = kornia.augmentation.RandomCutMixV2(p=1.0, data_keys=["input", "class"])
    cases: dict[str, Callable[[], Any]] = {
        "v2.MixUp": lambda: mixup(images, soft),
        "kornia RandomCutMixV2": lambda: kornia_cutmix(images, labels),
    }
    for name, mode in (("CutMix in place", "batch"), ("CutMix, box per sample, in place", "elem")):
        timm_mixup = timm.data.Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, mode=mode, num_classes=NUM_CLASSES)
        scratch = images.clone()
        cases[f"timm Mixup, {name}"] = partial(timm_mixup, scratch, labels)
    mixup_only = timm.data.Mixup(mixup_alpha=1.0, mode="batch", num_classes=NUM_CLASSES)
    own = images.clone()
    cases["timm Mixup, MixUp in place"] = lambda: mixup_only(own, labels)
    return cases


def naive_map(images: Tensor, references: Tensor) -> Tensor:
    """Compute the map in the obvious way."""
    errors = (images.float() - references.float()).abs().mean(1, keepdim=True)
    return torch.nn.functional.avg_pool2d(errors, 16, ceil_mode=True, count_include_pad=False)


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """Add to each row its time relative to its baseline's."""
    by_case = {row["case"]: row for row in rows}
    for row in rows:
        row["ratio to"] = BASELINES.get(row["case"], "v2.CutMix")
        baseline = by_case[row["ratio to"]]
        row["ratio"] = row["wall_ms"] / baseline["wall_ms"]
        row["cpu_ratio"] = row["cpu_ms"] / baseline["cpu_ms"]


def main() -> None:
    """Run every batch, dtype and cache state; print a table and write JSON."""
    parser = argument_parser("DSMix and the sensitivity map against CutMix and its kin", "runs/benchmarks/mix.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # of kornia's lambda, which is not compared
    rows = []
    for shape in SMOKE_BATCHES if args.smoke else BATCHES if args.device == "cpu" else CUDA_BATCHES:
        for dtype in (torch.float32, torch.uint8):
            cases = make_cases(shape, dtype, args.device)
            nbytes = torch.empty(shape, dtype=dtype, device="meta").nbytes
            temporary = {name: measure_memory(case, args.device).temporary / nbytes for name, case in cases.items()}
            columns = {"batch": "x".join(map(str, shape)), "dtype": str(dtype).removeprefix("torch.")}
            for cold in (True, False):
                rounds, warmup = (2, 1) if args.smoke else (args.rounds, 3)
                timings = interleave(cases, rounds=rounds, warmup=warmup, cold=cold, device=args.device)
                part = rows_of(timings, "v2.CutMix", **columns, caches="cold" if cold else "warm")
                for row in part:
                    row["temporary / batch"] = temporary[row["case"]]
                add_ratios(part)
                rows += part
    report("DSMix and the sensitivity map", rows, environment(["timm", "kornia"], args.device), args.output)


if __name__ == "__main__":
    main()
