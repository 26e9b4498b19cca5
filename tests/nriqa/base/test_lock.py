"""The lock on a folder: one process at a time, and none once that process is dead."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsmix_aug.nriqa.base import lock
from dsmix_aug.nriqa.base.lock import NAME, lock_folder

#: The module without its package, which would import torch.
HOLD = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(lock.__file__).parent)!r})
from lock import lock_folder
lock = lock_folder(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(120)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock on ``tmp_path``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_refused_with_folder_and_process(holder, tmp_path):
    for _ in range(2):
        with pytest.raises(BlockingIOError) as caught:
            lock_folder(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path} is in use by process {holder.pid}: wait until")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_process_holds_nothing(holder, tmp_path, sign):
    holder.send_signal(sign)
    holder.wait()
    assert (tmp_path / NAME).read_text() == f"{holder.pid}\n"  # what it left behind
    held = lock_folder(tmp_path)
    assert (tmp_path / NAME).read_text() == f"{os.getpid()}\n"
    del held


def test_a_process_may_ask_twice_and_holds_until_the_last_is_gone(tmp_path):
    first = lock_folder(tmp_path / "new")
    second = lock_folder(tmp_path / "new" / ".." / "new")
    assert try_in_another_process(tmp_path / "new") == "refused"
    del first
    assert try_in_another_process(tmp_path / "new") == "refused"
    del second
    assert try_in_another_process(tmp_path / "new") == "free"


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_hold_its_parents_lock(tmp_path):
    """A DataLoader's workers live on for a while when their parent is killed."""
    held = lock_folder(tmp_path)
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    try:
        del held
        assert try_in_another_process(tmp_path) == "free"
    finally:
        child.kill()
        child.join()


def try_in_another_process(folder):
    script = HOLD.partition("lock = ")[0] + (
        "try:\n    lock_folder(Path(sys.argv[1]))\n    print('free')\nexcept BlockingIOError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=True)
    return done.stdout.strip()
