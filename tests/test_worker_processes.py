"""Worker processes that start or end at a bad moment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

TESTS = Path(__file__).parent
#: Goes first in a script: its process dies as soon as it has started a worker, which it leaves before that began.
DIES_STARTING_WORKERS = """
import os, signal, sys, time
parent = os.getpid()
def live_on():
    while os.getppid() == parent:
        time.sleep(0.01)
def die():
    os.kill(parent, signal.SIGKILL)
def then_die_with_the_next_worker():
    os.register_at_fork(after_in_child=live_on, after_in_parent=die)
"""
MAKES_A_DATASET = """
from dsmix_aug.cli.main import main
then_die_with_the_next_worker()
main(["make-dataset", sys.argv[1], "-o", sys.argv[2], "--workers", "1"])
"""
TRAINS = """
from test_training import LOOP, Noise, Objective, make_run, train
run = make_run(sys.argv[2])
run.workers = 1
then_die_with_the_next_worker()
train(Objective(), Noise(LOOP), LOOP, run, "part")
"""
#: Interrupted at the first file of its first worker, when its second, the fourth of all, is still starting.
INTERRUPTED_STARTING_WORKERS = """
import os, signal, sys, time
from dsmix_aug.cli.main import main
from kill_at_write import end_at_write
started = 0
def count():
    global started
    started += 1
def start_slowly():
    if started == 3:
        time.sleep(60)
os.register_at_fork(after_in_child=start_slowly, after_in_parent=count)
end_at_write(signal.SIGINT, "references", 1)
sys.exit(main(["make-dataset", sys.argv[1], "-o", sys.argv[2], "--workers", "2"]))
"""


def run_script(code: str, tmp_path: Path) -> subprocess.CompletedProcess:
    """Run a script that works on two photos, until nothing that it started holds its output any more."""
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.effect_noise((96, 72), 50).convert("RGB").save(tmp_path / "photos" / name)
    folders = [str(TESTS), str(TESTS / "nriqa/stages"), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "photos"), str(tmp_path / "out")]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("code", [MAKES_A_DATASET, TRAINS], ids=["make-dataset", "training"])
def test_a_worker_whose_parent_dies_while_it_starts_ends(code, tmp_path):
    done = run_script(DIES_STARTING_WORKERS + code, tmp_path)
    assert done.returncode == -9, done.stderr


@pytest.mark.slow
def test_an_interrupt_while_a_worker_starts_is_one_line(tmp_path):
    done = run_script(INTERRUPTED_STARTING_WORKERS, tmp_path)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "dsmix-aug make-dataset: interrupted; the same command goes on from here"
    assert "Traceback" not in done.stderr
