"""Training batches: a fixed function of their number, and the pipeline's promises about rows and labels."""

import pytest
import torch
from torch.utils.data import DataLoader

from dsmix_aug import DistortionBank, DSMix
from dsmix_aug.nriqa.batches import DistortedCrops
from dsmix_aug.nriqa.config import LoopConfig
from dsmix_aug.nriqa.datasets.skimage_photos import load_skimage_photos
from dsmix_aug.nriqa.photos import read_shrunk

LOOP = LoopConfig(steps=1, batch_size=4, crop_size=48, learning_rate=1e-3)
BANK = DistortionBank(["mean_shift", "white_noise", "pixelate"])


def make_batches(mix=None, loop=LOOP, seed=0):
    return DistortedCrops(load_skimage_photos(48).training, 96, loop, BANK, mix, seed)


def make_mix(weighting):
    return DSMix(num_classes=BANK.num_classes, weighting=weighting)


def test_shapes_and_labels():
    batch = make_batches(make_mix("mass"))[0]
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
        for image, reference, label in zip(*batch, strict=True):
            assert label.max() == 1
            name, _ = BANK.decode(int(label.argmax()))
            assert (name == "pristine") == torch.equal(image, reference)


def test_a_batch_depends_on_its_number_alone():
    first, second = make_batches(make_mix("mass")), make_batches(make_mix("mass"))
    later = first[7]
    second[0]
    torch.manual_seed(99)
    assert all(torch.equal(*pair) for pair in zip(later, second[7], strict=True))
    assert not torch.equal(first[8].images, later.images)
    assert not torch.equal(make_batches(make_mix("mass"), seed=1)[7].images, later.images)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 and later, of DataLoader itself
def test_workers_make_the_same_batches():
    batches = make_batches(make_mix("mass"))
    loader = DataLoader(batches, batch_size=None, sampler=range(4), num_workers=2)
    for number, batch in enumerate(loader):
        assert all(torch.equal(*pair) for pair in zip(batch, batches[number], strict=True))


def test_rows_differ_in_their_labels_alone():
    mass, area = make_batches(make_mix("mass")), make_batches(make_mix("area"))
    assert torch.equal(mass[2].images, area[2].images)
    assert torch.equal(mass[2].references, area[2].references)
    assert any(not torch.equal(mass[number].labels, area[number].labels) for number in range(4))


def test_a_batch_is_one_shard():
    loop = LoopConfig(steps=1, batch_size=8, crop_size=48, learning_rate=1e-3, shards=4)
    assert len(make_batches(loop=loop)[0].images) == 2
