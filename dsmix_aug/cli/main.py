"""The command ``dsmix-aug``: its subcommands, what it prints for errors, and its exit codes."""

from __future__ import annotations

import argparse
import atexit
import gc
import io
import os
import sys
from collections.abc import Callable, Sequence

from dsmix_aug._version import __version__
from dsmix_aug.cli import distort, info, make_dataset, map, score
from dsmix_aug.cli._messages import complain
from dsmix_aug.nriqa.base.arguments import USAGE, Parser

DONE, SOME_FAILED, INTERRUPTED, BROKEN_PIPE = 0, 1, 130, 141

EPILOG = """\
Exit codes: 0 done, 1 some photos failed, 2 wrong use or an output that cannot be written, 130 interrupted.
"""
COMMANDS = {"distort": distort, "make-dataset": make_dataset, "map": map, "score": score, "info": info}

atexit.register(gc.freeze)  # at the end Python would look through all of torch for garbage, which takes a second


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        The exit code: 0 done, 1 some photos failed, 2 wrong use, 130 interrupted by Ctrl-C.

    Raises:
        SystemExit: With code 2 if the arguments cannot be parsed, 0 after ``--help`` and ``--version``.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold what the terminal cannot show
    args, unknown = make_parser().parse_known_args(argv)
    if unknown:  # said here, because argparse names the whole command instead of the subcommand
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    run_command: Callable[[argparse.Namespace], int] = args.run_command
    try:
        code = run_command(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        complain(args.command, f"interrupted; {args.when_interrupted}")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left. Python flushes once more at exit, which should not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except ImportError as error:
        hint = "" if "pip install" in str(error) else "; pip install 'dsmix-aug[score]'"
        complain(args.command, f"error: {error}{hint}")
        return USAGE
    except (ValueError, OSError) as error:
        told = str(error).replace("name_or_path:", "--weights:")  # the library's argument is this option
        complain(args.command, f"error: {told}")
        return USAGE


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = Parser("dsmix-aug", description="Distort photos, map where it shows, and score quality.", epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"dsmix-aug {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        description, _, epilog = (module.__doc__ or "").partition("\n\n")
        subparser = commands.add_parser(
            name,
            help=description,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subparser.set_defaults(
            parser=subparser, run_command=module.run, when_interrupted="what was written is complete"
        )
        module.add_arguments(subparser)
    return parser
