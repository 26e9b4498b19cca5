"""QualityModel and DSMEstimator, called as functions: tiny ones with random weights, and those that ship."""

import functools

import numpy as np
import torch
from fuzz_inputs import (
    FLOATS,
    Spec,
    call,
    fuzz,
    good_specs,
    not_tensors,
    plain,
    same,
    shapes,
    sizes,
    specs,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dsmix_aug import DSMEstimator, QualityModel
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.probe import Probe
from dsmix_aug.nriqa.networks.row import Row

PATCH_SIZE = 8


class TinyBackbone(Backbone):
    """Two feature maps, at strides 2 and 4."""

    channels = (4, 6)
    strides = (2, 4)

    def __init__(self):
        super().__init__((0.5,) * 3, (0.25,) * 3)
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1)

    def forward(self, images):
        first = self.first(self.normalize(images)).relu()
        return [first, self.second(first).relu()]


@functools.cache
def tiny_model(autocast):
    rng, generator = np.random.default_rng(0), torch.get_rng_state()
    torch.manual_seed(0)
    backbone = TinyBackbone().eval()
    torch.set_rng_state(generator)
    width = 2 * 2 * sum(backbone.channels)
    low, mean, coefficients = rng.normal(size=(3, width))
    probe = Probe(low - 1, low + 1, mean, rng.uniform(1, 2, width), coefficients / width**0.5, 0.5)
    return QualityModel(
        row=Row("tiny", ("tiny",)), backbone="tiny", teacher="none", networks=[backbone], probe=probe, target="MOS",
        trained_on="nothing", remark="random weights", autocast=autocast,
    )  # fmt: skip


@functools.cache
def tiny_estimator():
    generator = torch.get_rng_state()
    torch.manual_seed(0)
    estimator = DSMEstimator(PATCH_SIZE, embed_dim=16, depth=1, num_heads=2).eval()
    torch.set_rng_state(generator)
    return estimator


small_model = functools.cache(functools.partial(QualityModel.from_pretrained, "small"))
small_estimator = functools.cache(functools.partial(DSMEstimator.from_pretrained, "small"))
#: One float of a batch may be rounded in another order than it is by itself; bfloat16 keeps 8 bits.
ROUNDING = {False: {"rtol": 1e-4, "atol": 1e-4}, True: {"rtol": 1e-2, "atol": 1e-2}}
batches = good_specs(shapes(sizes, st.sampled_from([3, 3, 3, 1]), st.integers(0, 4)))


def takes(spec):
    """Whether a network takes an image."""
    return spec.dtype in FLOATS and spec.fits((4,), (3,))


def check_call(name, network, spec, rounding):
    """Call a network with images, right or wrong; check what holds for every result, and return it."""
    images = spec.make()
    before = plain(images).clone()
    with torch.no_grad():
        result = call(name, network, images, expect=takes(spec), says=("images",))
        assert same(images, before)
        if result is None:
            return None
        assert type(result) is torch.Tensor
        assert (len(result), result.dtype) == (len(images), torch.float32)
        assert result.isfinite().all()
        assert same(call(name, network, images), result)
        in_float32 = call(name, network, before.float().contiguous(), expect=True)
        torch.testing.assert_close(result, in_float32, **rounding)
        for i in range(len(images) if len(images) > 1 else 0):
            by_itself = call(name, network, images[i : i + 1], expect=True)
            torch.testing.assert_close(by_itself, result[i : i + 1], **rounding)
    return result


@given(st.one_of(batches, specs), st.booleans())
@fuzz()
def test_scores(spec, autocast):
    scores = check_call("QualityModel()", tiny_model(autocast), spec, ROUNDING[autocast])
    assert scores is None or scores.shape == spec.shape[:1]


@given(st.one_of(batches, specs))
@fuzz()
def test_maps(spec):
    maps = check_call("DSMEstimator()", tiny_estimator(), spec, ROUNDING[False])
    if maps is None:
        return
    assert maps.shape == (spec.shape[0], *(-(-side // PATCH_SIZE) for side in spec.shape[-2:]))
    assert (maps >= 0).all()


@given(batches)
@fuzz(0.1)
def test_the_networks_that_ship(spec):
    check_call("QualityModel small", small_model(), spec, ROUNDING[small_model().autocast])
    check_call("DSMEstimator small", small_estimator(), spec, ROUNDING[False])


@given(st.one_of(not_tensors, st.just("meta")), st.booleans())
@fuzz()
def test_what_no_network_takes(thing, scores):
    images = Spec((1, 3, 16, 16)).make().to("meta") if isinstance(thing, str) and thing == "meta" else thing
    network = tiny_model(False) if scores else tiny_estimator()
    call(type(network).__name__, network, images, expect=False, says=("images",))


@given(st.one_of(not_tensors, st.lists(not_tensors, max_size=2)), st.one_of(st.none(), not_tensors, st.integers(-2, 2)))
@fuzz()
def test_what_is_no_photo(photos, working_side):
    """Nothing is read: a photo that is missing is an OSError, which other tests look at."""
    is_list = isinstance(photos, list) and not any(isinstance(photo, str) for photo in photos)
    if is_list or not isinstance(photos, (list, tuple)):
        says = ("photos", "working_side")
        call("QualityModel.score", tiny_model(False).score, photos, working_side, says=says)


sizes_of_networks = st.one_of(
    st.integers(-1, 12), st.sampled_from([np.int64(4), 8.0, True, None, "4", [4], float("nan"), 10**30])
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["patch_size", "embed_dim", "num_heads"]), sizes_of_networks, min_size=1))
@fuzz()
def test_sizes_of_an_estimator(sizes):
    if any(isinstance(size, int) and size > 1000 for size in sizes.values()):
        return  # an estimator of any size may be made, where there is room for it
    given_sizes = {"embed_dim": 4, "num_heads": 1, "depth": 1} | sizes
    estimator = call("DSMEstimator", DSMEstimator, **given_sizes, says=tuple(given_sizes), draws_first=True)
    if estimator is not None:
        assert estimator(torch.rand(1, 3, 5, 9)).isfinite().all()
