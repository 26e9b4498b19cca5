"""DSMEstimator: shapes, checks, training, compile and autocast, and its files."""

import copy
import json
import pickle
import time

import numpy as np
import pytest
import safetensors.torch
import torch
from torchvision import tv_tensors

from dsmix_aug import DSMEstimator
from dsmix_aug.maps.estimator import _histograms, position_embedding

TINY = {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}


@pytest.fixture
def estimator():
    torch.manual_seed(0)
    return DSMEstimator(**TINY).eval()


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 8), (33, 64), (100, 40)])
@pytest.mark.parametrize("batch_size", [0, 1, 3])
@pytest.mark.parametrize("train", [False, True])
def test_map_has_one_non_negative_value_per_patch(estimator, size, batch_size, train):
    grid = (-(-size[0] // 8), -(-size[1] // 8))
    images = torch.rand(batch_size, 3, *size)
    maps = estimator.train(train)(images)
    assert maps.shape == (batch_size, *grid)
    assert maps.dtype == torch.float32
    assert (maps >= 0).all()
    assert estimator.forward_features(images).shape == (batch_size, *grid, TINY["embed_dim"])


def test_output_is_non_negative_whatever_the_weights(estimator):
    with torch.no_grad():
        estimator.head.bias.fill_(-50.0)
    assert (estimator(torch.rand(2, 3, 32, 32)) >= 0).all()


@pytest.mark.parametrize("patch_size", [1, 2, 6, 14, 16])
def test_every_patch_size_works(patch_size):
    estimator = DSMEstimator(patch_size, embed_dim=8, depth=1, num_heads=2)
    assert estimator(torch.rand(1, 3, 30, 17)).shape == (1, -(-30 // patch_size), -(-17 // patch_size))


def test_partial_patches_see_the_repeated_border(estimator):
    image = np.random.default_rng(0).random((3, 19, 26)).astype(np.float32)
    padded = np.pad(image, ((0, 0), (0, 5), (0, 6)), mode="edge")
    maps = [estimator(torch.from_numpy(picture)[None]) for picture in (image, padded)]
    torch.testing.assert_close(*maps)


def test_a_samples_map_does_not_depend_on_its_batch(estimator):
    images = torch.rand(5, 3, 40, 40)
    torch.testing.assert_close(estimator(images)[3:4], estimator(images[3:4]))


def test_position_embedding_tells_every_patch_from_every_other():
    embedding = position_embedding(5, 7, 16, torch.empty(0))
    assert embedding.shape == (35, 16)
    distances = torch.cdist(embedding, embedding) + torch.eye(35)
    assert distances.min() > 0.1
    # the formula, entry by entry
    row, column, channel = 3, 6, 2
    angle = column / 10000 ** (channel / 4)
    assert embedding[row * 7 + column, 8 + channel].item() == pytest.approx(np.sin(angle), abs=1e-6)
    assert embedding[row * 7 + column, 12 + channel].item() == pytest.approx(np.cos(angle), abs=1e-6)


def test_histograms_are_those_of_numpy():
    pixels = np.random.default_rng(0).integers(0, 200, (2, 3, 13, 9), dtype=np.uint8)
    expected = [[np.bincount(channel.ravel(), minlength=256) for channel in image] for image in pixels]
    for dtype in (torch.float16, torch.float32, torch.float64):
        histograms = _histograms(torch.from_numpy(pixels / 255).to(dtype))
        torch.testing.assert_close(histograms, torch.tensor(np.log(np.divide(expected, 13 * 9 / 256) + 0.03)).float())


def test_learns_where_an_image_was_distorted():
    torch.manual_seed(0)
    estimator = DSMEstimator(**TINY)
    optimizer = torch.optim.Adam(estimator.parameters(), lr=3e-3)
    images = torch.full((8, 3, 32, 32), 0.5)
    target = (torch.rand(8, 4, 4) < 0.5) * 0.3
    images += torch.nn.functional.interpolate(target[:, None], scale_factor=8)
    for _ in range(100):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(estimator(images), target)
        loss.backward()
        optimizer.step()
    correlation = np.corrcoef(estimator(images).detach().flatten(), target.flatten())[0, 1]
    assert correlation > 0.95


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_computes_in_the_dtype_of_its_weights(estimator, dtype):
    maps = estimator.to(dtype)(torch.rand(1, 3, 16, 16))
    assert maps.dtype == dtype


def test_accepts_tv_tensors_and_returns_plain_ones(estimator):
    images = torch.rand(1, 3, 16, 16)
    maps = estimator(tv_tensors.Image(images))
    assert type(maps) is torch.Tensor
    assert torch.equal(maps, estimator(images))


@pytest.mark.parametrize("grad", [False, True])
def test_autocast_returns_the_weights_dtype(estimator, grad):
    images = torch.rand(2, 3, 32, 32)
    with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16):
        maps = estimator(images)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, estimator(images), atol=5e-3, rtol=0.05, check_dtype=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside the compiler
def test_compiles_as_one_graph(estimator):
    compiled = torch.compile(estimator, backend="eager", fullgraph=True)
    for size in [(32, 32), (40, 17)]:
        images = torch.rand(2, 3, *size)
        torch.testing.assert_close(compiled(images), estimator(images))


@pytest.mark.fake_cuda
def test_runs_on_cuda_without_touching_values():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        with torch.device("cuda"):
            estimator = DSMEstimator(**TINY)
            images = torch.rand(2, 3, 20, 32)
        maps = estimator(images)
    assert maps.device.type == "cuda"
    assert maps.shape == (2, 3, 4)


def test_survives_pickle_and_deepcopy(estimator):
    images = torch.rand(1, 3, 24, 24)
    expected = estimator(images)
    assert torch.equal(copy.deepcopy(estimator)(images), expected)
    assert torch.equal(pickle.loads(pickle.dumps(estimator))(images), expected)


def test_input_is_not_changed(estimator):
    images = torch.rand(1, 3, 16, 16)
    before = images.clone()
    estimator(images)
    assert torch.equal(images, before)


class TestBadInput:
    @pytest.mark.parametrize(
        ("images", "error", "message"),
        [
            (np.zeros((1, 3, 8, 8)), TypeError, "images should be a tensor, got ndarray"),
            (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "images should be float .* got torch.uint8"),
            (torch.zeros(3, 8, 8), ValueError, r"images should have shape .* got \(3, 8, 8\)"),
            (
                torch.zeros(1, 3, 8, 8, device="meta"),
                ValueError,
                "images should be on the model's device cpu, got meta",
            ),
            (torch.zeros(1, 1, 8, 8), ValueError, r"images should have 3 channels, got 1 in shape \(1, 1, 8, 8\)"),
            (torch.zeros(1, 3, 0, 8), ValueError, r"images should have shape .* got \(1, 3, 0, 8\)"),
            (torch.full((1, 3, 8, 8), 1.5), ValueError, r"images: values should lie in \[0, 1\], got \[1.5, 1.5\]"),
            (torch.full((1, 3, 8, 8), -0.1), ValueError, r"images: values should lie in \[0, 1\]"),
            (
                torch.full((1, 3, 8, 8), torch.nan),
                ValueError,
                r"images: values should lie in \[0, 1\], got \[nan, nan\]",
            ),
        ],
    )
    def test_images(self, estimator, images, error, message):
        with pytest.raises(error, match=message):
            estimator(images)

    @pytest.mark.parametrize(
        ("sizes", "error", "message"),
        [
            ({"patch_size": 0}, ValueError, "patch_size should be at least 1, got 0"),
            ({"patch_size": 16.0}, TypeError, "patch_size should be an integer, got 16.0"),
            ({"depth": True}, TypeError, "depth should be an integer, got True"),
            ({"embed_dim": 18, "num_heads": 2}, ValueError, "embed_dim should be a multiple of 4 .* got 18"),
            (
                {"embed_dim": 20, "num_heads": 3},
                ValueError,
                "embed_dim should be a multiple of num_heads, got 20 and 3",
            ),
        ],
    )
    def test_sizes(self, sizes, error, message):
        with pytest.raises(error, match=message):
            DSMEstimator(**{**TINY, **sizes})


class TestFiles:
    def test_round_trip(self, estimator, tmp_path):
        path = tmp_path / "estimator.safetensors"
        estimator.train().save_pretrained(path)
        loaded = DSMEstimator.from_pretrained(str(path))
        assert not loaded.training
        assert loaded.config == TINY
        images = torch.rand(1, 3, 30, 30)
        assert torch.equal(loaded(images), estimator.eval()(images))
        loaded(images).sum().backward()  # parameters, not bare tensors
        assert loaded.head.weight.grad is not None

    def test_a_failed_write_leaves_the_old_file_and_nothing_else(self, estimator, tmp_path, monkeypatch):
        path = tmp_path / "estimator.safetensors"
        estimator.save_pretrained(path)
        before = path.read_bytes()

        def fail(state, filename, metadata):
            filename.write_bytes(b"half a file")
            raise OSError("disk full")

        monkeypatch.setattr(safetensors.torch, "save_file", fail)
        with pytest.raises(OSError, match="disk full"):
            estimator.save_pretrained(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_save_wants_the_right_suffix(self, estimator, tmp_path):
        with pytest.raises(ValueError, match=r"path should end in .safetensors, got .*estimator.pt"):
            estimator.save_pretrained(tmp_path / "estimator.pt")

    def test_unknown_name_says_what_there_is(self):
        with pytest.raises(FileNotFoundError, match=r"there is no file huge, and the weights that ship .* are: "):
            DSMEstimator.from_pretrained("huge")

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*missing.safetensors"):
            DSMEstimator.from_pretrained(tmp_path / "missing.safetensors")

    def test_pickles_are_refused_unopened(self, estimator, tmp_path):
        path = tmp_path / "estimator.pth"
        torch.save(estimator.state_dict(), path)
        with pytest.raises(ValueError, match=r"estimator.pth is not a .safetensors file; .* pickles"):
            DSMEstimator.from_pretrained(path)

    def test_a_pickle_by_another_name_is_not_unpickled(self, tmp_path):
        path = tmp_path / "estimator.safetensors"

        class Trap:
            def __reduce__(self):
                return (tmp_path.joinpath("sprung").touch, ())

        path.write_bytes(pickle.dumps(Trap()))
        with pytest.raises(ValueError, match=r"estimator.safetensors is damaged or not a safetensors file"):
            DSMEstimator.from_pretrained(path)
        assert not (tmp_path / "sprung").exists()

    @pytest.mark.parametrize("kept", [0, 7, 100, -1])
    def test_damaged_file(self, estimator, tmp_path, kept):
        path = tmp_path / "estimator.safetensors"
        estimator.save_pretrained(path)
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(ValueError, match=r"estimator.safetensors is damaged or not a safetensors file"):
            DSMEstimator.from_pretrained(path)

    def test_other_safetensors_file(self, tmp_path):
        path = tmp_path / "other.safetensors"
        safetensors.torch.save_file({"weight": torch.zeros(1)}, path)
        with pytest.raises(ValueError, match=r"other.safetensors holds no DSMEstimator"):
            DSMEstimator.from_pretrained(path)

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({**TINY, "depth": TINY["depth"] + 1}, r"'blocks.\d.[\w.]+' is missing"),
            ({**TINY, "depth": 10**6}, "depth should be at most 128 in a file, got 1000000"),
            ({**TINY, "depth": 10**12}, "depth should be at most 128 in a file"),
            ({**TINY, "embed_dim": 2**40}, "embed_dim should be at most 8192 in a file"),
            ({**TINY, "patch_size": 10**9}, "patch_size should be at most 1024 in a file"),
            ({**TINY, "embed_dim": 8192, "depth": 128}, r"'[\w.]+' should have shape \([\d, ]+\), got"),
            ({**TINY, "width": 3}, "its sizes should be patch_size, embed_dim, depth, num_heads, got"),
            ({"depth": 1}, "its sizes should be patch_size, embed_dim, depth, num_heads, got"),
            ({**TINY, "embed_dim": -4}, "embed_dim should be at least 1, got -4"),
            ({**TINY, "num_heads": 1.0}, "num_heads should be an integer, got 1.0"),
            ({**TINY, "num_heads": True}, "num_heads should be an integer, got True"),
            ([1], "its sizes should be"),
            (None, "its sizes should be"),
        ],
    )
    def test_config_that_does_not_fit(self, estimator, tmp_path, config, message):
        path = tmp_path / "estimator.safetensors"
        metadata = {"dsmix_aug.DSMEstimator": json.dumps(config)}
        safetensors.torch.save_file(estimator.state_dict(), path, metadata)
        start = time.monotonic()
        with pytest.raises(ValueError, match=rf"estimator.safetensors does not fit a DSMEstimator: {message}"):
            DSMEstimator.from_pretrained(path)
        assert time.monotonic() - start < 20  # depth 1,000,000 took more than 40 s

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda weight: weight * torch.nan, "'head.weight' has values that are not finite"),
            (lambda weight: weight / 0, "'head.weight' has values that are not finite"),
            (lambda weight: weight.long(), "'head.weight' should be torch.float32, got I64|should have one dtype"),
            (lambda weight: weight.double(), "its tensors should have one dtype, got F32, F64"),
            (lambda weight: weight[:, :-1].contiguous(), r"'head.weight' should have shape"),
        ],
    )
    def test_tensors_that_do_not_fit(self, estimator, tmp_path, change, message):
        path = tmp_path / "estimator.safetensors"
        state = estimator.state_dict()
        state["head.weight"] = change(state["head.weight"])
        safetensors.torch.save_file(state, path, {"dsmix_aug.DSMEstimator": json.dumps(TINY)})
        with pytest.raises(ValueError, match=message):
            DSMEstimator.from_pretrained(path)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_other_dtypes(self, estimator, tmp_path, dtype):
        path = tmp_path / "estimator.safetensors"
        estimator.to(dtype).save_pretrained(path)
        loaded = DSMEstimator.from_pretrained(path)
        assert loaded.head.weight.dtype == (torch.float32 if dtype == torch.float16 else dtype)
        assert torch.equal(loaded.head.weight.to(dtype), estimator.head.weight)

    def test_files_without_a_format_number_are_read(self, estimator, tmp_path):
        path = tmp_path / "estimator.safetensors"
        safetensors.torch.save_file(estimator.state_dict(), path, {"dsmix_aug.DSMEstimator": json.dumps(TINY)})
        assert torch.equal(DSMEstimator.from_pretrained(path).head.weight, estimator.head.weight)

    def test_a_flipped_bit_is_noticed(self, estimator, tmp_path):
        path = tmp_path / "estimator.safetensors"
        estimator.save_pretrained(path)
        content = bytearray(path.read_bytes())
        content[-9] ^= 1
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"estimator.safetensors is damaged: .* does not match its checksum"):
            DSMEstimator.from_pretrained(path)
