"""Sensitivity maps, References and what moves them, and the collate function, with every kind of input."""

import math

import numpy as np
import torch
from fuzz_inputs import (
    Spec,
    call,
    dtypes,
    fuzz,
    layouts,
    not_tensors,
    plain,
    same,
    seeds,
    shapes,
    sides,
    sizes,
    specs,
    values,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import default_collate
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from dsmix_aug import Reference, SensitivityMap, collate_tv_tensors, functional, sensitivity_map

PATCH_SIZES = (1, 2, 3, 7, 8, 16, 33, 10**9)
ODD_PATCH_SIZES = (*PATCH_SIZES, 0, -1, 1.0, True, None, "16")
odd_patch_sizes = st.one_of(st.sampled_from(PATCH_SIZES), st.sampled_from(ODD_PATCH_SIZES))


def map_by_numpy(distorted, reference, patch_size):
    """The mean absolute error of each patch, in float64."""
    scale = 255 if distorted.dtype == torch.uint8 else 1
    errors = np.abs(plain(distorted).double().numpy() - plain(reference).double().numpy()).mean(-3) / scale
    rows, columns = (np.arange(0, side, patch_size) for side in errors.shape[-2:])
    sums = np.add.reduceat(np.add.reduceat(errors, rows, -2), columns, -1)
    height, width = (np.diff([*starts, side]) for starts, side in zip((rows, columns), errors.shape[-2:], strict=True))
    return torch.from_numpy(sums / np.outer(height, width))


@given(shapes(channels=st.integers(0, 4)), dtypes, dtypes, values, values, layouts, layouts, seeds)
@fuzz()
def test_sensitivity_map(shape, dtype, other_dtype, kind, other_kind, layout, other_layout, seed):
    first, second = Spec(shape, dtype, kind, layout, seed), Spec(shape, other_dtype, other_kind, other_layout, seed + 1)
    distorted, reference = first.make(), second.make()
    before = plain(distorted).clone(), plain(reference).clone()
    fits = all(spec.fits((3, 4, 5), None) or (spec.is_good and not math.prod(shape[:-3])) for spec in (first, second))
    fits = fits and len(shape) >= 3 and 0 not in shape[-3:]
    for patch_size in ODD_PATCH_SIZES:
        is_size = type(patch_size) is int and patch_size > 0
        expect = fits and is_size and (dtype == torch.uint8) == (other_dtype == torch.uint8)
        says = ("distorted", "reference", "patch_size")
        result = call("sensitivity_map", sensitivity_map, distorted, reference, patch_size, expect=expect, says=says)
        if result is None:
            continue
        assert type(result) is SensitivityMap
        assert (result.patch_size, result.canvas_size) == (patch_size, shape[-2:])
        assert result.dtype == (torch.float64 if torch.float64 in (dtype, other_dtype) else torch.float32)
        assert not result.requires_grad
        torch.testing.assert_close(plain(result).double(), map_by_numpy(*before, patch_size), rtol=1e-5, atol=1e-6)
        assert ((plain(result) >= 0) & (plain(result) <= 1)).all()
        bare = call("mean_patch_error", functional.mean_patch_error, plain(distorted), plain(reference), patch_size)
        assert same(bare, result)
        assert same(call("sensitivity_map", sensitivity_map, distorted, reference, patch_size), result)
    assert same(distorted, before[0])
    assert same(reference, before[1])


@given(specs, specs, not_tensors, st.sampled_from(["shapes", "first", "second", "meta"]))
@fuzz()
def test_pairs_that_do_not_fit(first, second, thing, wrong):
    images = [first.make(), second.make()]
    if wrong == "shapes" and first.shape == second.shape:
        return
    if wrong == "meta":
        images[1] = images[0].to("meta")
    elif wrong != "shapes":
        images[wrong == "second"] = thing
    call("sensitivity_map", sensitivity_map, *images, expect=False, says=("distorted", "reference"))


coordinates = st.integers(-40, 80)
geometry = st.one_of(
    st.tuples(st.just("crop"), st.tuples(coordinates, coordinates, st.integers(1, 70), st.integers(1, 70))),
    st.tuples(st.just("center_crop"), st.tuples(st.lists(st.integers(1, 70), min_size=2, max_size=2))),
    st.tuples(st.just("five_crop"), st.tuples(st.lists(st.integers(1, 70), min_size=2, max_size=2))),
    st.tuples(st.just("ten_crop"), st.tuples(st.lists(st.integers(1, 70), min_size=2, max_size=2))),
    st.tuples(st.just("horizontal_flip"), st.just(())),
    st.tuples(st.just("vertical_flip"), st.just(())),
    st.tuples(st.just("pad"), st.tuples(st.lists(st.integers(0, 20), min_size=4, max_size=4))),
    st.tuples(st.just("resize"), st.tuples(st.lists(st.integers(1, 70), min_size=2, max_size=2))),
    st.tuples(st.just("rotate"), st.tuples(st.floats(-360, 360))),
    st.tuples(
        st.just("resized_crop"),
        st.tuples(
            st.just(0), st.just(0), st.integers(1, 70), st.integers(1, 70),
            st.lists(st.integers(1, 70), min_size=2, max_size=2),
        ),
    ),
)  # fmt: skip


def outcome(function, *arguments):
    """What a function returns, or the error that it raises."""
    try:
        return function(*arguments)
    except Exception as error:
        return error


@given(shapes(sizes, st.sampled_from([1, 3]), st.integers(0, 3)), geometry, st.sampled_from(["f", "u"]), seeds)
@fuzz(4)
def test_a_reference_moves_as_an_image(shape, move, kind, seed):
    """Result and error are those of ``tv_tensors.Image``, whatever torchvision says."""
    if len(shape) < 3:
        return
    pixels = plain(Spec(shape, torch.uint8 if kind == "u" else torch.float32, seed=seed).make())
    name, arguments = move
    reference = Reference(pixels)
    before = pixels.clone()
    results = [outcome(getattr(F, name), given, *arguments) for given in (tv_tensors.Image(pixels), reference)]
    expected = results[0]
    result = call(name, lambda: results[1], expect=True)
    if isinstance(expected, Exception):
        assert type(result) is type(expected)
        return
    expected, result = (given if isinstance(given, tuple) else (given,) for given in (expected, result))
    assert len(result) == len(expected)
    for one, other in zip(result, expected, strict=True):
        assert type(one) is Reference
        assert same(one, other)
    assert same(pixels, before)


@given(st.tuples(sides, sides), st.sampled_from([1, 2, 4, 8]), geometry, st.integers(1, 3), seeds)
@fuzz(4)
def test_a_map_moves_as_its_image_or_says_that_it_cannot(size, patch_size, move, count, seed):
    name, arguments = move
    reference = Spec((count, 3, *size), seed=seed).make()
    distorted = Spec((count, 3, *size), seed=seed + 1).make()
    dsm = sensitivity_map(distorted, reference, patch_size)
    moved = [outcome(getattr(F, name), image, *arguments) for image in (distorted, reference)]
    says = ("SensitivityMap", "size", "must be", "should be")
    result = call(f"map {name}", getattr(F, name), dsm, *arguments, says=says)
    if result is None or isinstance(moved[0], Exception):
        return
    tuples = [given if isinstance(given, tuple) else (given,) for given in (result, *moved)]
    for one, image, pristine in zip(*tuples, strict=True):
        torch.testing.assert_close(plain(one), plain(sensitivity_map(image, pristine, patch_size)))
        assert (one.patch_size, one.canvas_size) == (patch_size, tuple(image.shape[-2:]))


@given(shapes(sizes, st.integers(0, 3)), dtypes, odd_patch_sizes, st.one_of(
    st.none(), st.tuples(sides, sides), st.sampled_from([5, (1,), "ab", (1.0, 2), (-1, 3)])
))  # fmt: skip
@fuzz(2)
def test_making_maps_and_references(shape, dtype, patch_size, canvas_size):
    data = torch.zeros(shape).to(dtype)
    says = ("data", "patch_size", "canvas_size")
    dsm = call(
        "SensitivityMap", SensitivityMap, data, patch_size=patch_size, canvas_size=canvas_size, says=says
    )  # fmt: skip
    if dsm is not None:
        assert dsm.shape == data.shape
        for copied in (dsm.clone(), dsm.to(torch.complex128 if dsm.is_complex() else torch.float64), dsm.detach()):
            if isinstance(copied, SensitivityMap):
                assert (copied.patch_size, copied.canvas_size) == (dsm.patch_size, dsm.canvas_size)
    reference = call("Reference", Reference, data, says=says)
    assert reference is None or reference.shape[-2:] == data.shape[-2:]


leaves = st.one_of(
    st.sampled_from([1, 0.5, "a", b"b", True]),
    st.builds(lambda side, kind: kind(torch.ones(3, side, side)), st.integers(1, 3), st.sampled_from(
        [torch.Tensor, tv_tensors.Image, Reference, SensitivityMap]
    )),
)  # fmt: skip
structures = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.lists(inner, min_size=1, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


def bare(structure):
    """The structure with plain tensors."""
    if isinstance(structure, torch.Tensor):
        return plain(structure)
    if isinstance(structure, dict):
        return {key: bare(value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(map(bare, structure))
    return structure


def flat(structure):
    if isinstance(structure, dict):
        return [leaf for value in structure.values() for leaf in flat(value)]
    if isinstance(structure, (list, tuple)):
        return [leaf for value in structure for leaf in flat(value)]
    return [structure]


@given(structures, st.integers(1, 4))
@fuzz(2)
def test_collating_is_default_collate_that_keeps_types(sample, count):
    collated = call("collate_tv_tensors", collate_tv_tensors, [sample] * count, expect=True)
    expected = default_collate([bare(sample)] * count)
    assert str(bare(collated)) == str(expected)
    kept = (tv_tensors.Image, Reference, SensitivityMap)
    wanted = [type(leaf) for leaf in flat(sample) if isinstance(leaf, kept)]
    assert [type(leaf) for leaf in flat(collated) if isinstance(leaf, kept)] == wanted


@given(st.lists(structures, max_size=3))
@fuzz(2)
def test_collating_samples_that_differ(samples):
    """Fails where ``default_collate`` fails, and never loses a sample."""
    result = outcome(collate_tv_tensors, samples)
    expected = outcome(default_collate, [bare(sample) for sample in samples])
    call("collate_tv_tensors", lambda: None)
    if isinstance(result, Exception):
        assert isinstance(expected, Exception) or isinstance(result, (ValueError, RuntimeError)), repr(result)
