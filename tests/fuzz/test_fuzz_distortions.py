"""Every distortion, the bank and RandomDistortion with every kind of image and setting."""

import torch
from fuzz_inputs import (
    Spec,
    call,
    check_new_image,
    fuzz,
    good_specs,
    not_tensors,
    plain,
    same,
    seeds,
    shapes,
    sizes,
    specs,
    values,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st
from torchvision import tv_tensors

from dsmix_aug import DistortionBank, RandomDistortion
from dsmix_aug.distortions import BEYOND, KADID_10K

BANKS = {mode: DistortionBank([*KADID_10K, *BEYOND], range_mode=mode) for mode in ("clip", "kadis")}
#: Types that take one channel and any size.
SMALL = [name for name, distortion in BANKS["clip"].items() if distortion.min_size == 1 and not distortion.needs_color]
names = st.sampled_from(list(BANKS["clip"]))
modes = st.sampled_from(list(BANKS))
levels = st.one_of(st.integers(1, 5), st.sampled_from([0, -1, 6, True, 1.0, None, "3", [1], torch.tensor(2.0)]))
large_shapes = st.tuples(st.integers(0, 3), st.just(3), st.integers(48, 65), st.integers(48, 65))


def generator(seed):
    return torch.Generator().manual_seed(seed)


def defined(distortion, spec):
    """Whether a distortion is defined for the channels and the size of an image."""
    return min(spec.shape[-2:]) >= distortion.min_size and not (distortion.needs_color and spec.shape[-3] != 3)


@given(modes, specs, levels, seeds)
@fuzz()
def test_every_distortion(mode, spec, level, seed):
    image = spec.make()
    before = plain(image).clone()
    is_level = type(level) is int and 1 <= level <= 5
    is_level |= level == [1] and (len(spec.shape) == 3 or spec.shape[:1] == (1,))
    is_level |= type(level) is int and len(spec.shape) == 4 and spec.shape[0] == 0  # nobody gets it
    for name, distortion in BANKS[mode].items():
        expect = spec.fits((3, 4)) and defined(distortion, spec) and is_level
        says = ("images", "level")
        result = call(name, distortion, image, level, generator=generator(seed), expect=expect, says=says)
        if result is not None:
            check_new_image(result, image, before)
            assert same(result, call(name, distortion, image, level, generator=generator(seed)))


@given(names, modes, good_specs(large_shapes), st.data())
@fuzz(4)
def test_a_sample_does_not_depend_on_the_others(name, mode, spec, data):
    distortion, images = BANKS[mode][name], plain(spec.make())
    chosen = data.draw(st.lists(st.integers(1, 5), min_size=len(images), max_size=len(images)))
    draws = [distortion.draw(generator(i)) for i in range(len(images))]
    together = call(name, distortion.distort_batch, images, chosen, draws, expect=True)
    for i in range(len(images)):
        alone = call(name, distortion.distort_batch, images[i : i + 1], chosen[i : i + 1], draws[i : i + 1])
        assert same(together[i : i + 1], alone)


@given(modes, good_specs(large_shapes), seeds, st.integers(1, 4))
@fuzz()
def test_compositions(mode, spec, seed, count):
    bank, images = BANKS[mode], spec.make()
    before = plain(images).clone()
    params = call("make_composed_params", bank.make_composed_params, images, (0, count), generator=generator(seed))
    for entry in params:
        families = [bank[step.type].family for step in entry]
        assert len(set(families)) == len(families) <= count
    labels = call("encode_multi_hot", bank.encode_multi_hot, params, expect=True)
    assert labels.shape == (len(images), bank.num_classes)
    assert (labels.sum(1) >= 1).all()
    result = call("apply", bank.apply, images, params, expect=True)
    check_new_image(result, images, before)
    for i in range(len(images)):
        assert same(result[i : i + 1], call("apply", bank.apply, images[i : i + 1], params[i : i + 1]))


@given(specs, st.one_of(st.none(), st.integers(-1, 200), st.lists(st.integers(-1, 140), max_size=4), values), seeds)
@fuzz(2)
def test_the_bank(spec, labels, seed):
    bank = DistortionBank(SMALL)
    images = spec.make()
    before = plain(images).clone()
    expect = spec.fits((3, 4)) and defined(bank["jpeg"], spec)
    if labels is not None:
        of_each = [labels] * (spec.shape[0] if len(spec.shape) == 4 else 1) if isinstance(labels, int) else labels
        count = spec.shape[0] if len(spec.shape) == 4 else 1
        in_range = not isinstance(labels, str) and all(0 <= label < bank.num_classes for label in of_each)
        expect = expect and in_range and len(of_each) == count
    says = ("images", "labels")
    result = call("bank", bank, images, labels, generator=generator(seed), expect=expect, says=says)
    if result is None:
        return
    distorted, applied = result
    check_new_image(distorted, images, before)
    assert applied.dtype == torch.int64
    assert applied.shape == images.shape[:-3]
    again, labels_again = call("bank", bank, images, applied, generator=generator(seed))
    assert torch.equal(applied, labels_again)
    if labels is not None:
        assert same(distorted, again)


settings = {
    "p": st.one_of(st.floats(0, 1), st.sampled_from([0, 1, -0.1, 1.1, float("nan"), None, "1", True])),
    "return_labels": st.booleans(),
    "num_distortions": st.one_of(
        st.integers(1, 4), st.sampled_from([0, -1, (1, 3), (0, 2), (3, 1), (1, 99), (1,), "2", 1.5, None, True])
    ),
    "level_probabilities": st.one_of(
        st.none(), st.sampled_from([(1, 1, 1, 1, 1), (1, 0, 0, 0, 0), (0, 0, 0, 0, 0), (1, 2), (-1, 1, 1, 1, 1), "abc"])
    ),
}


@given(st.fixed_dictionaries(settings), good_specs(shapes(sizes, st.sampled_from([1, 3]))), seeds)
@fuzz(2)
def test_random_distortion(keywords, spec, seed):
    bank = DistortionBank(SMALL)
    words = ("p`", "num_distortions", "level_probabilities", "bank")
    distort = call("RandomDistortion", RandomDistortion, bank, says=words, **keywords)
    if distort is None:
        return
    image = tv_tensors.Image(spec.make()) if len(spec.shape) > 2 else spec.make()
    before = plain(image).clone()
    sample = {"image": image, "name": "a", "others": (3, image)}
    expect = spec.fits((3, 4))
    result = call("RandomDistortion()", distort, sample, generator=generator(seed), expect=expect, says=("image",))
    if result is None:
        return
    again = call("RandomDistortion()", distort, sample, generator=generator(seed))
    if distort.return_labels:
        (result, labels), (again, labels_again) = result, again
        assert torch.equal(labels, labels_again)
        multi_hot = distort.num_distortions != 1
        assert labels.shape == image.shape[:-3] + ((bank.num_classes,) if multi_hot else ())
        assert not multi_hot or (labels.sum(-1) >= 1).all()
    check_new_image(result["image"], image, before)
    assert same(result["image"], again["image"])
    assert same(result["image"], result["others"][1])
    assert (result["name"], result["others"][0]) == ("a", 3)


@given(not_tensors, st.sampled_from(["bank", "jpeg", "random"]))
@fuzz()
def test_what_is_not_a_tensor(thing, function):
    bank = DistortionBank(SMALL)
    if function == "random":
        call("RandomDistortion()", RandomDistortion(bank), thing, expect=False, says=("image",))
    elif function == "bank":
        call("bank", bank, thing, expect=False, says=("images",))
    else:
        call("jpeg", bank["jpeg"], thing, 1, expect=False, says=("images",))


anything = st.one_of(st.none(), st.integers(-2, 7), st.text(max_size=3), st.floats(), st.just([]), st.just(("jpeg",)))


@given(
    st.one_of(anything, st.lists(st.one_of(names, anything), max_size=3)),
    st.one_of(anything, st.lists(st.integers(-1, 7), max_size=6)),
    st.one_of(st.sampled_from(["clip", "kadis"]), anything),
    st.one_of(st.none(), anything, st.dictionaries(names, st.lists(st.floats(), max_size=5), max_size=2)),
)
@fuzz(2)
def test_settings_of_a_bank(distortions, chosen, mode, opinions):
    words = ("distortions", "levels", "range_mode", "opinions")
    bank = call(
        "DistortionBank", DistortionBank, distortions, chosen, range_mode=mode, opinions=opinions, says=words
    )  # fmt: skip
    if bank is not None:
        assert [bank.encode(*bank.decode(label)) for label in range(bank.num_classes)] == [*range(bank.num_classes)]
        assert len(bank.opinion_scores) == len(bank.type_index) == len(bank.class_names) == bank.num_classes


@given(st.lists(anything, min_size=1, max_size=6), st.lists(st.one_of(names, anything), min_size=1, max_size=6))
@fuzz()
def test_labels_and_names(numbers, types):
    bank = BANKS["clip"]
    for number in numbers:
        call("decode", bank.decode, number, says=("label",))
        for name in types:
            call("encode", bank.encode, name, number, says=("type", "level"))


@given(st.lists(st.one_of(anything, st.just(BANKS["clip"].make_params(torch.rand(3, 48, 48), 7)[0])), max_size=3))
@fuzz()
def test_params_of_any_kind(params):
    images = Spec((2, 3, 48, 48)).make()
    call("apply", BANKS["clip"].apply, images, params, says=("params",))
