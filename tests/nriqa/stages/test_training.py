"""The training loop: schedule, resuming, sharding and several processes, on a model that takes milliseconds."""

import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from dsmix_aug.nriqa.base import distributed  # noqa: F401  for the script below
from dsmix_aug.nriqa.networks.probe import fit_probe
from dsmix_aug.nriqa.runs.config import LoopConfig
from dsmix_aug.nriqa.runs.folder import read_log
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.stages.batches import Batch
from dsmix_aug.nriqa.stages.checkpoint import read_checkpoint
from dsmix_aug.nriqa.stages.training import schedule, train

LOOP = LoopConfig(steps=10, batch_size=8, crop_size=4, learning_rate=1e-2, checkpoint_every=3)
KILLED_LOOP = replace(LOOP, steps=4000, checkpoint_every=1, shards=2)


class Noise(Dataset):
    """Batch i is a function of i; reading batch ``fails_at`` raises."""

    def __init__(self, loop, fails_at=None):
        self.size = loop.batch_size // loop.shards
        self.loop = loop
        self.fails_at = fails_at

    def __getitem__(self, number):
        if number == self.fails_at:
            raise KeyboardInterrupt
        step, shard = divmod(number, self.loop.shards)
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(self.loop.batch_size, 3, 4, 4, generator=generator)
        images = images[shard * self.size : (shard + 1) * self.size]
        return Batch(images, images, images.mean((2, 3)), torch.full((len(images),), torch.nan))


class Objective(nn.Module):
    """A linear layer with dropout, so that the random numbers of a step matter."""

    def __init__(self, dropout=0.5):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(48, 3))

    def forward(self, batch):
        error = (self.network(batch.images) - batch.labels).square()
        return {"first": error[:, 0].mean(), "rest": error[:, 1:].mean()}


def make_run(folder, **changes):
    config = replace(PRESETS["smoke"], **changes)
    return SimpleNamespace(folder=Path(folder), config=config, device="cpu", workers=0)


def train_all(folder, objective, loop=LOOP, fails_at=None):
    return train(objective, Noise(loop, fails_at), loop, make_run(folder), "part")


def test_learns_and_logs(tmp_path):
    objective = Objective(dropout=0.0)
    loop = replace(LOOP, steps=60)
    history = train_all(tmp_path, objective, loop)
    assert len(history) == 60
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert history[0]["loss"] == pytest.approx(history[0]["first"] + history[0]["rest"])
    assert [entry["learning_rate"] for entry in history] == [schedule(step, loop) for step in range(60)]
    assert read_log(tmp_path / "part" / "log.jsonl") == history
    assert not objective.training
    assert list((tmp_path / "tensorboard" / "part").iterdir())


def test_schedule_rises_and_falls():
    loop = replace(LOOP, steps=100)
    rates = [schedule(step, loop) for step in range(100)]
    assert rates[:10] == pytest.approx([1e-2 * step / 10 for step in range(1, 11)])
    assert rates[10] == pytest.approx(1e-2)
    assert rates[55] == pytest.approx(0.5e-2)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert 0 < rates[-1] < 1e-5


@pytest.mark.parametrize("fails_at", [1, 3, 5, 9])
def test_resumes_to_the_same_numbers(tmp_path, fails_at):
    unbroken = Objective()
    expected = train_all(tmp_path / "unbroken", unbroken)
    with pytest.raises(KeyboardInterrupt):
        train_all(tmp_path / "broken", Objective(), fails_at=fails_at)
    assert (tmp_path / "broken" / "part" / "checkpoint.safetensors").is_file() == (fails_at >= 3)
    torch.manual_seed(123)
    resumed = Objective()
    assert train_all(tmp_path / "broken", resumed) == expected
    assert all(torch.equal(*pair) for pair in zip(unbroken.parameters(), resumed.parameters(), strict=True))
    logs = [(tmp_path / name / "part" / "log.jsonl").read_text() for name in ("unbroken", "broken")]
    assert logs[0] == logs[1]


@pytest.fixture
def one_thread():
    """What forked children can use of torch; and sums are in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train_and_kill(folder: Path) -> None:
    """Start a training ten times, and kill it at a random moment after its first new checkpoint."""
    torch.set_num_threads(1)  # threads and forks do not go together
    checkpoint = folder / "part" / "checkpoint.safetensors"
    draw = random.Random(0)
    for _ in range(10):
        before = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else 0
        process = multiprocessing.get_context("fork").Process(target=train_all, args=(folder, Normed(), KILLED_LOOP))
        process.start()
        while process.is_alive() and not (checkpoint.is_file() and checkpoint.stat().st_mtime_ns > before):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_killed_at_any_moment_it_goes_on_to_the_same_numbers(tmp_path):
    """Most of its time goes into checkpoints, so that some of the kills fall into the middle of one."""
    checkpoint = tmp_path / "killed" / "part" / "checkpoint.safetensors"
    # In a process of its own: once autograd has run in a process, its forks cannot train.
    code = "import pathlib, sys, test_training; test_training.train_and_kill(pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path / "killed")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    resumed, unbroken = Normed(), Normed()
    steps = len(read_checkpoint(checkpoint, resumed, torch.optim.AdamW(resumed.parameters()))) + 2
    with pytest.raises(KeyboardInterrupt):
        train_all(tmp_path / "killed", resumed, KILLED_LOOP, fails_at=2 * steps)
    with pytest.raises(KeyboardInterrupt):
        train_all(tmp_path / "unbroken", unbroken, KILLED_LOOP, fails_at=2 * steps)
    logs = [(tmp_path / name / "part" / "log.jsonl").read_text() for name in ("killed", "unbroken")]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == steps
    pairs = zip(resumed.state_dict().values(), unbroken.state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_a_loss_that_is_not_finite_is_an_error(tmp_path):
    objective = Objective()
    with torch.no_grad():
        objective.network[2].bias[0] = torch.inf
    with pytest.raises(FloatingPointError, match="part: the loss of step 0 is inf; a lower learning rate may help"):
        train_all(tmp_path, objective)


def test_shards_add_up_to_the_batch(tmp_path):
    whole, parts = Objective(dropout=0.0), Objective(dropout=0.0)
    expected = train_all(tmp_path / "whole", whole)
    history = train_all(tmp_path / "parts", parts, replace(LOOP, shards=4))
    assert [entry["loss"] for entry in history] == pytest.approx([entry["loss"] for entry in expected], rel=1e-5)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


class Normed(nn.Module):
    """Batch norm, whose buffers each shard updates."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        # Without a bias, whose gradient before a batch norm is only rounding errors, which AdamW scales up.
        first = nn.Conv2d(3, 8, 3, bias=False)
        self.network = nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))

    def forward(self, batch):
        return {"error": (self.network(batch.images) - batch.labels).square().mean()}


SCRIPT = """
import atexit, os, signal, sys
sys.path.insert(0, {folder!r})
from dataclasses import replace
from pathlib import Path
import torch
from torch.distributed import is_initialized
from test_training import LOOP, KilledBy, Normed, distributed, make_run, train
end = Path(sys.argv[1] + "-ended-" + os.environ["RANK"])
atexit.register(lambda: end.write_text("still there" if is_initialized() else "left in time"))
distributed.start("cpu")
objective, loop = Normed(), replace(LOOP, shards=4)
train(objective, KilledBy(loop, int(sys.argv[2])), loop, make_run(sys.argv[1]), "part")
torch.save(objective.state_dict(), sys.argv[1] + "-state-" + os.environ["RANK"])
"""


class KilledBy(Noise):
    """Whoever reads batch ``number`` is killed."""

    def __init__(self, loop, number):
        super().__init__(loop)
        self.number = number

    def __getitem__(self, number):
        if number == self.number:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(number)


def run_processes(count, folder, killed_by=-1):
    """Train in several processes, of which one may be killed; return the launcher's outcome."""
    script = folder.parent / "script.py"
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}", "--standalone", script]
    return subprocess.run(
        [*map(str, command), str(folder), str(killed_by)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


def read_states(count, folder):
    return [torch.load(f"{folder}-state-{rank}", weights_only=True) for rank in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_give_the_numbers_of_one(tmp_path, count):
    one = Normed()
    expected = train_all(tmp_path / "one", one, replace(LOOP, shards=4))
    done = run_processes(count, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    # A file per process: lines that two processes print to one pipe can run into one another.
    assert [(tmp_path / f"two-ended-{rank}").read_text() for rank in range(count)] == ["left in time"] * count
    history = read_log(tmp_path / "two" / "part" / "log.jsonl")
    assert [entry["loss"] for entry in history] == pytest.approx([entry["loss"] for entry in expected], rel=1e-4)
    states = read_states(count, tmp_path / "two")
    assert all(torch.equal(states[0][name], state[name]) for name in states[0] for state in states)
    torch.testing.assert_close(states[0], dict(one.state_dict()), rtol=1e-4, atol=1e-6)  # weights and buffers
    assert states[0]["network.1.num_batches_tracked"] == LOOP.steps
    assert_same_scores(one, states[0])


@pytest.mark.slow
def test_one_of_two_processes_is_killed_and_both_go_on_to_the_same_numbers(tmp_path):
    step, shard = 7, 1  # of process 1; the last checkpoint is that of six steps
    assert run_processes(2, tmp_path / "whole").returncode == 0
    killed = run_processes(2, tmp_path / "killed", killed_by=4 * step + shard)
    assert killed.returncode != 0
    assert "Signal 9 (SIGKILL)" in killed.stderr
    assert not (tmp_path / "killed-state-0").exists()
    resumed = Normed()
    history = read_checkpoint(
        tmp_path / "killed" / "part" / "checkpoint.safetensors", resumed, torch.optim.AdamW(resumed.parameters())
    )
    assert len(history) == 6
    done = run_processes(2, tmp_path / "killed")
    assert done.returncode == 0, done.stderr
    logs = [(tmp_path / name / "part" / "log.jsonl").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1]
    for whole, again in zip(*(read_states(2, tmp_path / name) for name in ("whole", "killed")), strict=True):
        assert all(torch.equal(whole[name], again[name]) for name in whole)


LEAVING = """
import torch.distributed as dist
from dsmix_aug.nriqa.base import distributed
import time
dist.destroy_process_group = lambda: time.sleep(600)
distributed.LEAVING_TIMEOUT = 2
distributed.start("cpu")
print("all done")
"""


@pytest.mark.slow
def test_a_process_that_cannot_leave_the_others_ends_and_says_where_it_was():
    """It waited for ever once."""
    alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    command = [sys.executable, "-c", LEAVING]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **alone}, timeout=300, check=False
    )
    assert done.returncode == 1
    assert done.stdout == "all done\n"
    assert "distributed.py" in done.stderr
    assert "in _leave" in done.stderr


class Unreadable(Noise):
    """A photo of the first batch cannot be read."""

    def __getitem__(self, number):
        raise FileNotFoundError("photos/zwölf bäume.png: the file is missing")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_a_worker_cannot_read_is_named_in_one_line(tmp_path, workers):
    run = make_run(tmp_path)
    run.workers = workers
    with pytest.raises(OSError, match=r"^photos/zwölf bäume.png: the file is missing$"):
        train(Objective(), Unreadable(LOOP), LOOP, run, "part")


def assert_same_scores(one, state):
    """Fit a probe to each network's features: what a run reports depends on buffers as much as on weights."""
    two = Normed().eval()
    two.load_state_dict(state)
    images = torch.rand(40, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    scores = images.mean((1, 2, 3)).double().numpy()
    predictions = []
    for objective in (one.eval(), two):
        with torch.no_grad():
            features = objective.network[:4](images).numpy()
        predictions.append(fit_probe(features, [32], scores, np.arange(40)).predict(features))
    np.testing.assert_allclose(*predictions, atol=1e-4 * np.ptp(scores))


@pytest.mark.parametrize(
    ("autocast", "capability", "dtype"),
    [
        (False, "AVX512", torch.float32),
        (True, "AVX512", torch.bfloat16),
        (True, "AVX2", torch.float32),  # where bfloat16 is slow
    ],
)
def test_a_loop_chooses_its_precision(tmp_path, autocast, capability, dtype, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    seen = []

    class Watching(Objective):
        def forward(self, batch):
            seen.append(self.network(batch.images).dtype)
            return super().forward(batch)

    loop = replace(LOOP, steps=1, autocast=autocast)
    train(Watching(), Noise(loop), loop, make_run(tmp_path), "part")
    assert seen == [dtype]
