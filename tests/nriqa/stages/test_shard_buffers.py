"""Batch norm's statistics of a step with several shards against the definition, in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from dsmix_aug.nriqa.stages.shard_buffers import ShardBuffers


def run_steps(network, buffers, steps):
    for shards in steps:
        buffers.begin_step()
        for shard in shards:
            buffers.begin_shard()
            network(shard)
            buffers.end_shard()
        buffers.end_step()


def test_statistics_are_the_mean_over_the_shards_of_each_step():
    network = nn.BatchNorm2d(3, momentum=0.25).double()
    steps = torch.rand(3, 4, 5, 3, 2, 2, dtype=torch.float64)  # steps, shards, batch, channels, height, width
    run_steps(network, ShardBuffers(network, 4), steps)
    mean, variance = np.zeros(3), np.ones(3)
    for shards in steps.numpy():
        mean = np.mean([0.75 * mean + 0.25 * shard.mean((0, 2, 3)) for shard in shards], axis=0)
        variance = np.mean([0.75 * variance + 0.25 * shard.var((0, 2, 3), ddof=1) for shard in shards], axis=0)
    np.testing.assert_allclose(network.running_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(network.running_var, variance, rtol=1e-12)
    assert network.num_batches_tracked == 3  # steps, not shards


def test_the_order_of_shards_does_not_matter():
    first, second = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    steps = torch.rand(2, 4, 5, 3)
    run_steps(first, ShardBuffers(first, 4), steps)
    run_steps(second, ShardBuffers(second, 4), steps.flip(1))
    torch.testing.assert_close(first.state_dict(), second.state_dict())


def test_a_single_shard_is_batch_norm_itself_bit_by_bit():
    own, plain = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    steps = torch.rand(5, 1, 7, 3)
    run_steps(own, ShardBuffers(own, 1), steps)
    for (batch,) in steps:
        plain(batch)
    assert all(torch.equal(a, b) for a, b in zip(own.buffers(), plain.buffers(), strict=True))


@pytest.mark.parametrize("module", [nn.Linear(3, 3), nn.BatchNorm1d(3).eval()])
def test_what_does_not_change_keeps_its_exact_values(module):
    for buffer in module.buffers():
        buffer.copy_(torch.rand(buffer.shape) / 3)
    before = [buffer.clone() for buffer in module.buffers()]
    run_steps(module, ShardBuffers(module, 3), torch.rand(2, 3, 5, 3))
    assert all(torch.equal(a, b) for a, b in zip(before, module.buffers(), strict=True))
