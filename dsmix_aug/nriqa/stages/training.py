"""The one training loop: steps, schedule, log, checkpoints, resuming, one process or several."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from dsmix_aug._progress import Progress
from dsmix_aug._worker_processes import end_if_orphaned
from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.devices import bfloat16_autocast
from dsmix_aug.nriqa.base.files import write_text
from dsmix_aug.nriqa.base.seeds import derive_seed
from dsmix_aug.nriqa.runs.config import LoopConfig
from dsmix_aug.nriqa.runs.folder import History
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.batches import Batch
from dsmix_aug.nriqa.stages.checkpoint import read_checkpoint, write_checkpoint
from dsmix_aug.nriqa.stages.shard_buffers import ShardBuffers

GRADIENT_NORM = 1.0
WARMUP_SHARE = 0.1


def train(objective: nn.Module, batches: Dataset[Batch], loop: LoopConfig, run: Run, part: str) -> History:
    """Train ``objective`` on ``batches``, from the part's last checkpoint where there is one.

    Writes ``checkpoint.safetensors`` and ``log.jsonl`` to the part's folder, and TensorBoard events to the run's.

    Args:
        objective: Called with a :class:`~dsmix_aug.nriqa.stages.batches.Batch` on the run's device, returns the losses
            to be added up, by name. Its parameters that require gradients are trained.
        batches: Batch ``step * loop.shards + shard`` by number.
        loop: How many steps, and how.
        run: The run.
        part: Name of the part, and of its folder in the run's.

    Raises:
        FloatingPointError: If the loss is not finite.
        OSError: If a photo cannot be read or a file not written, which it names.
        RuntimeError: If a worker process dies.
        ValueError: If the number of processes does not divide ``loop.shards``, or the checkpoint is damaged.
    """
    rank, world_size = distributed.rank(), distributed.world_size()
    if loop.shards % world_size:
        raise ValueError(f"shards should be a multiple of the number of processes, got {loop.shards} and {world_size}")
    objective.to(run.device).train()
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=loop.learning_rate, weight_decay=loop.weight_decay)
    checkpoint = run.folder / part / "checkpoint.safetensors"
    history = read_checkpoint(checkpoint, objective, optimizer)
    buffers = ShardBuffers(objective, loop.shards)
    replica = distributed.replicate(objective)

    shards = range(rank, loop.shards, world_size)
    numbers = [step * loop.shards + shard for step in range(len(history), loop.steps) for shard in shards]
    loader = iter(
        DataLoader(batches, batch_size=None, sampler=numbers, num_workers=run.workers, worker_init_fn=end_if_orphaned)
    )
    writer = SummaryWriter(str(run.folder / "tensorboard" / part), purge_step=len(history)) if rank == 0 else None
    with Progress(part, loop.steps, "steps", done=len(history), shown=rank == 0) as progress:
        for step in range(len(history), loop.steps):
            learning_rate = schedule(step, loop)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.zero_grad()
            losses = {}
            buffers.begin_step()
            for shard in shards:
                # for dropout and the like, also if resumed
                torch.manual_seed(derive_seed(run.config.seed, part, step, shard))
                buffers.begin_shard()
                losses[shard] = _backward(replica, _next_batch(loader), run, loop)
                buffers.end_shard()
            buffers.end_step()
            nn.utils.clip_grad_norm_(trained, GRADIENT_NORM)
            optimizer.step()
            average = _average(list(losses.values()), part, step)
            history.append({"step": step, "learning_rate": learning_rate, **average})
            progress.advance(f"loss {history[-1]['loss']:.4g}")
            if writer:
                for name, value in history[-1].items():
                    writer.add_scalar(name, value, step)
            if (step + 1) % loop.checkpoint_every == 0 and step + 1 < loop.steps and rank == 0:
                write_checkpoint(checkpoint, objective, optimizer, history)
                _write_log(checkpoint.with_name("log.jsonl"), history)
    if writer:
        writer.close()
        _write_log(checkpoint.with_name("log.jsonl"), history)
    objective.eval()
    return history


def schedule(step: int, loop: LoopConfig) -> float:
    """Return the learning rate of a step: linear warm-up, then half a cosine down to 0."""
    warmup = max(1, round(WARMUP_SHARE * loop.steps))
    if step < warmup:
        return loop.learning_rate * (step + 1) / warmup
    return loop.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, loop.steps - warmup)))


def _next_batch(loader: Iterator[Batch]) -> Batch:
    """Return a loader's next batch.

    Raises:
        OSError: If a photo cannot be read, which it names; from a worker, it would be a traceback as text.
    """
    try:
        return next(loader)
    except OSError as error:
        if "Original Traceback" not in str(error):
            raise
        raise OSError(str(error).rstrip().rpartition("Error: ")[2]) from error


def _backward(replica: nn.Module, batch: Batch, run: Run, loop: LoopConfig) -> dict[str, Tensor]:
    on_device = Batch(*(tensor.to(run.device, non_blocking=True) for tensor in batch))
    with bfloat16_autocast(run.device, loop.autocast):
        losses = replica(on_device)
    total = torch.stack(list(losses.values())).sum()
    own_shards = loop.shards // distributed.world_size()  # gradients of processes are averaged
    (total / own_shards).backward()
    return {"loss": total.detach(), **{name: loss.detach() for name, loss in losses.items()}}


def _average(losses: list[dict[str, Tensor]], part: str, step: int) -> dict[str, float]:
    names = list(losses[0])
    per_shard = torch.stack([torch.stack([entry[name].float() for name in names]) for entry in losses])
    values = distributed.average(per_shard.mean(0)).tolist()
    if not math.isfinite(values[0]):
        raise FloatingPointError(f"{part}: the loss of step {step} is {values[0]}; a lower learning rate may help")
    return dict(zip(names, values, strict=True))


def _write_log(path: Path, history: History) -> None:
    write_text(path, "".join(json.dumps(entry) + "\n" for entry in history))
