"""How many images per second a DataLoader's workers load, distort and mix, and how that compares to a training step.

    python benchmarks/bench_throughput.py

Photos are read from JPEG files, cropped and flipped; the collate function augments the uint8 batch. The loop that takes
the batches turns them into float32 in [0, 1], so that workers send a quarter of the bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import PIL.Image
import skimage.data
import torch
import torch.nn.functional as F
import torchvision
from _harness import argument_parser, environment, interleave, report
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms import v2

from dsmix_aug import DistortionBank, DSMix, Reference

PHOTOS = ("astronaut", "coffee", "chelsea", "rocket")
WORKERS = (0, 1, 2)
BACKBONE = "resnet50"

bank = DistortionBank()
cutmix = v2.CutMix(num_classes=bank.num_classes)
dsmix = DSMix(num_classes=bank.num_classes)
Batch = tuple[Tensor, Tensor]


class JpegPhotos(Dataset[tuple[Tensor, int]]):
    """Crops of JPEG files (uint8) with the number of the file as label."""

    def __init__(self, files: list[Path], crop_size: int) -> None:
        self.files = files
        self.augment = v2.Compose([v2.RandomCrop(crop_size), v2.RandomHorizontalFlip()])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.augment(torchvision.io.decode_image(str(self.files[index]))), index % bank.num_classes


def no_augmentation(images: Tensor, labels: Tensor) -> Batch:
    """Leave the batch as it is."""
    return images, labels


def v2_cutmix(images: Tensor, labels: Tensor) -> Batch:
    """Mix as torchvision does."""
    return cutmix(images, labels)


def distortion_bank(images: Tensor, labels: Tensor) -> Batch:
    """Distort each image with a random class."""
    return bank(images)


def bank_and_dsmix(images: Tensor, labels: Tensor) -> Batch:
    """Distort each image with a random class and mix."""
    distorted, labels = bank(images)
    mixed, labels, _ = dsmix(distorted, labels, Reference(images))
    return mixed, labels


PIPELINES: dict[str, Callable[[Tensor, Tensor], Batch]] = {
    "no augmentation": no_augmentation,
    "v2.CutMix": v2_cutmix,
    "bank": distortion_bank,
    "bank, DSMix": bank_and_dsmix,
}


class Collate:
    """Collate and augment."""

    def __init__(self, augment: Callable[[Tensor, Tensor], Batch]) -> None:
        self.augment = augment

    def __call__(self, samples: list[Any]) -> Batch:
        """Return images (B, 3, H, W), uint8, and labels."""
        return self.augment(*default_collate(samples))


def write_photos(folder: Path, count: int, side: int) -> list[Path]:
    """Write crops of photos that ship with scikit-image as JPEG files."""
    files = []
    for i in range(count):
        photo = getattr(skimage.data, PHOTOS[i % len(PHOTOS)])()
        top, left = (37 * i) % (photo.shape[0] - side + 1), (53 * i) % (photo.shape[1] - side + 1)
        files.append(folder / f"{i:04}.jpg")
        PIL.Image.fromarray(photo[top : top + side, left : left + side]).save(files[-1], quality=95)
    return files


def run_epoch(loader: DataLoader[Any], device: str) -> None:
    """Take every batch as a training loop does."""
    for images, _ in loader:
        images.to(device, non_blocking=True).float().div_(255)


def loader_cases(dataset: JpegPhotos, batch_size: int, device: str) -> dict[str, Callable[[], object]]:
    """Return one epoch through each pipeline with each number of workers, which stay alive between epochs."""
    cases: dict[str, Callable[[], object]] = {}
    for workers in WORKERS:
        for name, augment in PIPELINES.items():
            loader = DataLoader(
                dataset,
                batch_size,
                shuffle=True,
                drop_last=True,
                collate_fn=Collate(augment),
                num_workers=workers,
                persistent_workers=workers > 0,
            )
            cases[f"{name}/{workers}"] = partial(run_epoch, loader, device)
    return cases


def part_cases(dataset: JpegPhotos, batch_size: int, device: str) -> dict[str, Callable[[], object]]:
    """Return the parts of a step in the main process: load, augment, train."""
    indices = range(batch_size)
    images = default_collate([dataset[i] for i in indices])[0].to(device)
    distorted, classes = bank(images)
    soft = F.one_hot(classes, bank.num_classes).float()
    model = torchvision.models.get_model(BACKBONE, num_classes=bank.num_classes).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def train_step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(distorted / 255), soft).backward()
        optimizer.step()

    return {
        "load": lambda: [dataset[i] for i in indices],
        "bank": lambda: bank(images),
        "DSMix": lambda: dsmix(distorted, classes, Reference(images)),
        "v2.CutMix": lambda: cutmix(distorted, classes),
        f"training step, {BACKBONE}": train_step,
    }


def main() -> None:
    """Run the benchmark, print both tables and write both as JSON."""
    parser = argument_parser(__doc__, "runs/benchmarks/throughput.json")
    parser.set_defaults(rounds=7, threads=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    count, batch_size, side, crop_size = (8, 4, 96, 64) if args.smoke else (512, 32, 300, 224)
    rounds = 2 if args.smoke else args.rounds
    env = environment(device=args.device) | {
        "batch": [batch_size, 3, crop_size, crop_size],
        "backbone": BACKBONE,
        "photos": count,
    }

    with tempfile.TemporaryDirectory() as folder:
        dataset = JpegPhotos(write_photos(Path(folder), count, side), crop_size)
        epochs = interleave(loader_cases(dataset, batch_size, args.device), rounds=rounds, warmup=1, device=args.device)
        parts = interleave(part_cases(dataset, batch_size, args.device), rounds=rounds, warmup=1, device=args.device)

    rows: list[dict[str, Any]] = []
    for name in PIPELINES:
        row: dict[str, Any] = {"pipeline": name}
        for workers in WORKERS:
            row[f"images/s, {workers} workers"] = count / epochs[f"{name}/{workers}"].wall_ms * 1e3
        rows.append(row)
    size = f"batch {batch_size}x3x{crop_size}x{crop_size}"
    report(f"DataLoader, images per second of wall time, {size}", rows, env, args.output)

    # On a shared CPU the processor's time is steadier; a GPU's work does not show in it.
    costs = {name: timing.cpu_ms if args.device == "cpu" else timing.wall_ms for name, timing in parts.items()}
    step = costs[f"training step, {BACKBONE}"]
    rows = [
        {"part": name, "ms per image": cost / batch_size, "share of a training step": cost / step}
        for name, cost in costs.items()
    ]
    output = args.output.with_name(f"{args.output.stem}_parts.json")
    report(f"Parts of a step on {args.device}, {size}, {BACKBONE}, float32", rows, env, output)


if __name__ == "__main__":
    main()
