"""Code blocks of README.md and of the documentation's pages: found, and run in a folder as a reader would."""

import contextlib
import doctest
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from factories import run_script

from dsmix_aug.cli.main import main as dsmix_aug_command

ROOT = Path(__file__).parent.parent
MARKDOWN = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
DIRECTIVE = re.compile(
    r"^\.\. code-block:: (?P<language>\w+)\n(?P<options>(?:   :.*\n)*)\n(?P<code>(?:(?:   .*)?\n)+)", re.MULTILINE
)
#: Programs of console lines that are run; others, such as pip and make, change the machine or take long.
PROGRAMS = ("dsmix-aug", "python", "torchrun", "head", "ls", "find")
#: What an output says about the machine: versions, the system, free room.
MACHINE = re.compile(r"\d+\.\d+\.\d+[\w.+]*|(?:Linux|macOS|Windows)-\S+|[\d.]+(?= GB are free)")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@dataclass
class Block:
    """A code block: its language, code, caption, and the output that the page shows right after it."""

    language: str
    code: str
    caption: str
    line: int
    shown: str = ""


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in order. A block of text that follows code directly is the output of that code."""
    text = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    end = 0
    for match in (MARKDOWN if page.suffix == ".md" else DIRECTIVE).finditer(text):
        code = textwrap.dedent(match["code"]).strip("\n") + "\n"
        options = match.groupdict().get("options") or ""
        caption = re.search(r":caption: (.+)", options)
        if match["language"] == "text" and blocks and not text[end : match.start()].strip():
            blocks[-1].shown = code
        elif match["language"] != "text":
            line = text.count("\n", 0, match.start()) + 1
            blocks.append(Block(match["language"], code, caption[1] if caption else "", line))
        end = match.end()
    return blocks


def commands_of(console: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block, without its prompt, and the output that is shown below it."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, shown = re.sub(r"\\\n\s*", "", part).partition("\n")
        yield command, shown


def is_runnable(words: list[str]) -> bool:
    """Tell whether a command is run: placeholders in capitals stand for the reader's own files and numbers."""
    placeholder = any(re.fullmatch(r"[A-Z][A-Z_]+(=.*)?|.*=[A-Z]+", word) for word in words)
    long = words[:1] == ["python"] and any(w.startswith("examples/") for w in words) and "smoke" not in words
    return bool(words) and words[0] in PROGRAMS and not placeholder and not long


def missing_packages(words: list[str]) -> list[str]:
    """Return what a script of the page imports that is not installed, such as Lightning."""
    script = Path(words[1]) if words[0] == "python" else None
    if script is None or script.parent != Path():
        return []
    imported = re.findall(r"^(?:import|from) (\w+)", script.read_text(encoding="utf-8"), re.MULTILINE)
    return [name for name in imported if importlib.util.find_spec(name) is None]


def run_command(words: list[str]) -> tuple[int, str]:
    """Run a command in the current folder; return its exit code and all that it prints."""
    # In this process, which has imported torch already.
    if words[0] == "dsmix-aug":
        return run_here(lambda: dsmix_aug_command(words[1:]))
    if words[0] == "python" and words[1].startswith("examples/"):
        return run_here(lambda: run_with_warnings(words[1:]))
    start = {"python": [sys.executable], "torchrun": TORCHRUN}.get(words[0], words[:1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    finished = subprocess.run(
        [*start, *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    return finished.returncode, finished.stdout


def run_here(command: Callable[[], int]) -> tuple[int, str]:
    """Call a command; return its exit code and all that it prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            code = command()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, output.getvalue()


def run_with_warnings(words: list[str]) -> int:
    """Run a script of the repository as from the command line, where warnings are printed and not raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        run_script(*words)
    return 0


def run_console(block: Block) -> list[str]:
    """Run the commands of a block that can be run, compare the outputs that are shown, and return all outputs."""
    outputs = []
    for command, shown in commands_of(block.code):
        words = shlex.split(command, comments=True)
        if is_runnable(words) and not missing_packages(words):
            code, output = run_command(words)
            assert code == exit_code_of(shown), f"{command}\n{output}"
            compare(shown, output, command)
            outputs.append(output)
    return outputs


def exit_code_of(shown: str) -> int:
    """Return the exit code of a command that prints what a page shows: 2 after an error, 1 if a photo was skipped."""
    return 2 if ": error: " in shown else 1 if ": skipped " in shown else 0


def run_python(block: Block, names: dict[str, object], page: Path) -> str:
    """Run a block with the names of those before it, compare the output that is shown, and return the output."""
    output = io.StringIO()
    padding = "\n" * block.line  # so that a traceback names about the page's line
    with contextlib.redirect_stdout(output):
        exec(compile(padding + block.code, str(page), "exec"), names)
    compare(block.shown, output.getvalue(), block.code)
    return output.getvalue()


def compare(shown: str, got: str, code: str) -> None:
    """Compare an output with what a page shows, where ``...`` stands for any text."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    shown, got = (MACHINE.sub("#", text) for text in (shown, got))
    if shown and not doctest.OutputChecker().check_output(shown, with_decimals_of(shown, got), flags):
        raise AssertionError(f"{code}\nthe page shows:\n{shown}\nbut this was printed:\n{got}")


def with_decimals_of(shown: str, got: str) -> str:
    """Return an output with its decimals as a page shows them, where they are close to those.

    Networks under bfloat16 give scores that differ by some thousandths from one processor to another.
    """
    expected, found = (re.findall(r"\d+\.\d+", text) for text in (shown, got))
    if len(expected) != len(found):
        return got
    if any(abs(float(one) - float(other)) > 0.015 for one, other in zip(expected, found, strict=True)):
        return got
    decimals = iter(expected)
    return re.sub(r"\d+\.\d+", lambda _: next(decimals), got)
