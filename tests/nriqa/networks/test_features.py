"""Pooled features against NumPy, and the cache that must not mix networks up."""

import multiprocessing

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dsmix_aug.nriqa.networks import features as features_module
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.features import (
    cached_features,
    extract_features,
    pool_features,
    pool_photo,
    weights_fingerprint,
)


class TwoLayers(Backbone):
    channels = (4, 6)

    def __init__(self, seed=0):
        super().__init__(mean=(0.5,) * 3, std=(0.25,) * 3)
        torch.manual_seed(seed)
        self.first, self.second = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 6, 3, stride=2)

    def forward(self, images):
        first = self.first(self.normalize(images))
        return [first, self.second(first)]


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for number, size in enumerate([(32, 32), (32, 32), (24, 40), (32, 32)]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    return paths


def test_pooling_is_mean_and_deviation_at_two_scales():
    backbone = TwoLayers().eval()
    images = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        pooled = pool_features(backbone, images).numpy()
        half = nn.functional.interpolate(images, (16, 24), mode="bilinear", antialias=True)
        maps = [features.numpy() for scale in (images, half) for features in backbone(scale)]
    expected = np.concatenate([part for m in maps for part in (m.mean((2, 3)), m.std((2, 3)))], axis=1)
    assert pooled.shape == (2, 4 * sum(backbone.channels))
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


def test_order_is_kept_whatever_the_sizes(photos):
    backbone = TwoLayers().eval()
    together = extract_features(backbone, photos, "cpu")
    alone = [extract_features(backbone, [path], "cpu")[0] for path in photos]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_autocast_is_used_where_it_is_fast(photos, tmp_path, monkeypatch):
    """A cache that is carried to another machine does not mix their features."""
    monkeypatch.setattr(features_module, "SMALLEST_AUTOCAST_SIDE", 1)
    found = {}
    for capability in ("AVX512", "AVX2"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        for autocast in (False, True):
            found[capability, autocast] = cached_features(
                TwoLayers(), photos, "", tmp_path, "cpu", autocast, "features"
            )
    exact = found.pop(("AVX512", False))
    rounded = found.pop(("AVX512", True))
    assert not np.array_equal(rounded, exact)
    np.testing.assert_allclose(rounded, exact, atol=0.05)
    for features in found.values():
        np.testing.assert_array_equal(features, exact)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize(("pixels", "sizes"), [(3 * 32 * 32, [2, 1, 1]), (32 * 32, [1, 1, 1, 1]), (1, [1, 1, 1, 1])])
def test_a_batch_is_bounded_in_pixels(photos, pixels, sizes, monkeypatch):
    backbone, seen = TwoLayers().eval(), []
    monkeypatch.setattr("dsmix_aug.nriqa.networks.features.CPU_BATCH_PIXELS", pixels)
    monkeypatch.setattr(
        "dsmix_aug.nriqa.networks.features.pool_features",
        lambda _, images: (seen.append(len(images)), images.flatten(1)[:, :8])[1],
    )
    assert extract_features(backbone, photos, "cpu").shape == (4, 8)
    assert seen == sizes


def test_cache_is_used_and_tells_weights_and_data_apart(photos, tmp_path, monkeypatch):
    cache = tmp_path / "cache"

    def features(backbone, key):
        return cached_features(backbone, photos, key, cache, "cpu", False, "features")

    first = features(TwoLayers(0), "data")
    other_weights, other_data = features(TwoLayers(1), "data"), features(TwoLayers(0), "other data")
    assert len(list(cache.iterdir())) == 3
    assert not np.allclose(first, other_weights)
    assert np.array_equal(first, other_data)
    monkeypatch.setattr("dsmix_aug.nriqa.networks.features.extract_features", None)  # would raise if it were called
    assert np.array_equal(features(TwoLayers(0), "data"), first)


def test_fingerprint_sees_every_number():
    network = TwoLayers()
    before = weights_fingerprint(network)
    assert weights_fingerprint(TwoLayers()) == before
    with torch.no_grad():
        network.second.bias[3] += 1e-6
    assert weights_fingerprint(network) != before


def _extract_at_once(barrier, photos, cache, results):
    """One of several processes that all find no file, and write it at one moment."""
    torch.set_num_threads(1)
    features = np.random.default_rng(0).normal(size=(400, 4096)).astype(np.float32)

    def extract(*_):
        barrier.wait(60)
        return features

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsmix_aug.nriqa.networks.features.extract_features", extract)
        for trial in range(6):
            found = cached_features(TwoLayers(), photos, f"data {trial}", cache, "cpu", False, "features")
            results.put(np.array_equal(found, features))


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the children use one thread
def test_processes_may_write_one_file_at_once(photos, tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    writers = [
        context.Process(target=_extract_at_once, args=(barrier, photos, tmp_path / "cache", results)) for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    assert all(results.get(timeout=120) for _ in range(18))
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    names = [path.name for path in (tmp_path / "cache").iterdir()]
    assert len(names) == 6
    assert not any(name.startswith(".tmp.") for name in names)


class TwoStrides(Backbone):
    """A network that sees 3 px to each side."""

    channels = (4, 6)
    strides = (2, 4)

    def __init__(self):
        super().__init__(mean=(0.5,) * 3, std=(0.25,) * 3)
        torch.manual_seed(0)
        self.first, self.second = (nn.Conv2d(width, out, 3, 2, padding=1) for width, out in ((3, 4), (4, 6)))

    def forward(self, images):
        first = self.first(self.normalize(images)).relu()
        return [first, self.second(first)]


class TestTiles:
    @pytest.fixture(autouse=True)
    def small_tiles(self, monkeypatch):
        monkeypatch.setattr(features_module, "TILE", 32)
        monkeypatch.setattr(features_module, "MARGIN", 8)

    @pytest.mark.parametrize("size", [(70, 101), (64, 64), (33, 200), (129, 65)])
    @pytest.mark.parametrize("last_map_only", [False, True])
    @torch.no_grad()
    def test_tiles_have_the_statistics_of_the_whole(self, size, last_map_only):
        backbone = TwoStrides().eval()
        photo = torch.randint(256, (3, *size), dtype=torch.uint8)
        photo[:, :20] //= 4  # tiles differ
        half_size = [round(side / 2) for side in size]
        half = nn.functional.interpolate(photo[None], half_size, mode="bilinear", antialias=True)
        maps = [m.double().numpy() for image in (photo[None], half) for m in backbone(image / 255)]
        chosen = maps[1::2] if last_map_only else maps
        expected = np.concatenate([part for m in chosen for part in (m.mean((2, 3)), m.std((2, 3)))], axis=1)
        pooled = pool_photo(backbone, photo, last_map_only)
        assert pooled.dtype == torch.float32
        np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_no_image_is_larger_than_a_tile(self, monkeypatch):
        backbone, seen = TwoStrides().eval(), []
        monkeypatch.setattr(backbone, "normalize", lambda images: (seen.append(images.shape[-2:]), images)[1])
        pool_photo(backbone, torch.zeros(3, 200, 300, dtype=torch.uint8))
        assert len(seen) == 7 * 10 + 4 * 5
        assert max(max(size) for size in seen) <= 48

    @torch.no_grad()
    def test_a_network_that_needs_the_whole_photo_gets_it(self):
        backbone, photo = TwoLayers().eval(), torch.randint(256, (3, 90, 120), dtype=torch.uint8)
        assert torch.equal(pool_photo(backbone, photo), pool_features(backbone, photo[None] / 255))
