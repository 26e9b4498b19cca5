"""collate_tv_tensors against default_collate: same values and structure, and classes and metadata that survive."""

import multiprocessing
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_flatten
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision import tv_tensors

from dsmix_aug import DSMix, Reference, SensitivityMap, collate_tv_tensors, sensitivity_map


class Sample(NamedTuple):
    image: torch.Tensor
    label: int


def noise(index: int, size: tuple[int, int] = (20, 24)) -> torch.Tensor:
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(index))


def make_sample(index: int) -> dict[str, object]:
    """All that the function keeps and much that it should leave to default_collate, nested."""
    image, reference = tv_tensors.Image(noise(index)), Reference(noise(index + 100))
    dsm = sensitivity_map(image, reference, patch_size=8)
    return {
        "image": image,
        "target": (index % 3, [reference, {"map": dsm, "score": index / 7}]),
        "plain": noise(index),
        "array": np.full((2, 2), index),
        "scalar": torch.tensor(index),
        "name": f"photo {index}",
        "record": Sample(tv_tensors.Image(noise(index)), index),
        "mask": tv_tensors.Mask(torch.full((4, 5), index)),
    }


class Photos(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, object]:
        return make_sample(index)


class PhotosOfManySizes(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Reference]:
        return noise(index), Reference(noise(index, (20, 24 + index)))


def assert_collated(batch: dict[str, object], indices: list[int]) -> None:
    """Assert values and structure of default_collate, and the classes of one sample."""
    samples = [make_sample(index) for index in indices]
    plain, plain_spec = tree_flatten(default_collate(samples))
    leaves, spec = tree_flatten(batch)
    assert spec == plain_spec
    for leaf, expected in zip(leaves, plain, strict=True):
        if isinstance(expected, torch.Tensor):
            assert leaf.dtype == expected.dtype
            assert torch.equal(leaf.as_subclass(torch.Tensor), expected.as_subclass(torch.Tensor))
        else:
            assert leaf == expected
    label, (reference, rest) = batch["target"]
    assert type(batch["image"]) is tv_tensors.Image
    assert type(batch["record"].image) is tv_tensors.Image
    assert type(reference) is Reference
    assert type(rest["map"]) is SensitivityMap
    assert rest["map"].shape == (len(indices), 3, 3)
    assert (rest["map"].patch_size, rest["map"].canvas_size) == (8, (20, 24))
    assert all(type(leaf) is torch.Tensor for leaf in (label, batch["plain"], batch["array"], rest["score"]))


def test_collates_like_default_collate_and_keeps_classes():
    assert_collated(collate_tv_tensors([make_sample(index) for index in range(4)]), [0, 1, 2, 3])


def test_a_batch_of_one():
    assert_collated(collate_tv_tensors([make_sample(5)]), [5])


@pytest.mark.parametrize("return_type", ["Tensor", "TVTensor"])
def test_whatever_operations_return(return_type):
    samples = [make_sample(index) for index in range(2)]
    with tv_tensors.set_return_type(return_type):
        batch = collate_tv_tensors(samples)
    assert_collated(batch, [0, 1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("kind", [tv_tensors.Image, Reference, SensitivityMap])
def test_dtypes(kind, dtype):
    batch = collate_tv_tensors([kind(torch.full((1, 3, 4), index, dtype=dtype)) for index in range(3)])
    assert type(batch) is kind
    assert batch.dtype == dtype
    assert batch.shape == (3, 1, 3, 4)
    assert batch[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_subclass_is_kept():
    class Photo(tv_tensors.Image):
        pass

    assert type(collate_tv_tensors([Photo(noise(0)), Photo(noise(1))])) is Photo


def test_result_is_a_copy():
    samples = [Reference(noise(0)), Reference(noise(1))]
    collate_tv_tensors(samples).as_subclass(torch.Tensor).fill_(7)
    assert torch.equal(samples[0], noise(0))
    assert all(sample._version == 0 for sample in samples)


@pytest.mark.parametrize("kind", [tv_tensors.Image, Reference, SensitivityMap, torch.Tensor])
def test_shapes_that_differ(kind):
    samples = [torch.zeros(3, 20, 24).as_subclass(torch.Tensor), torch.zeros(3, 20, 25)]
    if kind is not torch.Tensor:
        samples = [kind(sample) for sample in samples]
    with pytest.raises((ValueError, RuntimeError), match=r"20, 24\D.*20, 25|320, 384\D.*320, 400"):
        collate_tv_tensors(samples)


@pytest.mark.parametrize(
    "other",
    [
        {"patch_size": 16, "canvas_size": (40, 48)},
        {"patch_size": 8, "canvas_size": (23, 24)},
        {"patch_size": 8, "canvas_size": (24, 20)},
    ],
    ids=str,
)
def test_maps_of_other_grids(other):
    """The maps have one shape, so stacking them would go through."""
    maps = [
        SensitivityMap(torch.zeros(3, 3), patch_size=8, canvas_size=(24, 24)),
        SensitivityMap(torch.zeros(3, 3), **other),
    ]
    with pytest.raises(ValueError, match="SensitivityMap") as error:
        collate_tv_tensors([{"map": dsm} for dsm in maps])
    assert "(24, 24)" in str(error.value)
    assert str(other["canvas_size"]) in str(error.value)


@pytest.mark.parametrize("first", [tv_tensors.Image, Reference])
def test_classes_that_differ(first):
    with pytest.raises(ValueError, match=rf"(?=.*{first.__name__})(?=.*SensitivityMap)"):
        collate_tv_tensors([(first(torch.zeros(1, 3, 3)), 0), (SensitivityMap(torch.zeros(1, 3, 3)), 1)])


def test_a_tv_tensor_beside_a_plain_one():
    with pytest.raises(ValueError, match=r"(?=.*Reference)(?=.*Tensor)"):
        collate_tv_tensors([Reference(noise(0)), noise(1)])


@pytest.mark.parametrize("context", [None, "fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_in_a_data_loader(context):
    if context not in (None, *multiprocessing.get_all_start_methods()):
        pytest.skip(f"processes cannot be started by {context} here")
    loader = DataLoader(
        Photos(),
        batch_size=4,
        collate_fn=collate_tv_tensors,
        num_workers={None: 0, "fork": 2, "spawn": 1}[context],  # a process that is spawned imports everything anew
        multiprocessing_context=context,
    )
    batches = list(loader)
    assert len(batches) == 3
    for batch, indices in zip(batches, ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9]), strict=True):
        assert_collated(batch, indices)


@pytest.mark.parametrize("workers", [0, 2])
def test_shapes_that_differ_in_a_data_loader(workers):
    loader = DataLoader(PhotosOfManySizes(), batch_size=2, collate_fn=collate_tv_tensors, num_workers=workers)
    with pytest.raises(RuntimeError, match=r"3, 20, 24\D.*3, 20, 25"):
        list(loader)


@pytest.mark.parametrize("kind", ["reference", "map"])
def test_mixing_finds_what_was_kept(kind):
    """Without an estimator or a getter: the only map or reference that there is came through the collate function."""
    samples = []
    for index in range(4):
        image, reference = noise(index, (32, 32)), noise(index + 100, (32, 32))
        extra = Reference(reference) if kind == "reference" else sensitivity_map(image, reference, patch_size=8)
        samples.append((image, index % 3, extra))
    mix = DSMix(num_classes=3, patch_size=8)
    _, labels, extra = mix(*collate_tv_tensors(samples))
    assert type(extra) is type(samples[0][2])
    assert labels.shape == (4, 3)
    torch.testing.assert_close(labels.sum(1), torch.ones(4))
    with pytest.raises((ValueError, TypeError), match="Reference"):
        mix(*default_collate([(image, label, extra.as_subclass(torch.Tensor)) for image, label, extra in samples]))
