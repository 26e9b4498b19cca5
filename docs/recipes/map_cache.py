"""Cache the sensitivity maps of a fixed set of distorted crops, and mix with them."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

import numpy as np
import skimage.data
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dsmix_aug import DistortionBank, DSMix, SeededGenerator, sensitivity_map

PATCH_SIZE = 16
PHOTOS = {name: getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea")}
bank = DistortionBank()


class MapCache:
    """Maps by key, one file each; a file is written completely or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: tuple, compute: Callable[[], Tensor]) -> Tensor:
        """Return the map of ``key``, computed and stored the first time."""
        path = self.folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()}.npy"
        if not path.exists():
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            with temporary.open("wb") as file:
                np.save(file, compute().numpy())
            temporary.replace(path)
        return torch.from_numpy(np.load(path))


class FixedDistortions(Dataset):
    """Photos x crops, each with one distortion that stays the same in every epoch."""

    def __init__(self, cache: MapCache, crops: int = 8) -> None:
        self.cache = cache
        self.samples = [(name, 16 * i, 8 * i) for name in PHOTOS for i in range(crops)]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        name, top, left = self.samples[index]
        pristine = torch.from_numpy(PHOTOS[name][top : top + 128, left : left + 128]).permute(2, 0, 1).contiguous()
        distorted, label = bank(pristine, generator=SeededGenerator(index))
        # The photo, the distortion and its seed, the crop, and the patch size: all that the map depends on.
        key = (name, bank.decode(int(label)), index, (top, left, 128, 128), PATCH_SIZE)
        # With an estimator in place of a reference: estimator(distorted[None] / 255)[0], and its weights in the key.
        dsm = self.cache.get(key, lambda: sensitivity_map(distorted, pristine, PATCH_SIZE))
        return {"image": distorted, "label": label, "map": dsm}


if __name__ == "__main__":
    mix = DSMix(num_classes=bank.num_classes, patch_size=PATCH_SIZE, map_getter=itemgetter("map"))
    with tempfile.TemporaryDirectory() as folder:
        loader = DataLoader(FixedDistortions(MapCache(Path(folder))), batch_size=8, shuffle=True, num_workers=2)
        for epoch in range(2):
            for batch in loader:
                mixed = mix(batch)
            print(f"epoch {epoch}: {len(list(Path(folder).iterdir()))} maps on disk; labels {mixed['label'].shape}")
