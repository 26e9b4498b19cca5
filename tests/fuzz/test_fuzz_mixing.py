"""DSMix in every setting with every kind of batch, and the functions that it is made of."""

import itertools

import torch
from fuzz_inputs import (
    FLOATS,
    IMAGE_DTYPES,
    LAYOUTS,
    Spec,
    call,
    dtypes,
    fuzz,
    lay_out,
    layouts,
    not_tensors,
    plain,
    same,
    seeds,
    sides,
    values,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st
from torchvision import tv_tensors

from dsmix_aug import DSMix, Reference, SensitivityMap, functional, sensitivity_map
from dsmix_aug.mixing.functional import WEIGHTINGS

CLASSES = 4
#: A message has to have one of these words; most are those of torchvision's CutMix.
SAYS = ("image", "label", "Reference", "SensitivityMap", "map", "sample", "estimator", "Class values")
BOXES, PARTNERS = ("batch", "sample"), ("roll", "random")
good_settings = {
    "weighting": st.sampled_from(list(WEIGHTINGS)),
    "box": st.sampled_from(BOXES),
    "partner": st.sampled_from(PARTNERS),
    "p": st.sampled_from([0.0, 0.5, 1.0]),
    "alpha": st.sampled_from([1e-3, 0.2, 1.0, 5.0, 1e3]),
    "patch_size": st.sampled_from([1, 3, 8, 16, 100, 10**9]),
}
anything = st.one_of(st.none(), st.integers(-3, 3), st.floats(), st.text(max_size=4), st.just([]), st.booleans())
sources = st.sampled_from(["reference", "map", "getter", "estimator"])
label_kinds = st.sampled_from(["index", "soft", "score", "score_column"])


@st.composite
def images(draw):
    shape = (draw(st.integers(0, 4)), draw(st.sampled_from([1, 2, 3])), draw(sides), draw(sides))
    good = list(IMAGE_DTYPES)
    layout = draw(st.sampled_from([layout for layout in LAYOUTS if layout != "grad"]))
    return Spec(
        shape, draw(st.sampled_from(good)), draw(st.sampled_from(["noise", "dark", "ones"])), layout, draw(seeds)
    )


def make_labels(kind, count, dtype, generator):
    if kind == "index":
        return torch.randint(CLASSES, (count,), generator=generator)
    if kind == "soft":
        return torch.rand(count, CLASSES, generator=generator, dtype=torch.float64).softmax(1).to(dtype)
    scores = torch.rand(count, generator=generator).to(dtype) * 5
    return scores if kind == "score" else scores.unsqueeze(1)


@given(st.fixed_dictionaries(good_settings), images(), sources, label_kinds, st.sampled_from(FLOATS), layouts, seeds)
@fuzz(8)
def test_right_batches(settings, spec, source, kind, dtype, layout, seed):
    generator = torch.Generator().manual_seed(seed)
    batch, count = spec.make(), spec.shape[0]
    pristine = Spec(spec.shape, spec.dtype, "noise", layout, seed).make().detach()
    labels = make_labels(kind, count, dtype, generator)
    measured = sensitivity_map(batch, pristine, settings["patch_size"])
    sample = {"image": batch, "label": labels, "name": ["a"] * count, "number": 7}
    if source == "reference":
        sample["reference"] = Reference(plain(pristine))
    elif source == "map":
        sample["map"] = measured
    mix = DSMix(
        num_classes=CLASSES if kind in ("index", "soft") else None,
        estimator=(lambda x: plain(measured)) if source == "estimator" else None,
        map_getter=(lambda x: plain(measured)) if source == "getter" else None,
        **settings,
    )
    before = plain(batch).clone(), labels.clone()
    result = call("DSMix()", mix, sample, generator=torch.Generator().manual_seed(seed), expect=True)
    assert same(batch, before[0])
    assert same(labels, before[1])
    assert (result["name"], result["number"]) == (sample["name"], 7)
    again = call("DSMix()", mix, sample, generator=torch.Generator().manual_seed(seed), expect=True)
    for key in ("image", "label", *({"map", "reference"} & set(sample))):
        assert same(result[key], again[key])
        assert type(result[key]) is type(sample[key])
    check_image(plain(batch), plain(result["image"]))
    check_labels(kind, labels, result["label"])
    if source == "reference":  # what is measured after mixing is the mixed map
        moved = sensitivity_map(result["image"], result["reference"], settings["patch_size"])
        by_map = {"image": batch, "label": labels, "map": measured}
        expected = call("DSMix()", mix, by_map, generator=torch.Generator().manual_seed(seed), expect=True)
        torch.testing.assert_close(plain(moved), plain(expected["map"]))
        assert same(result["label"], expected["label"])
    if source == "map":
        assert (result["map"].patch_size, result["map"].canvas_size) == (measured.patch_size, measured.canvas_size)
        assert torch.isin(plain(result["map"]), plain(measured)).all()


def check_image(before, mixed):
    """Every pixel is the image's own or that of another sample at this place."""
    assert (mixed.shape, mixed.dtype) == (before.shape, before.dtype)
    if before.numel():
        assert mixed.untyped_storage().data_ptr() != before.untyped_storage().data_ptr()
        assert (mixed.unsqueeze(1) == before.unsqueeze(0)).any(1).all()


def check_labels(kind, labels, mixed):
    if kind in ("index", "soft"):
        assert mixed.shape == (len(labels), CLASSES)
        # Rows sum to 1, as exactly as the labels' dtype can.
        step = torch.finfo(mixed.dtype).eps
        expected = torch.ones(len(labels), dtype=torch.float64) if kind == "index" else labels.double().sum(1)
        torch.testing.assert_close(mixed.double().sum(1), expected, rtol=0, atol=CLASSES * step + 1e-6)
        assert ((mixed >= 0) & (mixed <= 1)).all()
        return
    assert (mixed.shape, mixed.dtype) == (labels.shape, labels.dtype)
    if len(labels):
        assert mixed.min() >= labels.min()
        assert mixed.max() <= labels.max()


@given(
    st.builds(
        Spec, st.lists(st.integers(0, 20), min_size=1, max_size=5).map(tuple), dtypes, values, layouts, seeds
    ),
    st.builds(Spec, st.lists(st.integers(0, 5), max_size=3).map(tuple), dtypes, values, layouts, seeds),
    st.one_of(st.none(), st.builds(Spec, st.lists(st.integers(0, 20), min_size=2, max_size=5).map(tuple), dtypes,
              values, layouts, seeds)),
    st.sampled_from([None, CLASSES, 1]),
    st.sampled_from(["tuple", "dict", "meta_images", "meta_labels"]),
)  # fmt: skip
@fuzz()
def test_wrong_batches(image, label, reference, num_classes, form):
    """Sizes, dtypes, values and devices that hardly fit: mixed, or refused before anything is drawn."""
    batch, labels = image.make(), label.make()
    batch = batch.to("meta") if form == "meta_images" else batch
    labels = labels.to("meta") if form == "meta_labels" else labels
    before = batch if batch.is_meta else plain(batch).clone()
    sample = [batch, labels]
    if reference is not None:
        sample.append(Reference(reference.make()))
    given_sample = ({"image": sample[0], "label": sample[1], "more": sample[2:]},) if form == "dict" else sample
    for weighting, box, partner in itertools.product(WEIGHTINGS, BOXES, PARTNERS):
        mix = DSMix(num_classes=num_classes, weighting=weighting, box=box, partner=partner, patch_size=3)
        result = call("DSMix()", mix, *given_sample, says=SAYS)
        assert batch.is_meta or same(batch, before)
        if result is not None:
            mixed = result["image"] if isinstance(result, dict) else result[0]
            assert (mixed.shape, mixed.dtype, mixed.device) == (batch.shape, batch.dtype, batch.device)


@given(
    st.builds(Spec, st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4)), dtypes, values, layouts, seeds),
    st.sampled_from(["map", "getter", "estimator"]), st.fixed_dictionaries(good_settings),
)  # fmt: skip
@fuzz(4)
def test_maps_of_any_kind(spec, source, settings):
    batch, labels, dsm = torch.rand(2, 3, 24, 32), torch.arange(2), spec.make()
    sample = [batch, labels]
    if source == "map":
        sample.append(SensitivityMap(plain(dsm), patch_size=8))
    getter = (lambda sample: dsm) if source == "getter" else None
    estimator = (lambda images: dsm) if source == "estimator" else None
    mix = DSMix(num_classes=CLASSES, map_getter=getter, estimator=estimator, **settings)
    result = call("DSMix()", mix, *sample, says=SAYS, draws_first=source == "estimator")
    if result is not None:
        assert result[1].isfinite().all()
        torch.testing.assert_close(result[1].sum(1), torch.ones(2))


@given(st.one_of(not_tensors, st.lists(not_tensors, max_size=3), st.dictionaries(st.text(max_size=6), not_tensors)))
@fuzz(2)
def test_samples_without_a_batch(sample):
    call("DSMix()", DSMix(num_classes=CLASSES), sample, expect=False, says=SAYS)


@given(
    st.dictionaries(
        st.sampled_from(["num_classes", *good_settings, "estimator", "map_getter", "labels_getter"]), anything
    )
)
@fuzz(4)
def test_settings(settings):
    says = tuple(settings)
    mix = call("DSMix", DSMix, says=says, **settings)
    if mix is not None:
        assert "DSMix(" in repr(mix)


@given(st.integers(1, 4), sides, sides, st.sampled_from([1, 4, 16]), st.sampled_from(list(WEIGHTINGS)), st.data())
@fuzz(4)
def test_the_functional_form_is_a_sum_over_pixels(count, height, width, patch_size, weighting, data):
    """Lambda against masses summed pixel by pixel."""
    seed = data.draw(seeds)
    generator = torch.Generator().manual_seed(seed)
    grid = -(-height // patch_size), -(-width // patch_size)
    maps = torch.rand(count, *grid, generator=generator, dtype=torch.float64)
    maps *= torch.rand(count, 1, 1, generator=generator) < 0.7  # some without any distortion
    edges = [sorted(data.draw(st.tuples(*[st.integers(0, side)] * 2))) for side in grid]
    (y1, y2), (x1, x2) = ([min(edge * patch_size, side) for edge in pair] for pair, side in zip(
        edges, (height, width), strict=True
    ))  # fmt: skip
    partner = torch.randperm(count, generator=generator)
    pixels = torch.rand(count, 2, height, width, generator=generator)
    boxes = torch.tensor([[x1, y1, x2, y2]])
    mixed, labels, lam = call(
        "functional.dsmix", functional.dsmix, pixels, torch.eye(count), maps, boxes, partner,
        patch_size=patch_size, weighting=weighting, expect=True,
    )  # fmt: skip
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[y1:y2, x1:x2] = True
    full = maps.repeat_interleave(patch_size, 1).repeat_interleave(patch_size, 2)[:, :height, :width]
    assert torch.equal(mixed, torch.where(inside, pixels[partner], pixels))
    for i in range(count):
        own, other = full[i], full[partner[i]]
        area = 1 - float(inside.double().mean())
        kept, pasted = float(own[~inside].sum()), float(other[inside].sum())
        if weighting == "retained":
            kept, pasted = (part / whole if whole else 0.0 for part, whole in (
                (kept, float(own.sum())), (pasted, float(other.sum()))
            ))  # fmt: skip
        expected = area if weighting == "area" or kept + pasted == 0 else kept / (kept + pasted)
        assert abs(float(lam[i]) - expected) < 1e-9
    torch.testing.assert_close(labels.sum(1), torch.ones(count))


@given(st.sampled_from(FLOATS), st.sampled_from(LAYOUTS), st.integers(1, 4), seeds)
@fuzz(2)
def test_mixed_labels_lie_between_the_two(dtype, layout, count, seed):
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.rand(count, 3, generator=generator).to(dtype) for _ in range(2))
    first = lay_out(first, layout) if layout != "tv_image" else tv_tensors.Image(first)[0]
    lam = torch.rand(count, generator=generator, dtype=torch.float64)
    mixed = call("functional.mix_labels", functional.mix_labels, first, second, lam, expect=True)
    assert (mixed.dtype, mixed.shape) == (dtype, first.shape)
    exact = lam.unsqueeze(1) * plain(first).double() + (1 - lam.unsqueeze(1)) * second.double()
    torch.testing.assert_close(plain(mixed).double(), exact, rtol=0, atol=2 * torch.finfo(dtype).eps + 1e-6)
