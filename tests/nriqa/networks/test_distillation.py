"""Distillation against its formula in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.distillation import Distillation, pool_maps


class Maps(Backbone):
    """Gives maps that do not depend on the images."""

    def __init__(self, maps):
        super().__init__(mean=(0.0,) * 3, std=(1.0,) * 3)
        self.maps = maps
        self.channels = tuple(features.shape[1] for features in maps)

    def forward(self, images):
        return self.maps


def make_maps(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(5, *shape, generator=generator) for shape in shapes]


def cosine_distance(a, b):
    return 1 - (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def expected_loss(own, target):
    own, target = ([m.double().numpy() for m in maps] for maps in (own, target))
    statistics = [(m.mean((2, 3)), t.mean((2, 3))) for m, t in zip(own, target, strict=True)]
    statistics += [(m.std((2, 3)), t.std((2, 3))) for m, t in zip(own, target, strict=True) if t.shape[2:] != (1, 1)]
    return np.mean([cosine_distance(*pair).mean() for pair in statistics])


@pytest.mark.parametrize("distilled_maps", ["last", "all"])
def test_mean_cosine_distance_of_means_and_deviations(distilled_maps):
    own = make_maps((4, 6, 6), (8, 3, 3))
    target = make_maps((4, 6, 6), (8, 3, 3), seed=1)
    count = {"last": 1, "all": 2}[distilled_maps]
    loss = Distillation((4, 8), Maps(target), distilled_maps, 3.0)(torch.rand(5, 3, 8, 8), pool_maps(own))
    assert loss.item() == pytest.approx(3 * expected_loss(own[-count:], target[-count:]), rel=1e-4)


def test_maps_are_paired_from_the_last_and_projected_where_widths_differ():
    own = make_maps((4, 6, 6), (8, 3, 3), (10, 3, 3))
    target = make_maps((8, 5, 5), (7, 2, 2), seed=1)
    distillation = Distillation((4, 8, 10), Maps(target), "all", 1.0)
    same, projection = distillation.projections
    assert isinstance(same, nn.Identity)
    assert projection.weight.shape == (7, 10)
    with torch.no_grad():
        projection.weight.copy_(torch.eye(7, 10))
    loss = distillation(torch.rand(5, 3, 8, 8), pool_maps(own))
    mean, deviation = (own[2].mean((2, 3))[:, :7], own[2].flatten(2).std(2, correction=0)[:, :7])
    wanted = target[1].mean((2, 3)), target[1].flatten(2).std(2, correction=0)
    distances = [cosine_distance(a.numpy(), b.numpy()).mean() for a, b in zip((mean, deviation), wanted, strict=True)]
    assert loss.item() == pytest.approx((2 * expected_loss(own[1:2], target[:1]) + sum(distances)) / 4, rel=1e-4)


def test_a_teachers_map_of_one_pixel_has_a_mean_alone():
    own, target = make_maps((8, 3, 3)), make_maps((8, 1, 1), seed=1)
    loss = Distillation((8,), Maps(target), "all", 1.0)(torch.rand(5, 3, 8, 8), pool_maps(own))
    assert loss.item() == pytest.approx(expected_loss(own, target), rel=1e-4)


def test_flat_maps_have_a_finite_gradient():
    own = [torch.full((5, 8, 3, 3), 0.5, requires_grad=True)]
    Distillation((8,), Maps(make_maps((8, 3, 3))), "all", 1.0)(torch.rand(5, 3, 8, 8), pool_maps(own)).backward()
    assert own[0].grad.isfinite().all()


def test_the_teacher_alone_runs_under_autocast(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    seen = []

    class Probe(Maps):
        def forward(self, images):
            seen.append(nn.functional.linear(images[:, 0], torch.eye(8)).dtype)
            return self.maps

    maps = make_maps((4, 6, 6))
    for autocast in (False, True):
        Distillation((4,), Probe(maps), "all", 1.0, autocast)(torch.rand(5, 3, 8, 8), pool_maps(maps))
    assert seen == [torch.float32, torch.bfloat16]
    assert not torch.is_autocast_enabled("cpu")
