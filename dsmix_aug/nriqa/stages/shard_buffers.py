"""Batch norm's running statistics in a step of several shards, in one process or in several."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dsmix_aug.nriqa.base import distributed


class ShardBuffers:
    """A module's buffers, updated by each shard of a step as if the shards ran at once.

    Batch norm updates its running statistics in every forward. Updated by one shard after the other, they would depend
    on how many shards a process has. Here each shard starts from the buffers as they were when the step began, and the
    step ends with their mean over all shards of all processes; counters, the same for every shard, count steps.

    Args:
        module: The module, not wrapped.
        shards: How many shards a step has, over all processes.
    """

    def __init__(self, module: nn.Module, shards: int) -> None:
        buffers = list(module.buffers()) if shards > 1 else []  # one shard needs no mean
        self._averaged = [buffer for buffer in buffers if buffer.is_floating_point()]
        self._counters = [buffer for buffer in buffers if not buffer.is_floating_point()]
        self._shards = shards
        self.begin_step()

    def begin_step(self) -> None:
        """Remember the buffers as they are."""
        self._start = _copies(self._averaged)
        self._start_counters = _copies(self._counters)
        self._changes = [torch.zeros_like(buffer) for buffer in self._averaged]

    def begin_shard(self) -> None:
        """Set the buffers back to where the step began."""
        _copy(self._start, self._averaged)
        _copy(self._start_counters, self._counters)

    def end_shard(self) -> None:
        """Record how this shard changed the buffers."""
        for change, start, buffer in zip(self._changes, self._start, self._averaged, strict=True):
            change += buffer - start

    def end_step(self) -> None:
        """Set the buffers to the mean over all shards; those that no shard changed keep their exact values."""
        if not self._averaged:
            return
        own = self._shards // distributed.world_size()
        mean = distributed.average(torch.cat([change.flatten() for change in self._changes]) / own)
        parts = mean.split([change.numel() for change in self._changes])
        _copy([start + part.view_as(start) for start, part in zip(self._start, parts, strict=True)], self._averaged)


def _copies(buffers: list[Tensor]) -> list[Tensor]:
    return [buffer.clone() for buffer in buffers]


def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
