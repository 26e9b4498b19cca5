"""Compare the rows of finished runs that differ only in their seed and rows: means, and differences with intervals."""

import argparse
from pathlib import Path


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument(
        "--pairs", nargs="+", default=["dsmix:cutmix"], metavar="ROW:BASELINE", help="rows whose SRCC is compared"
    )
    parser.add_argument("--replicates", type=int, default=2000, help="replicates of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    parser.add_argument("--out", type=Path, help="folder to write rows.csv and differences.csv to")
    args = parser.parse_args()

    from dsmix_aug.nriqa.base.csv_files import write_csv  # not before --help is answered: these take seconds
    from dsmix_aug.nriqa.report.comparison import average, compare, read_runs

    pairs = [(row, baseline) for row, _, baseline in (pair.partition(":") for pair in args.pairs)]
    if not all(row and baseline for row, baseline in pairs):
        parser.error(f"--pairs should be ROW:BASELINE, got {' '.join(args.pairs)}")
    try:
        predictions = read_runs(args.runs)
        differences = compare(predictions, pairs, args.replicates, args.seed)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    rows = average(predictions)

    for table, title in (
        (rows, "SRCC, PLCC after a logistic and without, KRCC and RMSE: mean over seeds of the median over splits."),
        (differences, "Differences of these SRCC over the seeds that both rows have, with a 95 % interval."),
    ):
        print(f"\n{title}\n{table.to_string(index=False, float_format='{:.4f}'.format)}")
    if args.out:
        for name, table in (("rows", rows), ("differences", differences)):
            write_csv(args.out / f"{name}.csv", table.to_dict("list"))


if __name__ == "__main__":
    main()
