"""How far a pre-training's predictions stayed from its labels: the class loss less the labels' own entropy, in nats.

    python docs/recipes/label_gap.py runs/ablation/seed10 dsmix cutmix dsmix_shuffled

Both are means over the last quarter of the steps, whose batches are made again.
"""

import argparse
import functools
from pathlib import Path

import torch

from dsmix_aug import DistortionBank
from dsmix_aug.nriqa.datasets import load_photos
from dsmix_aug.nriqa.runs.folder import RunFolder
from dsmix_aug.nriqa.runs.rows import PRETRAININGS
from dsmix_aug.nriqa.stages.mixing import make_mixer, mean_dsm_per_class
from dsmix_aug.nriqa.stages.pretrain import make_batches


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run whose stage pretrain is finished")
    parser.add_argument("pretrainings", nargs="+", choices=list(PRETRAININGS), help="whose gap to measure")
    args = parser.parse_args()

    run = RunFolder(args.run)
    config, bank, loop = run.config, DistortionBank(), run.config.pretrain
    photos = load_photos(config.photos, config.smallest_photo).training
    class_means = functools.cache(functools.partial(mean_dsm_per_class, config, bank, photos))
    last_quarter = range(loop.steps * 3 // 4, loop.steps)
    for name in args.pretrainings:
        log = run.log(f"pretrain/{name}")
        loss = sum(log[step]["classes"] for step in last_quarter) / len(last_quarter)
        mixer = make_mixer(PRETRAININGS[name], config, bank, class_means)
        batches = make_batches(config, bank, photos, mixer)
        numbers = [step * loop.shards + shard for step in last_quarter for shard in range(loop.shards)]
        entropies = torch.stack([torch.special.entr(batches[number].labels).sum(1).mean() for number in numbers])
        entropy = float(entropies.mean())
        print(f"{name}: class loss {loss:.3f}, entropy of the labels {entropy:.3f}, gap {loss - entropy:.3f}")


if __name__ == "__main__":
    main()
