"""Run a Python script, and end it by a signal at the moment when a file is about to get its final name.

    python kill_at_write.py SIGKILL dsm/checkpoint.safetensors 2 script.py ARGUMENTS
    python kill_at_write.py SIGINT "" 7 script.py ARGUMENTS

The first sends SIGKILL at the second file whose path holds these words, the other SIGINT at the seventh file of any
name. Files count over the script and the processes that it forks; the signal goes to the script's own process.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from pathlib import Path


def end_at_write(ended_by: signal.Signals, part: str, number: int) -> None:
    """Let this process end by a signal when it, or one that it forks, is about to name a file.

    Args:
        ended_by: The signal.
        part: What the file's path has to hold.
        number: At which such file.
    """
    process, replace = os.getpid(), Path.replace
    count = multiprocessing.Value("i", 0)

    def replace_or_end(self: Path, target: Path) -> Path:
        if part in str(target):
            with count.get_lock():
                count.value += 1
                is_the_one = count.value == number
            if is_the_one:
                os.kill(process, ended_by)
                if os.getpid() != process:
                    wait_for_the_end_of(process)
        return replace(self, target)

    Path.replace = replace_or_end
    if ended_by == signal.SIGINT:  # which shells let background jobs ignore
        signal.signal(ended_by, signal.default_int_handler)


def wait_for_the_end_of(parent: int) -> None:
    """Stand still until the parent takes this process with it or has died, and then leave without a trace."""
    while os.getppid() == parent:
        time.sleep(0.01)
    time.sleep(0.1)  # for the thread that is sending what was made before, with a lock that other workers wait for
    os._exit(1)


def main() -> None:
    """Run the script with a rename that counts."""
    name, part, number, script, *arguments = sys.argv[1:]
    end_at_write(signal.Signals[name], part, int(number))
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
