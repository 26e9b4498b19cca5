"""Write what a finished run trained to separate files: quality model, DSM estimator if any, and checksums."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsmix_aug import DSMEstimator


def save_half(estimator: DSMEstimator, path: Path) -> None:
    """Write an estimator with the weights of its layers in half precision."""
    for parameter in estimator.parameters():
        if parameter.ndim > 1:  # the rest weighs nothing
            parameter.data = parameter.data.half()
    estimator.save_pretrained(path)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--row", help="whose quality model to write (default: the run's first row)")
    parser.add_argument("--dataset", help="whose scores it predicts (default: the first by name)")
    parser.add_argument("--name", default="small", help="name of the weights")
    parser.add_argument("--out", type=Path, default=Path("weights"), help="folder to write to")
    args = parser.parse_args()

    from dsmix_aug.nriqa.base.files import file_hash, write_text  # not before --help is answered: these take seconds
    from dsmix_aug.nriqa.runs.folder import RunFolder
    from dsmix_aug.nriqa.runs.names import DSM
    from dsmix_aug.weights import CHECKSUMS

    try:
        run = RunFolder(args.run)
        model = run.quality_model(args.row, args.dataset)
        estimator = run.estimator() if run.is_finished(DSM) else None
    except (ValueError, OSError) as error:
        parser.error(str(error))

    args.out.mkdir(parents=True, exist_ok=True)
    if estimator is not None:
        save_half(estimator, args.out / f"dsm_estimator-{args.name}.safetensors")
    model.save_pretrained(args.out / f"quality_model-{args.name}.safetensors")
    files = sorted(args.out.glob("*.safetensors"))
    write_text(args.out / CHECKSUMS, "".join(f"{file_hash(path)}  {path.name}\n" for path in files))
    for path in files:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
