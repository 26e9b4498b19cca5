"""Run every benchmark and keep their tables: ``python -m benchmarks [--smoke] [--device cuda]``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from dsmix_aug._files import replace_when_done

HERE = Path(__file__).parent
TABLES = Path("runs/benchmarks/tables.txt")


def main() -> None:
    """Run the scripts with their defaults; each prints its table and writes its JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny inputs and two rounds, to see that they run")
    parser.add_argument("--device", default="cpu", help="where batches lie, such as cpu or cuda")
    args = parser.parse_args()
    tables = []
    for script in sorted(HERE.glob("bench_*.py")):
        print(f"\n== {script.stem}", flush=True)
        command = [sys.executable, str(script), "--device", args.device, *(["--smoke"] if args.smoke else [])]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(finished.stdout, flush=True)
        if finished.returncode:
            sys.exit(f"{script.stem} failed with exit status {finished.returncode}")
        tables.append(finished.stdout)
    with replace_when_done(TABLES) as temporary:
        temporary.write_text("\n".join(tables))
    print(f"All tables: {TABLES}")


if __name__ == "__main__":
    main()
