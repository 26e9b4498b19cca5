"""Several processes, started by ``torchrun``; without it, every function here acts as the only process."""

from __future__ import annotations

import atexit
import faulthandler
import os

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dsmix_aug.nriqa.base.devices import check_device

#: Seconds that leaving the others may take, which is a matter of milliseconds.
LEAVING_TIMEOUT = 60


def start(device: str) -> str:
    """Join the processes that ``torchrun`` started, if it did, until exit, and return this process's device.

    Raises:
        ValueError: If the device is not there.
    """
    is_one_of_several = "RANK" in os.environ
    if is_one_of_several and device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    check_device(device)
    if not is_one_of_several or dist.is_initialized():
        return device
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    atexit.register(_leave)
    return device


def rank() -> int:
    """Return the number of this process; only process 0 writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait_for_all() -> None:
    """Block until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def replicate(module: nn.Module) -> nn.Module:
    """Return ``module`` such that its gradients are averaged over the processes; its buffers are not touched."""
    return nn.parallel.DistributedDataParallel(module, broadcast_buffers=False) if dist.is_initialized() else module


def average(values: Tensor) -> Tensor:
    """Return the mean of ``values`` over the processes."""
    if dist.is_initialized():
        dist.all_reduce(values)
        values /= world_size()
    return values


def _leave() -> None:
    # Gloo's threads may still hold tensors: freed while the interpreter shuts down, they abort the process.
    if dist.is_initialized():
        # With PyTorch 2.6 a process that had done all its work was once seen to wait here for ever.
        faulthandler.dump_traceback_later(LEAVING_TIMEOUT, exit=True)
        dist.destroy_process_group()
        faulthandler.cancel_dump_traceback_later()
