"""Training batches: a fixed function of their number, and the pipeline's promises about rows and labels."""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dsmix_aug import DistortionBank, DSMix
from dsmix_aug.nriqa.datasets.photos import read_shrunk
from dsmix_aug.nriqa.datasets.skimage_photos import load_skimage_photos
from dsmix_aug.nriqa.runs.config import LoopConfig
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import PRETRAININGS
from dsmix_aug.nriqa.stages.batches import DistortedCrops
from dsmix_aug.nriqa.stages.mixing import (
    SMALLEST_MEAN,
    CutAndPaste,
    MixUp,
    class_annoyance,
    make_mixer,
    mean_dsm_per_class,
    opinions_of,
)

LOOP = LoopConfig(steps=1, batch_size=4, crop_size=48, learning_rate=1e-3)
BANK = DistortionBank(["mean_shift", "white_noise", "pixelate"])


@functools.cache
def training_photos():
    return load_skimage_photos(48).training


def make_batches(mixer=None, loop=LOOP, seed=0):
    return DistortedCrops(training_photos(), 96, loop, BANK, mixer, seed)


def make_cut(weighting, shuffled_maps=False, class_means=None):
    return CutAndPaste(DSMix(num_classes=BANK.num_classes, weighting=weighting), shuffled_maps, class_means)


def assert_equal(batch, other):
    for own, others in zip(batch, other, strict=True):
        torch.testing.assert_close(own, others, rtol=0, atol=0, equal_nan=True)


def test_shapes_and_labels():
    batch = make_batches(make_cut("mass"))[0]
    assert batch.images.shape == batch.references.shape == (4, 3, 48, 48)
    assert batch.images.dtype == batch.references.dtype == torch.uint8
    assert batch.labels.shape == (4, BANK.num_classes)
    torch.testing.assert_close(batch.labels.sum(1), torch.ones(4))


def test_references_are_crops_of_the_photos():
    batches = make_batches()
    photos = [read_shrunk(path, 96) for path in batches.photos]
    for crop in batches[3].references:
        candidates = [photo.unfold(1, 48, 1).unfold(2, 48, 1) for photo in photos]  # every window of every photo
        found = any(
            (windows == wanted[:, None, None]).all(dim=(0, 3, 4)).any()
            for windows in candidates
            for wanted in (crop, crop.flip(-1))
        )
        assert found


def test_without_mixing_an_image_is_its_class():
    batches = make_batches()
    for number in range(3):
        batch = batches[number]
        for image, reference, label in zip(*batch[:3], strict=True):
            assert label.max() == 1
            name, _ = BANK.decode(int(label.argmax()))
            assert (name == "pristine") == torch.equal(image, reference)


def test_a_batch_depends_on_its_number_alone():
    first, second = make_batches(make_cut("mass")), make_batches(make_cut("mass"))
    later = first[7]
    second[0]
    torch.manual_seed(99)
    assert_equal(later, second[7])
    assert not torch.equal(first[8].images, later.images)
    assert not torch.equal(make_batches(make_cut("mass"), seed=1)[7].images, later.images)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 and later, of DataLoader itself
def test_workers_make_the_same_batches():
    batches = make_batches(make_cut("mass"))
    loader = DataLoader(batches, batch_size=None, sampler=range(4), num_workers=2)
    for number, batch in enumerate(loader):
        assert_equal(batch, batches[number])


def test_rows_differ_in_their_labels_alone():
    mass, area = make_batches(make_cut("mass")), make_batches(make_cut("area"))
    assert torch.equal(mass[2].images, area[2].images)
    assert torch.equal(mass[2].references, area[2].references)
    assert any(not torch.equal(mass[number].labels, area[number].labels) for number in range(4))


def test_a_share_of_a_batch_has_no_class_but_an_estimate():
    """It comes last and is not mixed; the rest of the batch has classes and no estimate."""
    loop = LoopConfig(steps=1, batch_size=10, crop_size=48, learning_rate=1e-3)
    photos = training_photos()
    batch = DistortedCrops(photos, 96, loop, BANK, make_cut("mass"), 0, estimated_share=0.3)[0]
    assert batch.images.shape == batch.references.shape == (10, 3, 48, 48)
    torch.testing.assert_close(batch.labels.sum(1), torch.tensor([1.0] * 7 + [0.0] * 3))
    assert batch.estimates[:7].isnan().all()
    assert ((batch.estimates[7:] >= 1) & (batch.estimates[7:] <= 5)).all()


def test_a_batch_is_one_shard():
    loop = LoopConfig(steps=1, batch_size=8, crop_size=48, learning_rate=1e-3, shards=4)
    assert len(make_batches(loop=loop)[0].images) == 2


def check_labels(batch, source, strengths):
    """Compare a mixed batch's labels with the shares of ``strengths``, (B, H, W), that the boxes kept and cut."""
    pasted = (batch.references != source.references).any(1)
    if not pasted.any():
        return False
    box = pasted.any(0)
    for i in range(len(strengths)):
        kept, cut = strengths[i][~box].sum(), strengths[i - 1][box].sum()
        if kept + cut > 0:
            share = (kept / (kept + cut)).float()
            expected = share * source.labels[i] + (1 - share) * source.labels[i - 1]
            torch.testing.assert_close(batch.labels[i], expected, atol=1e-5, rtol=0)
    return True


def test_another_samples_map_moves_labels_alone():
    """The control: the same crops, distortions and boxes, and labels from the formula with the maps half a batch on."""
    own, foreign = make_batches(make_cut("mass")), make_batches(make_cut("mass", shuffled_maps=True))
    unmixed = make_batches()
    checked = []
    for number in range(4):
        a, b, source = own[number], foreign[number], unmixed[number]
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.references, b.references)
        errors = (source.images.double() - source.references.double()).abs().mean(1)
        checked.append(check_labels(b, source, errors.roll(2, 0)))
    assert any(checked)


@pytest.mark.parametrize("shuffled_maps", [False, True])
def test_maps_are_divided_by_the_mean_of_their_own_class(shuffled_maps):
    class_means = torch.linspace(0.01, 0.5, BANK.num_classes)
    batches, unmixed = make_batches(make_cut("mass", shuffled_maps, class_means)), make_batches()
    checked = []
    for number in range(4):
        source = unmixed[number]
        errors = (source.images.double() - source.references.double()).abs().mean(1)
        strengths = errors / class_means[source.labels.argmax(1), None, None]
        checked.append(check_labels(batches[number], source, strengths.roll(2, 0) if shuffled_maps else strengths))
    assert any(checked)


@pytest.mark.parametrize("shuffled_maps", [False, True])
def test_annoyance_counts_each_region_by_how_much_it_bothers_people(shuffled_maps):
    class_means = torch.linspace(0.01, 0.5, BANK.num_classes)
    annoyance = class_annoyance(BANK)
    mixer = CutAndPaste(DSMix(num_classes=BANK.num_classes, weighting="mass"), shuffled_maps, class_means, annoyance)
    batches, unmixed = make_batches(mixer), make_batches()
    best = float(BANK.opinion_scores.max())
    checked = []
    for number in range(4):
        source = unmixed[number]
        classes = source.labels.argmax(1)
        errors = (source.images.double() - source.references.double()).abs().mean(1)
        factors = (best - BANK.opinion_scores[classes]) / class_means[classes]
        strengths = errors * factors[:, None, None]
        checked.append(check_labels(batches[number], source, strengths.roll(2, 0) if shuffled_maps else strengths))
    assert any(checked)


def test_half_of_a_patchs_weight_may_be_its_area():
    class_means = torch.linspace(1, 50, BANK.num_classes)
    mixer = CutAndPaste(
        DSMix(num_classes=BANK.num_classes, weighting="mass"), class_means=class_means / 255, area_share=0.5
    )
    batches, unmixed = make_batches(mixer), make_batches()
    checked = []
    for number in range(4):
        source = unmixed[number]
        errors = (source.images.double() - source.references.double()).abs().mean(1)
        strengths = 0.5 * errors / class_means[source.labels.argmax(1), None, None] + 0.5
        checked.append(check_labels(batches[number], source, strengths))
    assert any(checked)


@pytest.mark.parametrize("shuffled_maps", [False, True])
def test_partners_of_like_scores(shuffled_maps):
    """What comes out is what the batch gives that was sorted by opinion before."""
    bank = DistortionBank()
    generator = torch.Generator().manual_seed(3)
    references = torch.randint(0, 256, (16, 3, 64, 64), dtype=torch.uint8, generator=generator)
    images, labels = bank(references, generator=generator)
    mix = DSMix(num_classes=bank.num_classes, weighting="mass")
    order = np.argsort(bank.opinion_scores[labels].numpy(), kind="stable")

    def mixed(mixer, *batch):
        return mixer(*batch, torch.Generator().manual_seed(4))

    found = mixed(CutAndPaste(mix, shuffled_maps, scores=opinions_of(bank)), images, labels, references)
    expected = mixed(CutAndPaste(mix, shuffled_maps), images[order], labels[order], references[order])
    for own, wanted in zip(found, expected, strict=True):
        assert torch.equal(own, wanted)
    scores = bank.opinion_scores[labels]
    distances = [(values - values.roll(1)).abs()[1:].mean() for values in (scores[order], scores)]
    assert distances[0] < 0.2 * distances[1]


def test_annoyance_is_what_lacks_to_the_best_class():
    annoyance = class_annoyance(DistortionBank())
    assert annoyance.min() == 0
    assert annoyance[DistortionBank().encode("jpeg", 5)] == pytest.approx(4.60 - 1.35, abs=0.01)

    class Unknown(type(BANK["pixelate"])):
        name = "unknown"

    with pytest.raises(ValueError, match="bank: there is no opinion of 'unknown_1'"):
        class_annoyance(DistortionBank(["jpeg", Unknown()]))
    with pytest.raises(ValueError, match="bank: there is no opinion of 'unknown_1'"):
        opinions_of(DistortionBank(["jpeg", Unknown()]))


def test_mean_dsm_of_each_class(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        Image.new("RGB", (64, 64), (128, 128, 128)).save(path)
    smoke = PRESETS["smoke"]
    config = dataclasses.replace(smoke, pretrain=dataclasses.replace(smoke.pretrain, crop_size=48))
    means = mean_dsm_per_class(config, BANK, paths)
    assert means[0] == SMALLEST_MEAN
    shifts, variances = {1: 0.15, 2: 0.08, 4: 0.08, 5: 0.15}, (0.001, 0.002, 0.003, 0.005, 0.01)
    for label in range(1, BANK.num_classes):
        name, level = BANK.decode(label)
        expected = {
            "mean_shift": shifts.get(level),
            "white_noise": (2 / np.pi * variances[level - 1]) ** 0.5,  # the mean of a normal variable's magnitude
            "pixelate": SMALLEST_MEAN,  # a grey photo stays as it is
        }[name]
        assert means[label].item() == pytest.approx(expected, rel=0.03)
    assert torch.equal(mean_dsm_per_class(config, BANK, paths), means)


def test_mixup_mixes_images_references_and_labels_alike():
    batch, source = make_batches(MixUp(BANK.num_classes, 1.0))[3], make_batches()[3]
    assert batch.images.dtype == torch.uint8
    share = _share(batch.references, source.references)
    assert 0 < share < 1
    for mixed, plain, tolerance in (
        (batch.images.double(), source.images.double(), 0.51),
        (batch.labels.double(), source.labels.double(), 2e-3),
    ):
        torch.testing.assert_close(mixed, share * plain + (1 - share) * plain.roll(1, 0), atol=tolerance, rtol=0)
    again = make_batches(MixUp(BANK.num_classes, 1.0))[3]
    assert torch.equal(again.images, batch.images)
    assert torch.equal(make_batches(MixUp(BANK.num_classes, 0.0))[3].images, source.images)


def _share(mixed, plain):
    """Return the weight of each sample in its mix with the one before, by least squares."""
    other = plain.double().roll(1, 0)
    difference = plain.double() - other
    return float(((mixed.double() - other) * difference).sum() / difference.square().sum())


def test_drawing_from_torchs_generator_leaves_no_trace():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    make_batches(MixUp(BANK.num_classes, 1.0))[0]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("weighting", ["mass", "mass_per_class", "retained"])
@pytest.mark.parametrize("name", PRETRAININGS)
def test_every_pretraining_has_its_mixer(name, weighting):
    config = dataclasses.replace(PRESETS["smoke"], weighting=weighting)
    means = torch.ones(BANK.num_classes)
    mixer = make_mixer(PRETRAININGS[name], config, BANK, lambda: means)
    assert (mixer is None) == name.startswith("no_mixing")
    if isinstance(mixer, CutAndPaste):
        weighting = PRETRAININGS[name].weighting or weighting
        per_class = weighting in ("mass_per_class", "annoyance", "mass_and_area") and "dsmix" in name
        assert mixer.mix.weighting == ("area" if "cutmix" in name else "mass" if per_class else weighting)
        assert mixer.shuffled_maps == ("shuffled" in name)
        assert (mixer.class_means is means) == per_class
        assert (mixer.annoyance is not None) == ("annoyance" in name)
        assert mixer.area_share == (0.5 if "mass_and_area" in name else 0)
        assert (mixer.scores is not None) == ("like_scores" in name)
