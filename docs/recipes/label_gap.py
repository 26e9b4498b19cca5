"""How far a pre-training's predictions stayed from its labels: the class loss less the labels' own entropy, in nats.

    python docs/recipes/label_gap.py runs/ablation/seed10 dsmix cutmix dsmix_shuffled

Both are means over the last quarter of the steps, whose batches are made again.
"""

import argparse
from pathlib import Path

import torch

from dsmix_aug import DistortionBank
from dsmix_aug.nriqa.base.files import read_json
from dsmix_aug.nriqa.datasets import load_photos
from dsmix_aug.nriqa.runs.config import Config
from dsmix_aug.nriqa.runs.rows import PRETRAININGS
from dsmix_aug.nriqa.stages.pretrain import make_batches
from dsmix_aug.nriqa.stages.training import read_log


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run whose stage pretrain is finished")
    parser.add_argument("pretrainings", nargs="+", choices=list(PRETRAININGS), help="whose gap to measure")
    args = parser.parse_args()

    config = Config.from_dict(read_json(args.run / "config.json")["config"])
    photos, bank, loop = load_photos(config).training, DistortionBank(), config.pretrain
    last_quarter = range(loop.steps * 3 // 4, loop.steps)
    for name in args.pretrainings:
        log = read_log(args.run / "pretrain" / name / "log.jsonl")
        loss = sum(log[step]["classes"] for step in last_quarter) / len(last_quarter)
        batches = make_batches(PRETRAININGS[name], config, bank, photos)
        numbers = [step * loop.shards + shard for step in last_quarter for shard in range(loop.shards)]
        entropies = torch.stack([torch.special.entr(batches[number].labels).sum(1).mean() for number in numbers])
        entropy = float(entropies.mean())
        print(f"{name}: class loss {loss:.3f}, entropy of the labels {entropy:.3f}, gap {loss - entropy:.3f}")


if __name__ == "__main__":
    main()
