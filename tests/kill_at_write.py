"""Run a Python script, and end it by a signal at the moment when a file is about to get its final name.

    python kill_at_write.py SIGKILL dsm/checkpoint.safetensors 2 script.py ARGUMENTS
    python kill_at_write.py SIGINT "" 7 script.py ARGUMENTS

The first sends SIGKILL at the second file whose path ends so, the other SIGINT at the seventh file of any name. Files
count over the script and the processes that it forks; the signal goes to the script's own process.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    """Run the script with a rename that counts."""
    name, end, number, script, *arguments = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
    chosen, process, replace = signal.Signals[name], os.getpid(), Path.replace
    count = multiprocessing.Value("i", 0)

    def replace_or_end(self: Path, target: Path) -> Path:
        if str(target).endswith(end):
            with count.get_lock():
                count.value += 1
                is_the_one = count.value == int(number)
            if is_the_one:
                os.kill(process, chosen)
                if os.getpid() != process:
                    time.sleep(60)  # busy, until the script takes its workers with it
        return replace(self, target)

    Path.replace = replace_or_end
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
